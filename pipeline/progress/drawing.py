"""Drawing that never reaches a run: what goes wrong while something is shown is logged once, in one line.

Covers: holding such errors back. Does not cover: what is drawn (terminal.py, notebook.py,
pipeline/progress/live/page.py).
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal

_LOG = logging.getLogger("funkflow")


class Drawing(AbstractContextManager["Drawing"]):
    """Context manager for the code that draws. `what` : names it in the line."""

    def __init__(self, what: str) -> None:
        self._what, self._said = what, False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[True] | None:
        if error is None or not isinstance(error, Exception):  # who interrupts means the run
            return None
        if not self._said:
            self._said = True
            first = str(error).splitlines()[0] if str(error) else ""
            _LOG.warning("%s cannot be drawn, and the run goes on: %s: %s", self._what, type(error).__name__, first)
        return True
