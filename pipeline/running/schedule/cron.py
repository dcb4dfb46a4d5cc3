"""The moments of a cron expression, in one time zone.

Covers: cron's own reading of five fields (weekdays from Sunday = 0, day of month or day of week), `@daily` and the
like, time zones, days on which clocks change, and errors that name the field. The package cronsim does the reading.
Does not cover: waiting for these moments (daemon.py).

cronsim is asked for the clock on the wall alone: left to find the moments itself, it misses some in zones whose clocks
change at midnight or by half an hour (Cairo, Lord Howe Island).

Where clocks change, Debian's cron holds: if minute and hour are both given, what falls into an hour that is skipped
fires at once when the clocks have changed, and what falls into an hour that comes twice fires the first time only. If
minute or hour begins with `*`, or there are six fields, the clock on the wall counts: an hour that is skipped has
none, one that comes twice fires twice.
"""

from __future__ import annotations

import difflib
import zoneinfo
from datetime import UTC, date, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError
from tzlocal import get_localzone

from funkflow.tasks.errors import SettingsError

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = {
    "second": "0 to 59",
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31 (if one of the months has that), or L for the last",
    "month": "1 to 12, or JAN to DEC",
    "day-of-week": "0 to 7 (0 and 7 are Sunday), or SUN to SAT",
}
"""The values of each field, in the order of an expression with six of them."""
_REACH = timedelta(hours=3)
"""No clock was put back by more in this century."""
_LONGEST_PAUSE = timedelta(days=3000)
"""29 February is the rarest: eight years apart around 2100."""


class Cron:
    """An expression in a time zone.

    Parameters
    ----------
    expression : five fields (minute, hour, day of month, month, day of week), six with seconds before them, or a
        nickname such as `@daily`.
    zone : name of a time zone, such as "Europe/Paris"; empty: this machine's.

    Raises
    ------
    SettingsError
        A field or the time zone is wrong, or the expression never fires.
    """

    def __init__(self, expression: str, zone: str = "") -> None:
        self.expression = expression
        self.zone = _zone(zone)
        self._fields = _NICKNAMES.get(expression.strip().lower(), expression)
        parts = self._fields.split()
        self._is_fixed = len(parts) == 5 and not parts[0].startswith("*") and not parts[1].startswith("*")
        try:
            CronSim(self._fields, datetime.now(UTC).replace(tzinfo=None))
        except CronSimError as cause:
            raise SettingsError(f"--cron {expression!r}: {self._fault(str(cause))}") from cause

    def after(self, moment: datetime) -> datetime:
        """Return the first moment after this one, in UTC, in which arithmetic and comparison have no gaps."""
        offsets = {(moment + reach).astimezone(self.zone).utcoffset() for reach in (-_REACH, timedelta(0), _REACH)}
        margin = _REACH if len(offsets) > 1 else timedelta(0)
        wall = moment.astimezone(self.zone).replace(tzinfo=None)
        best: tuple[datetime, datetime] | None = None
        for each in CronSim(self._fields, wall - margin):
            if best is not None and each > best[1] + margin:
                break
            later = [at for at in self._moments(each) if at > moment]
            if later and (best is None or later[0] < best[0]):
                best = later[0], each
                if not margin:
                    break
        if best is None:
            raise SettingsError(f"--cron {self.expression!r}: this never comes")
        return best[0]

    def latest(self, moment: datetime) -> datetime | None:
        """Return the newest moment up to and including this one, in UTC; None if there was none for years."""
        pause = timedelta(seconds=1)
        while (found := self.after(moment - pause)) > moment:
            pause *= 2
            if pause > 2 * _LONGEST_PAUSE:
                return None
        while (later := self.after(found)) <= moment:
            found = later
        return found

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """Return the next moments, in UTC."""
        found = []
        for _ in range(count):
            moment = self.after(moment)
            found.append(moment)
        return found

    def logical_date(self, moment: datetime) -> date:
        """Return the day on the calendar of the time zone."""
        return moment.astimezone(self.zone).date()

    def local_time(self, moment: datetime) -> str:
        """Write a moment in local time, to the second, with its distance from UTC."""
        return moment.astimezone(self.zone).isoformat(sep=" ", timespec="seconds")

    def _moments(self, wall: datetime) -> list[datetime]:
        """Return the moments, in order, at which the local clock shows this time, or the moment that stands for it."""
        first, second = (wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        shown = [at for at in (first, second) if at.astimezone(self.zone).replace(tzinfo=None) == wall]
        if not shown and self._is_fixed:
            return [self._end_of_gap(wall)]
        return shown[:1] if self._is_fixed or first == second else shown

    def _end_of_gap(self, wall: datetime) -> datetime:
        """Return the moment at which the local clock continues after it skipped this time."""
        while (at := wall.replace(tzinfo=self.zone).astimezone(UTC)).astimezone(self.zone).replace(tzinfo=None) != wall:
            wall += timedelta(minutes=1)
        return at

    def _fault(self, found: str) -> str:
        name = found.removeprefix("Bad ")
        parts = self._fields.split()
        if name not in _FIELDS:
            if self.expression.startswith("@"):
                return f"there is no such nickname; there are {', '.join(_NICKNAMES)}"
            return f"{len(parts)} fields, where cron has five: minute, hour, day of month, month, day of week"
        value = parts[list(_FIELDS).index(name) - 6 + len(parts)]
        return f"the {name} {value!r} is wrong; it takes {_FIELDS[name]}; and lists, ranges, steps"


def _zone(name: str) -> tzinfo:
    try:
        return zoneinfo.ZoneInfo(name) if name else get_localzone()
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as cause:
        known = zoneinfo.available_timezones()
        near = difflib.get_close_matches(name, known, n=1)
        none = "" if known else "; this machine knows none: pip install tzdata"
        hint = f"; the nearest is {near[0]!r}" if near else none
        raise SettingsError(f"--timezone {name!r}: there is no such time zone{hint}") from cause
