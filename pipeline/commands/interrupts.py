"""Ctrl-C in commands.

Covers: a clean stop of a run, and a stop at once at the second Ctrl-C.
Does not cover: the end of an interrupted run (pipeline/running/attempt.py), exit codes (pipeline/cli.py).
"""

from __future__ import annotations

import os
from types import FrameType
from typing import TYPE_CHECKING

from funkflow.tasks.late import late

if TYPE_CHECKING:
    from rich import console

    from funkflow.pipeline.progress import events
    from funkflow.pipeline.progress.events import Event
else:
    console, events = late("rich.console"), late("funkflow.pipeline.progress.events")


class Interrupts:
    """Ctrl-C stops the run cleanly; a second one stops it at once.

    It is also a listener: Python loses an interrupt that arrives in a garbage collection, for instance, so the next
    event of the run raises it again.
    """

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, event: Event) -> None:
        if self.asked and not isinstance(event, events.Noticed | events.RunEnded):
            raise KeyboardInterrupt

    def take(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            console.Console(stderr=True).show_cursor()  # the only clean-up
            os._exit(130)
        self.asked = True
        raise KeyboardInterrupt


interrupts = Interrupts()
"""The handler that pipeline/cli.py installs."""
