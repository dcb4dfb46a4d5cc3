"""Measure several contestants of one case in turn, several times, and take medians.

Covers: the order of measurements, what becomes of several, and refusing speeds that must not be quoted.
Does not cover: what is measured (sections/), or how rows look (table.py).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.data import Data
from bench.verdict import objection


@dataclass(frozen=True)
class Measurement:
    """One contestant, once. `seconds` is what is compared (0: nothing is); `ratings` gone through give the speed.

    `rmse` is None where there is no model to judge; `failed` says in one line why nothing else counts.
    """

    seconds: float = 0.0
    ratings: int = 0
    rmse: float | None = None
    peak_memory_bytes: int = 0
    note: str = ""
    failed: str = ""
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One line of the table: a contestant's medians in one case.

    `ratio` is its seconds over those of the case's first contestant. Where it failed, there are no numbers of speed.
    `measured` has every single measurement's seconds, in order; `more` what only the JSON shows.
    """

    section: str
    case: str
    contestant: str
    seconds: float | None = None
    ratings_per_second: float | None = None
    peak_memory_bytes: int | None = None
    rmse: float | None = None
    ratio: float | None = None
    failed: str = ""
    note: str = ""
    measured: list[float] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)


Contestants = Mapping[str, Callable[[], Measurement]]


def compare(
    section: str, case: str, contestants: Contestants, repeats: int, data: Data, once: Collection[str] = ()
) -> list[Row]:
    """Measure all contestants `repeats` times, in turn, so that a machine that drifts favours none; return their rows.

    Each round begins with another one. Who failed once is not asked again; nor is who is named in `once`.
    """
    taken: dict[str, list[Measurement]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(repeats):
        first = turn % len(names) if names else 0
        for name in (*names[first:], *names[:first]):
            if not any(each.failed for each in taken[name]) and not (taken[name] and name in once):
                taken[name].append(_judged(contestants[name](), data))
    rows = [_row(section, case, name, taken[name]) for name in names]
    base = rows[0].seconds if rows else None
    return [Row(**{**vars(row), "ratio": row.seconds / base if row.seconds and base else None}) for row in rows]


def _judged(measurement: Measurement, data: Data) -> Measurement:
    if measurement.failed or measurement.rmse is None:
        return measurement
    failed = objection(measurement.rmse, data)
    quotable = measurement.rmse if math.isfinite(measurement.rmse) else None  # JSON knows no NaN
    return Measurement(failed=failed, rmse=quotable) if failed else measurement


def _row(section: str, case: str, name: str, taken: list[Measurement]) -> Row:
    failures = [each for each in taken if each.failed]
    if failures:
        return Row(section, case, name, failed=failures[0].failed, rmse=failures[0].rmse)
    seconds = statistics.median(each.seconds for each in taken)
    errors = [each.rmse for each in taken if each.rmse is not None]
    middle = min(taken, key=lambda each: abs(each.seconds - seconds))
    return Row(
        section, case, name,
        seconds=seconds or None,
        ratings_per_second=middle.ratings / seconds if middle.ratings and seconds else None,
        peak_memory_bytes=max(each.peak_memory_bytes for each in taken) or None,
        rmse=statistics.median(errors) if errors else None,
        note=middle.note,
        measured=[each.seconds for each in taken],
        more=middle.more,
    )  # fmt: skip
