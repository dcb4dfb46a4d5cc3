"""The built-in scheduler: a run at each moment of a cron expression, until it is asked to end.

Covers: waiting for the moments, no overlap, missed moments made one, which runs that failed are tried again and after
how long, what is said of a run, and the line that says what to install.
Does not cover: cron expressions (cron.py), child processes and signals (child.py).

cron.py is imported when it is first asked for: the packages that it needs are those of the extra `schedule`.
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
"""Exit codes that are printed."""
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
"""Of exit codes of a run."""
_AGAIN = (1, 75)
_ASKED_FOR = (129, 130, 143)
"""Ends that somebody asked the run for."""


@dataclass(frozen=True)
class Retry:
    """As many times again, after a pause that doubles from `back_off_seconds` up to `longest_seconds`.

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
        """Return how long to wait after attempt 1, 2, … ended so; None: no other attempt.

        Another may end better where a root was locked, a cluster or a worker away (75, 1), or the run itself was
        killed; not where settings, data, memory or the gate decided (2, 3, 4, 5), or somebody interrupted it.
        """
        may_help = exit_code in _AGAIN or (exit_code > 128 and exit_code not in _ASKED_FOR)
        if not may_help or attempt > self.retries:
            return None
        return float(min(self.back_off_seconds * 2.0 ** min(attempt - 1, 64), self.longest_seconds))


@dataclass
class Daemon:
    """What is run, when, and what was said of it.

    command : returns the whole command line of the run for a logical date. notify : gets each line.
    once : end after one run, retries included. catch_up : begin with a run for the newest moment that is past.
    """

    cron: Cron
    command: Callable[[date], Sequence[str]]
    notify: Callable[[str], None]
    retry: Retry = field(default_factory=Retry)
    once: bool = False
    catch_up: bool = False

    def run(self) -> int:
        """Run until a signal comes, and return 128 + its number; with `once`, the exit code of the run.

        What comes due while a run is at work waits for its end; of all that were missed, the newest alone is run for.
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
        """Run for the logical date of a moment until it is done or no other attempt is made."""
        pause: float | None = 0.0
        attempt = 0
        while pause is not None and self.supervisor.wait_until(datetime.now(UTC) + timedelta(seconds=pause)):
            attempt += 1
            code, seconds = self._attempt(moment, attempt)
            self.codes.append(code)
            pause = self.retry.pause_seconds(code, attempt) if self.supervisor.stopped_by is None else None
            then = f"again in {pause:g} s" if pause is not None else f"next: {self._next(1)}"
            self.notify(
                f"run for {self.cron.logical_date(moment)} ended with {said_of(code)} after {seconds:.0f} s; {then}; "
                f"last exit codes: {' '.join(map(str, self.codes))}"
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
            f"run for {logical_date}, due {self.cron.said(moment)}, started: process {process}, attempt {attempt} of "
            f"{self.retry.retries + 1}"
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
        return ", ".join(self.cron.said(each) for each in self.cron.upcoming(datetime.now(UTC), count))


def cron_of(expression: str, zone: str) -> Cron:
    """Read a cron expression.

    Raises
    ------
    SettingsError
        It is wrong, or a package of the extra is not installed.
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


def said_of(exit_code: int) -> str:
    """Return an exit code with its meaning."""
    meaning = MEANINGS.get(exit_code) or (f"killed by signal {exit_code - 128}" if exit_code > 128 else "unknown")
    return f"{exit_code} ({meaning})"
