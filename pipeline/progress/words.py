"""Counts, shares, times, sizes, dates and the name of the data, in words.

Covers: single values in reports and on the live page; sizes and times as Dask writes them, without importing Dask.
Does not cover: clocks in a terminal (headlines.py), RMSE and MAE (tasks/digits.py), the numbers of an axis
(pipeline/results/report/axes.py).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from funkflow.tasks.redact import MASK

_SPACE = "\u00a0"
"""The space between a number and its unit, where no line breaks."""
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_UNITS = ((86_400, "days", 10, 3600, "h"), (3600, "h", 10, 60, "min"), (60, "min", 5, 1, "s"))
"""Seconds, the name, the least number that stands alone, and the next smaller unit."""
_BINARY = (("Pi", 2**50), ("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("ki", 2**10))
_CLOCKS = ((86_400, "d", 2, 3600, "hr"), (3600, "hr", 2, 60, "m"), (60, "m", 10, 1, "s"))
"""As `_UNITS`, for times above the number."""
_JUST = 3.0


def counted(number: int, one: str, several: str = "") -> str:
    """Write a number with its noun: 1 row, 38 rows."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def percent(share: float) -> str:
    """Write a share in percent, with one decimal below 10 %: 0.2 %, 8.3 %, 48 %."""
    number = 100.0 * share
    return f"{signed(f'{number:.0f}' if abs(number) >= 10.0 else f'{number:.1f}')}{_SPACE}%"


def times(factor: float) -> str:
    """Write a factor: 0.15 times, 2.58 times, 1,200 times."""
    return f"{f'{factor:,.0f}' if factor >= 100.0 else f'{factor:.3g}'}{_SPACE}times"


def signed(number: str) -> str:
    """Return a written number with a minus sign instead of the hyphen."""
    return number.replace("-", "\u2212")


def duration(seconds: float) -> str:
    """Write a time in hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}{_SPACE}h {minutes}{_SPACE}min"
    return f"{minutes}{_SPACE}min {rest}{_SPACE}s" if minutes else f"{seconds:.1f}{_SPACE}s"


def rough_duration(seconds: float) -> str:
    """Write a time in two units, or in one if there are many of it, for a display that changes."""
    whole = round(seconds)
    for size, name, many, smaller, smaller_name in _UNITS:
        if whole < size:
            continue
        count, rest = divmod(whole, size)
        if count >= many:
            return f"{round(whole / size)} {name}"
        name = "day" if (count, name) == (1, "days") else name
        return f"{count} {name} {rest // smaller} {smaller_name}" if rest // smaller else f"{count} {name}"
    return f"{whole} s" if whole else "less than 1 s"


def age(seconds: float) -> str:
    """Write a time in the past: 5 s ago."""
    return "just now" if seconds < _JUST else f"{rough_duration(seconds)} ago"


def mebibytes(size: float) -> str:
    """Write an amount of memory."""
    return f"{size / 2**20:,.0f}{_SPACE}MiB" if size < 10 * 2**30 else f"{size / 2**30:,.1f}{_SPACE}GiB"


def format_bytes(size: float) -> str:
    """Write a size as `dask.utils.format_bytes` does, the import of which takes longer than many a command."""
    for prefix, unit in _BINARY:
        if size >= unit * 0.9:
            return f"{size / unit:.2f} {prefix}B"
    return f"{size} B"


def format_time(seconds: float) -> str:
    """Write a time as `dask.utils.format_time` does."""
    for size, name, many, smaller, smaller_name in _CLOCKS:
        if seconds > size * many:
            return f"{int(seconds / size)}{name} {int(seconds % size / smaller)}{smaller_name}"
    for unit, least in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= least:
            return f"{seconds / least:.2f} {unit}"
    return f"{seconds * 1e6:.2f} us"


def moment(written: str) -> str:
    """Write the ISO time of a record as 29 November 2026, 08:22 UTC; return other text unchanged."""
    try:
        when = datetime.fromisoformat(written)
    except ValueError:
        return written
    if when.tzinfo is None:
        return f"{when.day} {_MONTHS[when.month - 1]} {when.year}"
    when = when.astimezone(UTC)
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}, {when:%H:%M} UTC"


def month(written: str, short: bool = False) -> str:
    """Write the month 2000-04 as April 2000, or Apr 2000."""
    year, number = written.rsplit("-", 1)
    name = _MONTHS[int(number) - 1]
    return f"{name[:3] if short else name} {year}"


def listed(words: Sequence[str]) -> str:
    """Join words for a sentence: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def data_name(settings: Mapping[str, Any]) -> str:
    """Return the name of a run's ratings: the last parts of their paths, or the shape of the synthetic set."""
    names = [_path_name(str(path)) for path in settings.get("ingest", {}).get("ratings") or ()]
    if synthetic := settings.get("synth"):
        share = synthetic.get("fraction", 1.0)
        names.insert(0, f"{synthetic.get('shape', 'demo')}, synthetic" + (f" ({percent(share)})" if share < 1 else ""))
    if not names:
        return "ratings"
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _path_name(path: str) -> str:
    """Return the name of a folder, or of a file with its folder, since many files are called ratings.csv."""
    whole = path.removesuffix(f"?{MASK}").rstrip("/")  # the masked query of a URL in facts and records
    folder, name = posixpath.split(whole)
    above = posixpath.basename(folder)
    if any(sign in name for sign in "*?[{") and above:
        return above
    return f"{above}/{name}" if "." in name and above else name or whole
