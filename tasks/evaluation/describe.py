"""Counts of ratings by user, item, value and month, part by part.

Covers: the counts of one Parquet part, and their sum over parts.
Does not cover: errors of a model (breakdown.py), the list of parts (pipeline/stages/report.py).
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

    `users`, `items` : dense ids and their numbers of ratings, int64; `values` : number of ratings by value; `months` :
    number and sum of ratings by month since January 1970; empty without timestamps. `within` : `values` of rows that
    the dataset has, too; `users` and `items` count only these.
    """

    users: tuple[Counts, Counts]
    items: tuple[Counts, Counts]
    values: dict[float, int]
    within: dict[float, int]
    months: dict[int, tuple[int, float]]


@dataclass
class RatingCounts:
    """Counts of a whole set. `users`, `items` : number of ratings of each dense id, int64; the rest as in its parts."""

    users: Counts
    items: Counts
    values: Counter[float] = field(default_factory=Counter)
    within: Counter[float] = field(default_factory=Counter)
    months: dict[int, tuple[int, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, users: int, items: int, parts: Iterable[PartCounts]) -> RatingCounts:
        """Add up the parts of a set of `users` and `items`, in the order of the parts."""
        total_counts = cls(np.zeros(users, np.int64), np.zeros(items, np.int64))
        for part in parts:
            for total, (ids, counts) in ((total_counts.users, part.users), (total_counts.items, part.items)):
                total[ids] += counts  # ids occur once in a part
            total_counts.values.update(part.values)
            total_counts.within.update(part.within)
            for month, (count, total_rating) in part.months.items():
                before = total_counts.months.get(month, (0, 0.0))
                total_counts.months[month] = (before[0] + count, before[1] + total_rating)
        return total_counts


def describe_part(url: str, expected_checksum: str) -> PartCounts:
    """Count one part: user and item int32 (dense; -1: missing, left out), rating float32, optional timestamp.

    A part of validation ratings has `row`, too, the row in the dataset; -1: none.
    """
    table = files.read_table(url, expected_checksum=expected_checksum)
    ratings = table["rating"].to_numpy()
    values = _value_counts(ratings)
    users, items, within = table["user"].to_numpy(), table["item"].to_numpy(), values
    if "row" in table.column_names and not (here := table["row"].to_numpy() >= 0).all():
        users, items, within = users[here], items[here], _value_counts(ratings[here])
    months = _month_sums(table["timestamp"].to_numpy(), ratings) if "timestamp" in table.column_names else {}
    return PartCounts(_id_counts(users), _id_counts(items), values, within, months)


def months_of(timestamps: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Return months since January 1970 in UTC, int64 (n,)."""
    return timestamps.astype("datetime64[M]").astype(np.int64)


def _id_counts(ids: npt.NDArray[np.int32]) -> tuple[Counts, Counts]:
    counts = np.bincount(ids[ids >= 0])
    (found,) = counts.nonzero()
    return found.astype(np.int64), counts[found].astype(np.int64)


def _value_counts(ratings: npt.NDArray[np.float32]) -> dict[float, int]:
    counted = pa.array(ratings).value_counts()  # few values, so a hash table is much faster than a sort
    pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    return dict(sorted(pairs))


def _month_sums(
    timestamps: npt.NDArray[np.datetime64], ratings: npt.NDArray[np.float32]
) -> dict[int, tuple[int, float]]:
    """Count and add up by day, which is one division, and then by month."""
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
    """Return the bin of each count, int64: 0 for 0, 1 for 1, 2 for 2 and 3, 3 for 4 to 7, and so on."""
    return np.frexp(counts.astype(np.float64))[1].astype(np.int64)


def bounds_of_bin(number: int) -> tuple[int, int]:
    """Return least and greatest count of a bin."""
    return (0, 0) if number == 0 else (2 ** (number - 1), 2**number - 1)
