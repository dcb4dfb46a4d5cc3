"""Ctrl-C, as commands take it.

Covers: stopping a run in good order, and at once when it is pressed a second time.
Does not cover: what a run does when it is interrupted (pipeline/running/attempt.py), exit codes (pipeline/cli.py).
"""

from __future__ import annotations

import os
from types import FrameType

from rich.console import Console

from funkflow.pipeline.progress.events import Event, Noticed, RunEnded


class Interrupts:
    """Ctrl-C stops the run in good order; a second one stops it at once.

    It is also a listener: an interrupt that is raised where Python cannot pass it on (in a garbage collection, for
    instance) is lost, so it is raised again at the run's next event.
    """

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, event: Event) -> None:
        if self.asked and not isinstance(event, Noticed | RunEnded):
            raise KeyboardInterrupt

    def take(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            Console(stderr=True).show_cursor()  # nothing else is put in order
            os._exit(130)
        self.asked = True
        raise KeyboardInterrupt


interrupts = Interrupts()
"""The one that pipeline/cli.py has the system tell."""
