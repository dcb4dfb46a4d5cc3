"""The built-in scheduler: a run at each moment of a cron expression, until a signal stops it.

Covers: waiting for the moments, no overlap, one run for all missed moments, retries, notices about each run, and the
error if a package is missing.
Does not cover: cron expressions (cron.py), child processes and signals (child.py).

cron.py is imported on first use, as its packages belong to the extra `schedule`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from funkflow.pipeline.running.schedule.child import Supervisor
from funkflow.tasks.errors import SettingsError

if TYPE_CHECKING:
    from funkflow.pipeline.running.schedule.cron import Cron

_PACKAGES = ("cronsim", "tzlocal")
_REMEMBERED = 10
"""Number of exit codes to print."""
MEANINGS = {
    0: "done or up to date",
    1: "failed",
    2: "a mistake in settings or usage",
    3: "bad input data",
    4: "cannot fit",
    5: "model refused by its gate",
    75: "try again later",
    129: "ended by a hangup",
    130: "interrupted",
    137: "killed",
    143: "interrupted",
}
"""Meanings of a run's exit codes."""
_RETRIED = (1, 75)
_STOPPED = (129, 130, 143)
"""Exit codes of a run that was asked to end."""


@dataclass(frozen=True)
class Retry:
    """Retries after a failure, with a pause that doubles from `back_off_seconds` up to `longest_seconds`.

    Raises
    ------
    SettingsError
        A number is negative.
    """

    retries: int = 3
    back_off_seconds: float = 60.0
    longest_seconds: float = 3600.0

    def __post_init__(self) -> None:
        for option, value in (
            ("--retries", self.retries),
            ("--back-off", self.back_off_seconds),
            ("--longest-back-off", self.longest_seconds),
        ):
            if not value >= 0:
                raise SettingsError(f"{option} {value}: must be 0 or more")

    def pause_seconds(self, exit_code: int, attempt: int) -> float | None:
        """Return the pause after attempt 1, 2, … ended with this code; None: no other attempt.

        A retry may help after a locked root or a missing cluster or worker (75, 1), or if the run was killed. It cannot
        help if settings, data, memory or the gate were the reason (2, 3, 4, 5), and an interrupted run is not retried.
        """
        may_help = exit_code in _RETRIED or (exit_code > 128 and exit_code not in _STOPPED)
        if not may_help or attempt > self.retries:
            return None
        return float(min(self.back_off_seconds * 2.0 ** min(attempt - 1, 64), self.longest_seconds))


@dataclass
class Daemon:
    """A scheduler of runs.

    command : returns the whole command line of the run for a logical date. notify : gets each line.
    once : end after one run and its retries. catch_up : begin with a run for the newest past moment.
    """

    cron: Cron
    command: Callable[[date], Sequence[str]]
    notify: Callable[[str], None]
    retry: Retry = field(default_factory=Retry)
    once: bool = False
    catch_up: bool = False

    def run(self) -> int:
        """Run until a signal comes, and return 128 + its number; with `once`, return the exit code of the run.

        Moments that pass during a run wait for its end; of several missed moments, only the newest gets a run.
        """
        self.codes: deque[int] = deque(maxlen=_REMEMBERED)
        now = datetime.now(UTC)
        past = self.cron.latest(now) if self.catch_up else None
        handled = past - timedelta(microseconds=1) if past else now
        with Supervisor() as self.supervisor:
            self.notify(f"next: {self._next(3)}")
            while not (self.once and self.codes) and self.supervisor.wait_until(self.cron.after(handled)):
                newest = self.cron.latest(datetime.now(UTC))
                if newest is not None and newest > handled:  # the clock may have been put back
                    handled = newest
                    self._run_for(newest)
        if self.supervisor.stopped_by is not None:
            self.notify("stopped; no run is left at work")
            return 128 + self.supervisor.stopped_by
        return self.codes[-1]

    def _run_for(self, moment: datetime) -> None:
        """Run for the logical date of a moment, with its retries."""
        pause: float | None = 0.0
        attempt = 0
        while pause is not None and self.supervisor.wait_until(datetime.now(UTC) + timedelta(seconds=pause)):
            attempt += 1
            code, seconds = self._attempt(moment, attempt)
            self.codes.append(code)
            pause = self.retry.pause_seconds(code, attempt) if self.supervisor.stopped_by is None else None
            then = f"again in {pause:g} s" if pause is not None else f"next: {self._next(1)}"
            self.notify(
                f"run for {self.cron.logical_date(moment)} ended with {describe_exit(code)} after {seconds:.0f} s; "
                f"{then}; last exit codes: {' '.join(map(str, self.codes))}"
            )

    def _attempt(self, moment: datetime, attempt: int) -> tuple[int, float]:
        began = datetime.now(UTC)
        logical_date = self.cron.logical_date(moment)
        try:
            process = self.supervisor.start(self.command(logical_date))
        except OSError as error:
            self.notify(f"run for {logical_date}: cannot be started: {error}")
            return 1, 0.0
        self.notify(
            f"run for {logical_date}, due {self.cron.local_time(moment)}, started: process {process}, "
            f"attempt {attempt} of {self.retry.retries + 1}"
        )
        code = self.supervisor.ended(before=self.cron.after(began))
        if code is None:
            self.notify(
                f"run for {logical_date} is still at work, process {process}: what comes due waits for its end as one"
            )
            code = self.supervisor.ended()
        assert code is not None
        return code, (datetime.now(UTC) - began).total_seconds()

    def _next(self, count: int) -> str:
        return ", ".join(self.cron.local_time(each) for each in self.cron.upcoming(datetime.now(UTC), count))


def cron_of(expression: str, zone: str) -> Cron:
    """Read a cron expression.

    Raises
    ------
    SettingsError
        The expression is wrong, or a package of the extra is not installed.
    """
    try:
        from funkflow.pipeline.running.schedule.cron import Cron
    except ModuleNotFoundError as cause:
        missing = (cause.name or "").split(".")[0]
        if missing not in _PACKAGES:
            raise
        raise SettingsError(
            f"funkflow schedule needs the package {missing}: pip install 'funkflow[schedule]'"
        ) from cause
    return Cron(expression, zone)


def describe_exit(exit_code: int) -> str:
    """Return an exit code with its meaning."""
    meaning = MEANINGS.get(exit_code) or (f"killed by signal {exit_code - 128}" if exit_code > 128 else "unknown")
    return f"{exit_code} ({meaning})"
