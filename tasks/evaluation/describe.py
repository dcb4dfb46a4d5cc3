"""What a set of ratings looks like, part by part: who rates how often, what, and when.

Covers: the counts of one Parquet part, and adding those of several parts up.
Does not cover: errors of a model (breakdown.py), which parts there are (pipeline/stages/report.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.storage import files

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PartCounts:
    """Counts of one part of ratings.

    `users`, `items` : dense ids that occur, and how often; `values` : ratings by value; `months` : ratings and their
    sum by month, counted from January 1970; empty without timestamps. `within` : of `values`, those of rows that the
    dataset has, too; `users` and `items` count only these.
    """

    users: tuple[Counts, Counts]
    items: tuple[Counts, Counts]
    values: dict[float, int]
    within: dict[float, int]
    months: dict[int, tuple[int, float]]


@dataclass
class Described:
    """Counts of a whole set. `users`, `items` : ratings of each dense id; the rest as of its parts."""

    users: Counts
    items: Counts
    values: Counter[float] = field(default_factory=Counter)
    within: Counter[float] = field(default_factory=Counter)
    months: dict[int, tuple[int, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, users: int, items: int, parts: Iterable[PartCounts]) -> Described:
        """Add up parts of a set with so many users and items; a sum is taken in the order of the parts."""
        all_of_it = cls(np.zeros(users, np.int64), np.zeros(items, np.int64))
        for part in parts:
            for total, (ids, counts) in ((all_of_it.users, part.users), (all_of_it.items, part.items)):
                total[ids] += counts  # ids occur once in a part
            all_of_it.values.update(part.values)
            all_of_it.within.update(part.within)
            for month, (count, total_rating) in part.months.items():
                before = all_of_it.months.get(month, (0, 0.0))
                all_of_it.months[month] = (before[0] + count, before[1] + total_rating)
        return all_of_it


def describe_part(url: str, expected_checksum: str) -> PartCounts:
    """Count one part: user and item int32 (dense; -1: unknown, left out), rating float32, timestamp if there.

    One of held-out ratings has row, too, their place in the dataset, -1 where it does not have them.
    """
    table = files.read_table(url, expected_checksum=expected_checksum)
    ratings = table["rating"].to_numpy()
    values = _by_value(ratings)
    users, items, within = table["user"].to_numpy(), table["item"].to_numpy(), values
    if "row" in table.column_names and not (here := table["row"].to_numpy() >= 0).all():
        users, items, within = users[here], items[here], _by_value(ratings[here])
    months = _by_month(table["timestamp"].to_numpy(), ratings) if "timestamp" in table.column_names else {}
    return PartCounts(_counted(users), _counted(items), values, within, months)


def months_of(timestamps: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Return months since January 1970, in UTC."""
    return timestamps.astype("datetime64[M]").astype(np.int64)


def _counted(ids: npt.NDArray[np.int32]) -> tuple[Counts, Counts]:
    counts = np.bincount(ids[ids >= 0])
    (found,) = counts.nonzero()
    return found.astype(np.int64), counts[found].astype(np.int64)


def _by_value(ratings: npt.NDArray[np.float32]) -> dict[float, int]:
    counted = pa.array(ratings).value_counts()  # by a hash table: few values, so much faster than by sorting
    pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    return dict(sorted(pairs))


def _by_month(timestamps: npt.NDArray[np.datetime64], ratings: npt.NDArray[np.float32]) -> dict[int, tuple[int, float]]:
    """Count and add up by day, which is a division, and then the days of a month."""
    if not len(timestamps):
        return {}
    days = timestamps.astype("datetime64[s]").astype(np.int64) // 86_400
    first = days.min()
    counts, sums = np.bincount(days - first), np.bincount(days - first, weights=ratings)
    months = months_of((first + np.arange(len(counts))).astype("datetime64[D]"))
    found, places = np.unique(months, return_inverse=True)
    by_month = zip(found, np.bincount(places, weights=counts), np.bincount(places, weights=sums), strict=True)
    return {int(month): (int(count), float(sum_)) for month, count, sum_ in by_month if count}


def doubling_bin(counts: Counts) -> Counts:
    """Return the bin of each count: 0 for 0, 1 for 1, 2 for 2 and 3, 3 for 4 to 7, and so on."""
    return np.frexp(counts.astype(np.float64))[1].astype(np.int64)


def bounds_of_bin(number: int) -> tuple[int, int]:
    """Return least and greatest count of a bin."""
    return (0, 0) if number == 0 else (2 ** (number - 1), 2**number - 1)
