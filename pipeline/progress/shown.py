"""The display of a run that Python code starts: in a notebook, in a terminal, or none.

Covers: the choice. Does not cover: the displays (notebook.py, terminal.py), the choice of commands
(pipeline/commands/options.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from funkflow.pipeline.progress.events import Listener
from funkflow.pipeline.progress.log_format import TEXT
from funkflow.pipeline.progress.notebook import notebook_view
from funkflow.pipeline.progress.terminal import watcher


@contextmanager
def shown(progress: bool | None) -> Iterator[list[Listener]]:
    """Yield the listeners that show a run. `progress` : True: always; False: never; None: in a notebook only."""
    view = None if progress is False else notebook_view()
    if view is None and progress:
        with watcher(Console(stderr=True), TEXT) as lines:
            yield [lines]
    elif view is not None:
        with view:
            yield [view]
    else:
        yield []
