"""The built-in scheduler: a run at each moment of a cron expression, until it is asked to end.

Covers: APScheduler with cron's own meaning, no overlap, missed moments made one, retries, and what is said of a run.
Does not cover: cron expressions (cron.py), child processes and signals (child.py).

APScheduler's own reading of cron expressions is not used: it counts weekdays from Monday = 0, and takes day of month
and day of week both, where cron takes either. A job runs within the scheduler's only thread: what comes due meanwhile
waits for its end, and APScheduler then makes one of all that were missed, however late. All times that it sees are
UTC: two times of one zone are compared by the clock on the wall, which is wrong in an hour that comes twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.base import BaseTrigger

from funkflow.pipeline.running.schedule.child import Supervisor
from funkflow.pipeline.running.schedule.cron import Cron
from funkflow.pipeline.running.schedule.retry import Retry, said_of

_REMEMBERED = 10
"""Exit codes that are printed."""


class CronTrigger(BaseTrigger):  # type: ignore[misc]
    """The moments of a cron expression, in UTC, for APScheduler."""

    def __init__(self, cron: Cron) -> None:
        self.cron = cron

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return self.cron.after(previous_fire_time or now)


class InTurn(BlockingScheduler):  # type: ignore[misc]
    """APScheduler's own loop, but that it waits where signals wake it, and looks at the clock anew after each job."""

    def __init__(self, wait_until: Callable[[datetime], bool]) -> None:
        """`wait_until` : waits for a moment; returns False where the scheduler has to end instead."""
        super().__init__(executors={"default": DebugExecutor()}, timezone=UTC)
        self.wait_until = wait_until

    def _main_loop(self) -> None:
        while self.wait_until(min(job.next_run_time for job in self.get_jobs())):
            self._process_jobs()
        self.shutdown()


@dataclass
class Daemon:
    """What is run, when, and what was said of it.

    command : returns the whole command line of the run for a logical date. tell : is given each line.
    once : end after one run, retries included. catch_up : begin with a run for the newest moment that is past.
    """

    cron: Cron
    command: Callable[[date], Sequence[str]]
    tell: Callable[[str], None]
    retry: Retry = field(default_factory=Retry)
    once: bool = False
    catch_up: bool = False

    def run(self) -> int:
        """Run until a signal comes, and return 128 + its number; with `once`, the exit code of the run."""
        self.codes: deque[int] = deque(maxlen=_REMEMBERED)
        self.fault: BaseException | None = None
        now = datetime.now(UTC)
        past = self.cron.latest(now) if self.catch_up else None
        self.handled = past - timedelta(microseconds=1) if past else now
        with Supervisor() as self.supervisor:
            scheduler = InTurn(self._wait_until)
            scheduler.add_job(
                self._due, CronTrigger(self.cron), max_instances=1, coalesce=True, misfire_grace_time=None,
                next_run_time=past or self.cron.after(now),
            )  # fmt: skip
            self.tell(f"next: {self._next(3)}")
            scheduler.start()
        if self.fault is not None:
            raise self.fault
        if self.supervisor.stopped_by is not None:
            self.tell("stopped; no run is left at work")
            return 128 + self.supervisor.stopped_by
        return self.codes[-1]

    def _wait_until(self, moment: datetime) -> bool:
        is_over = self.fault is not None or (self.once and bool(self.codes))
        return not is_over and self.supervisor.wait_until(moment)

    def _due(self) -> None:
        """Run for the newest moment; APScheduler, which calls this, would only log what goes wrong in here."""
        try:
            newest = self.cron.latest(datetime.now(UTC))
            if newest is not None and newest > self.handled:
                self._run_for(newest)
        except BaseException as error:
            self.fault = error

    def _run_for(self, moment: datetime) -> None:
        """Run for the logical date of a moment until it is done or no other attempt is made."""
        self.handled = moment
        pause: float | None = 0.0
        attempt = 0
        while pause is not None and self.supervisor.wait_until(datetime.now(UTC) + timedelta(seconds=pause)):
            attempt += 1
            code, seconds = self._attempt(moment, attempt)
            self.codes.append(code)
            pause = self.retry.pause_seconds(code, attempt) if self.supervisor.stopped_by is None else None
            then = f"again in {pause:g} s" if pause is not None else f"next: {self._next(1)}"
            self.tell(
                f"run for {self.cron.logical_date(moment)} ended with {said_of(code)} after {seconds:.0f} s; {then}; "
                f"last exit codes: {' '.join(map(str, self.codes))}"
            )

    def _attempt(self, moment: datetime, attempt: int) -> tuple[int, float]:
        began = datetime.now(UTC)
        logical_date = self.cron.logical_date(moment)
        try:
            process = self.supervisor.start(self.command(logical_date))
        except OSError as error:
            self.tell(f"run for {logical_date}: cannot be started: {error}")
            return 1, 0.0
        self.tell(
            f"run for {logical_date}, due {self.cron.said(moment)}, started: process {process}, attempt {attempt} of "
            f"{self.retry.retries + 1}"
        )
        code = self.supervisor.ended(before=self.cron.after(began))
        if code is None:
            self.tell(
                f"run for {logical_date} is still at work, process {process}: what comes due waits for its end as one"
            )
            code = self.supervisor.ended()
        assert code is not None
        return code, (datetime.now(UTC) - began).total_seconds()

    def _next(self, count: int) -> str:
        return ", ".join(self.cron.said(each) for each in self.cron.upcoming(datetime.now(UTC), count))
