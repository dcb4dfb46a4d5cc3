"""Who shows a run that Python code began: a notebook's cell, a terminal, or nobody.

Covers: the choice. Does not cover: how each looks (notebook.py, terminal.py); commands choose for themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from funkflow.pipeline.progress.events import Listener
from funkflow.pipeline.progress.lines import TEXT
from funkflow.pipeline.progress.notebook import notebook_view
from funkflow.pipeline.progress.terminal import watcher


@contextmanager
def shown(progress: bool | None) -> Iterator[list[Listener]]:
    """Yield the listeners that show a run: none if `progress` is False; if it is None, a notebook's alone."""
    view = None if progress is False else notebook_view()
    if view is None and progress:
        with watcher(Console(stderr=True), TEXT) as lines:
            yield [lines]
    elif view is not None:
        with view:
            yield [view]
    else:
        yield []
