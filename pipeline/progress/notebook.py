"""Progress of a run in a notebook: one output, updated in place.

Covers: the view, its HTML, and whether this code runs in a notebook.
Does not cover: the numbers (headlines.py), terminals (terminal.py), results (tables, `_repr_html_`).

IPython is no requirement: without it loaded, this is no notebook.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable
from html import escape
from types import TracebackType
from typing import Any, Protocol

from funkflow.pipeline.progress.drawing import Drawing
from funkflow.pipeline.progress.events import Event, Noticed, RunEnded, StageFinished, WorkerLost
from funkflow.pipeline.progress.headlines import Headlines
from funkflow.tasks.model.html_tables import html_facts

_SECONDS = 0.25
"""Least time between two updates, except when a stage ends."""
_NOTES = 4


class Display(Protocol):
    """IPython's handle of an output."""

    def update(self, obj: object) -> None: ...


class Shown:
    """Content of an output as HTML, and as plain text for a front end without HTML."""

    def __init__(self, html: str, words: str) -> None:
        self._html, self._words = html, words

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._words


class NotebookView:
    """Context manager and listener. `display` : creates an output from its content.

    An error of the display never reaches the run.
    """

    def __init__(self, display: Callable[[object], Display], clock: Callable[[], float] = time.monotonic) -> None:
        self.headlines = Headlines(clock)
        self._make, self._display = display, None
        self._drawing, self._lock = Drawing("the view of the notebook"), threading.RLock()
        self._drawn = -_SECONDS
        self._done: list[tuple[str, str]] = []
        self._notes: list[str] = []

    _display: Display | None

    def __enter__(self) -> NotebookView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._drawing, self._lock:
            self._draw()

    def __call__(self, event: Event) -> None:
        with self._drawing, self._lock:
            self._take(event)
            if isinstance(event, StageFinished | RunEnded) or self.headlines.clock() - self._drawn >= _SECONDS:
                self._draw()

    def _take(self, event: Event) -> None:
        self.headlines(event)
        match event:
            case StageFinished(stage, seconds, summary, reused):
                self._done.append((stage, f"{summary} ({'up to date' if reused else f'{seconds:.1f} s'})"))
            case WorkerLost(_, message) | Noticed(message, _):
                self._notes = [*self._notes, message][-_NOTES:]

    def _draw(self) -> None:
        self._drawn = self.headlines.clock()
        now = self.headlines.snapshot().at_work
        shown = Shown(self.html(), f"{now.stage} {now.done} of {now.total}" if now.stage else "funkflow")
        if self._display is None:
            self._display = self._make(shown)
        else:
            self._display.update(shown)

    def html(self) -> str:
        """Return the HTML of the output."""
        snapshot = self.headlines.snapshot()
        now = snapshot.at_work
        with self._lock:
            done, notes = list(self._done), list(self._notes)
        parts = [html_facts(f"funkflow: {snapshot.story.state}", done)]
        if now.stage:
            extent = f' value="{now.done}" max="{now.total}"' if now.total else ""
            words = " · ".join(filter(None, (snapshot.counted(), snapshot.elapsed(), snapshot.left())))
            stage = escape(now.stage, quote=True)
            parts.append(f'<div>{stage} <progress aria-label="{stage}"{extent}></progress> {escape(words)}</div>')
        parts += [f"<div>{escape(line)}</div>" for line in (*snapshot.lines(), *notes)]
        return "".join(parts)


def notebook_view() -> NotebookView | None:
    """Return a view for the notebook that this code runs in; None outside of a notebook."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if type(shell).__name__ != "ZMQInteractiveShell":
        return None
    display: Any = importlib.import_module("IPython.display").display
    return NotebookView(lambda shown: display(shown, display_id=True))
