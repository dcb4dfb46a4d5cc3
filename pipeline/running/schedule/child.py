"""One run at a time as a child process, and its signals.

Covers: the command line of a run; SIGTERM, SIGINT and SIGHUP (the first goes to the child, which is waited for; a
second one kills it and its workers); and waits that a signal ends at once.
Does not cover: the times of runs and retries (daemon.py, backfill.py).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from types import FrameType
from typing import Any, Self

_TAKEN = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LONGEST_NAP_SECONDS = 30.0
"""The longest time until a changed clock, or a sleep of the machine, is noticed."""


def run_words(passed: Sequence[str], logical_date: date) -> list[str]:
    """Return the whole command line of a run for a date; `passed` : words for `funkflow run`."""
    return [sys.executable, "-m", "funkflow", "run", *passed, "--date", logical_date.isoformat()]


class Supervisor:
    """Starts children one after another, and handles signals inside its `with` block.

    The signal handler only records the signal and passes it on. Waits read a pipe that the system writes to with every
    signal, so that none is lost between a check and a wait.
    """

    def __init__(self) -> None:
        self.stopped_by: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._untold: deque[int] = deque()

    def __enter__(self) -> Self:
        self._woken, self._wakes = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wakes, False)
        self._handlers: dict[int, Any] = {
            number: signal.signal(number, self._take)
            for number in _TAKEN
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN  # nohup
        }
        self._handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._wakeup = signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:  # an error in this process: ask the child to end
            self._child.terminate()
            self.ended()
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._woken)
        os.close(self._wakes)

    def start(self, words: Sequence[str]) -> int:
        """Start a child and return its process number; pass on signals that came before.

        The child gets its own session, so that a Ctrl-C reaches it once, through this process.

        Raises
        ------
        OSError
            The child cannot be started.
        """
        self._child = subprocess.Popen(list(words), stdin=subprocess.DEVNULL, start_new_session=True)
        self._pass_on()
        return self._child.pid

    def ended(self, before: datetime | None = None) -> int | None:
        """Wait for the child and return its exit code, 128 + number after a signal; None if it is alive at `before`."""
        assert self._child is not None
        while (code := self._child.poll()) is None:
            left = _LONGEST_NAP_SECONDS if before is None else (before - datetime.now(UTC)).total_seconds()
            if left <= 0:
                return None
            self._nap(left)
        self._child = None
        return code if code >= 0 else 128 - code

    def wait_until(self, moment: datetime) -> bool:
        """Wait for a moment by the clock; return False at once when a signal comes."""
        while self.stopped_by is None and (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
            self._nap(left)
        return self.stopped_by is None

    def _nap(self, seconds: float) -> None:
        if select.select([self._woken], [], [], min(seconds, _LONGEST_NAP_SECONDS))[0]:
            with suppress(BlockingIOError):
                os.read(self._woken, 4096)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self._untold.append(signal.SIGKILL if self.stopped_by else number)
        self.stopped_by = self.stopped_by or number
        self._pass_on()

    def _pass_on(self) -> None:
        """Pass on the pending signals; the handler may interrupt, so each is removed before it is sent."""
        while self._child is not None and self._untold:
            with suppress(IndexError, ProcessLookupError):
                number = self._untold.popleft()
                if number == signal.SIGKILL:
                    os.killpg(self._child.pid, number)
                else:
                    self._child.send_signal(number)
