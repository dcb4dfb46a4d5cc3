"""What one execution is asked for: up to which stage, for which date, and what of what is there is made anew.

Covers: the names of the stages, in order, and checking what is asked.
Does not cover: the settings (sections.py), what a stage does (pipeline/flow.py, stages/).
"""

from __future__ import annotations

import datetime
import math
import time
from dataclasses import dataclass, field, replace

from funkflow.tasks.errors import SettingsError

STAGES = (
    "synth", "ingest", "split", "grid", "train", "evaluate", "export", "spectrum", "ranking", "recommend", "predict",
    "report",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What is asked for.

    `date` : the logical date, YYYY-MM-DD. `fresh` : train anew; `force` : redo every stage, but for the raw data.
    `if_new` : do nothing where no input came or changed since these settings last ended well.
    `began` : when it was asked for, by the monotonic clock: its seconds in all count from there.
    """

    until: str
    date: str
    fresh: bool = False
    force: bool = False
    wait_seconds: float = 0.0
    if_new: bool = False
    began: float = field(default_factory=time.monotonic, compare=False)

    @classmethod
    def checked(
        cls,
        until: str = STAGES[-1],
        date: str | datetime.date | None = None,
        fresh: bool = False,
        force: bool = False,
        wait_seconds: float = 0.0,
        if_new: bool = False,
    ) -> Request:
        """Return what is asked; `date` is today's, in UTC, unless one is named.

        Raises
        ------
        SettingsError
            There is no such stage or date, the time to wait is negative or not a number, or all is to be done anew but
            only if something is new.
        """
        if until not in STAGES:
            raise SettingsError(f"there is no stage {until!r}; stages are {', '.join(STAGES)}")
        if not (math.isfinite(wait_seconds) and wait_seconds >= 0):
            raise SettingsError(f"--wait {wait_seconds:g}: not a time; give seconds, 0 or more")
        if if_new and (fresh or force):
            raise SettingsError("--if-new and --force or --fresh contradict each other: leave out one of them")
        return cls(until, _checked_date(date), fresh, force, wait_seconds, if_new)

    def down_to(self, stage: str) -> Request:
        """Return what is asked up to a stage at most: a model that a whole run left answers who asks for the model."""
        return replace(self, until=stage) if self.reaches(stage) else self

    def reaches(self, stage: str) -> bool:
        """Say whether a stage is among those asked for."""
        return STAGES.index(stage) <= STAGES.index(self.until)


def _checked_date(date: str | datetime.date | None) -> str:
    if date is None or date == "":
        return datetime.datetime.now(datetime.UTC).date().isoformat()
    try:
        day = datetime.date.fromisoformat(str(date))
    except ValueError as cause:
        raise SettingsError(f"--date {str(date)!r}: not a date; write it as YYYY-MM-DD") from cause
    if day.isoformat() != str(date):
        raise SettingsError(f"--date {str(date)!r}: write it as YYYY-MM-DD, here {day.isoformat()}")
    return day.isoformat()
