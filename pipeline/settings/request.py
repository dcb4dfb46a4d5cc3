"""The request of an execution: its last stage, its date, and which results to make again.

Covers: the names of the stages, in order, and checks of a request.
Does not cover: the settings (sections.py), the stages (pipeline/flow.py, stages/).
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
    """The request of an execution.

    `until` : the last stage. `date` : the logical date, YYYY-MM-DD. `fresh` : train from scratch; `force` : repeat
    every stage, except for making synthetic raw data. `if_new` : do nothing if no input is new or changed since the
    last success of these settings. `ranks` : with `until` = "evaluate", measure the ranking as well; no gate judges the
    model, and the run does not promote it. `began` : its start on the monotonic clock, from which its seconds count.
    """

    until: str
    date: str
    fresh: bool = False
    force: bool = False
    wait_seconds: float = 0.0
    if_new: bool = False
    ranks: bool = False
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
        *,
        ranks: bool = False,
    ) -> Request:
        """Return a valid request; `date` is by default today in UTC.

        Raises
        ------
        SettingsError
            There is no such stage or date, the time to wait is negative or not a number, or `if_new` comes with `fresh`
            or `force`.
        """
        if until not in STAGES:
            raise SettingsError(f"there is no stage {until!r}; stages are {', '.join(STAGES)}")
        if not (math.isfinite(wait_seconds) and wait_seconds >= 0):
            raise SettingsError(f"--wait {wait_seconds:g}: not a time; give seconds, 0 or more")
        if if_new and (fresh or force):
            raise SettingsError("--if-new and --force or --fresh contradict each other: leave out one of them")
        return cls(
            until, _iso_date(date), fresh=fresh, force=force, wait_seconds=wait_seconds, if_new=if_new, ranks=ranks
        )

    def down_to(self, stage: str) -> Request:
        """Return the request up to a stage at most."""
        return replace(self, until=stage) if self.reaches(stage) else self

    def reaches(self, stage: str) -> bool:
        """Return whether the request includes a stage."""
        return STAGES.index(stage) <= STAGES.index(self.until) or (self.ranks and stage == "ranking")


def _iso_date(date: str | datetime.date | None) -> str:
    if date is None or date == "":
        return datetime.datetime.now(datetime.UTC).date().isoformat()
    try:
        day = datetime.date.fromisoformat(str(date))
    except ValueError as cause:
        raise SettingsError(f"--date {str(date)!r}: not a date; write it as YYYY-MM-DD") from cause
    if day.isoformat() != str(date):
        raise SettingsError(f"--date {str(date)!r}: write it as YYYY-MM-DD, here {day.isoformat()}")
    return day.isoformat()
