"""Errors of drawing: they never reach the run, and the first is logged in one line.

Covers: catching them. Does not cover: the drawing (terminal.py, notebook.py, pipeline/progress/live/page.py).
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal

_LOG = logging.getLogger("funkflow")


class Drawing(AbstractContextManager["Drawing"]):
    """Context manager for the code that draws. `what` : its name in the line."""

    def __init__(self, what: str) -> None:
        self._what, self._is_logged = what, False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[True] | None:
        if error is None or not isinstance(error, Exception):  # an interrupt is for the run
            return None
        if not self._is_logged:
            self._is_logged = True
            first = str(error).splitlines()[0] if str(error) else ""
            _LOG.warning("%s cannot be drawn; the run continues: %s: %s", self._what, type(error).__name__, first)
        return True
