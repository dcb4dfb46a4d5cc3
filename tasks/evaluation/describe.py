"""Counts of the ratings of a dataset by user, item, value and month, part by part.

Covers: the counts of one part with its validation ratings, their sum over parts, and the files of the sum.
Does not cover: errors of a model (breakdown.py), the tasks (pipeline/datasets/rating_counts.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files, npy

Counts = npt.NDArray[np.int64]

MOST_VALUES = 24
"""With more different ratings than these, they are not counted one by one."""
Values = dict[float, tuple[int, int]]
Months = dict[int, tuple[int, float]]


@dataclass(frozen=True)
class RatingCounts(Weighed):
    """Counts of some parts of a dataset; `+` adds those of other parts, whose users are others.

    Attributes
    ----------
    users : int32 (2, n), dense ids of users with training ratings, and the number of these.
    items : int32 (2, items), training and validation ratings of each item. A validation rating that the dataset lacks
        counts nowhere but in `values`.
    values : training and validation ratings by value; None: there are more than MOST_VALUES values.
    months : number and sum of the ratings of the dataset by month since January 1970; {} without timestamps.
    """

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    values: Values | None
    months: Months

    def __add__(self, other: RatingCounts) -> RatingCounts:
        return RatingCounts(
            np.concatenate([self.users, other.users], axis=1),
            self.items + other.items,
            None if self.values is None or other.values is None else _few(_added(self.values, other.values)),
            _added(self.months, other.months),
        )


class CountedRatings(TypedDict):
    """What `write_counts` wrote: the files' checksums, users with training ratings, and the rest of `RatingCounts`.

    `values` : (value, training ratings, validation ratings) each; `months` : (month, number, sum) each.
    """

    checksums: dict[str, str]
    trained_users: int
    values: list[tuple[float, int, int]] | None
    months: list[tuple[int, int, float]]


def count_part(part: Place, validation: Place, items: int) -> RatingCounts:
    """Count one part of a dataset of `items` items.

    Parameters
    ----------
    part : user and item int32, dense; rating float32; optional timestamp.
    validation : its validation ratings, whose `row` is that in the part; -1: the part lacks it.
    """
    table = files.read_table(part[0], expected_checksum=part[1])
    ratings = table["rating"].to_numpy()
    held_out = files.read_table(validation[0], ["rating", "row"], expected_checksum=validation[1])
    held_values, row = (held_out[name].to_numpy() for name in ("rating", "row"))
    inside = row[row >= 0]
    user, item = table["user"].to_numpy(), table["item"].to_numpy()
    of_users, held_out_of = np.bincount(user), np.bincount(user[inside])
    of_users[: len(held_out_of)] -= held_out_of
    of_items = np.stack([np.bincount(each, minlength=items) for each in (item, item[inside])])
    of_items[0] -= of_items[1]
    (trained,) = of_users.nonzero()
    return RatingCounts(
        np.stack([trained, of_users[trained]]).astype(np.int32),
        of_items.astype(np.int32),
        _values(_count_values(ratings), _count_values(ratings[inside]), _count_values(held_values)),
        _month_sums(table["timestamp"].to_numpy(), ratings) if "timestamp" in table.column_names else {},
    )


def write_counts(folder: str, users: int, counts: RatingCounts) -> CountedRatings:
    """Write users.npy, int64 (users,), training ratings by dense id; and items.npy, int64 (2, items)."""
    of_users = np.zeros(users, np.int64)
    of_users[counts.users[0]] = counts.users[1]
    arrays = {"users.npy": of_users, "items.npy": counts.items.astype(np.int64)}
    values = counts.values
    return {
        "checksums": {name: npy.write_array(files.join(folder, name), array) for name, array in arrays.items()},
        "trained_users": counts.users.shape[1],
        "values": None if values is None else [(value, *values[value]) for value in sorted(values)],
        "months": [(month, *counts.months[month]) for month in sorted(counts.months)],
    }


def months_of(timestamps: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Return months since January 1970 in UTC, int64 (n,)."""
    return timestamps.astype("datetime64[M]").astype(np.int64)


def _count_values(ratings: npt.NDArray[np.float32]) -> dict[float, int] | None:
    """Return the number of ratings by value; None with more than MOST_VALUES values."""
    counted = pa.array(ratings).value_counts()  # few values, so a hash table is much faster than a sort
    if len(counted) > MOST_VALUES:
        return None
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _values(
    whole: dict[float, int] | None, inside: dict[float, int] | None, held_out: dict[float, int] | None
) -> Values | None:
    """Return training and validation ratings by value; `inside` : of the validation ratings that the dataset has."""
    if whole is None or inside is None or held_out is None:
        return None
    found = {value: (whole.get(value, 0) - inside.get(value, 0), held_out.get(value, 0)) for value in whole | held_out}
    return _few(found)


def _added(mine: dict[Any, tuple[Any, Any]], others: dict[Any, tuple[Any, Any]]) -> dict[Any, tuple[Any, Any]]:
    """Return the sums of the pairs of both, by key."""
    found = dict(mine)
    for key, pair in others.items():
        before = found.get(key, (0, 0))
        found[key] = before[0] + pair[0], before[1] + pair[1]
    return found


def _few(values: Values) -> Values | None:
    return values if len(values) <= MOST_VALUES else None


def _month_sums(timestamps: npt.NDArray[np.datetime64], ratings: npt.NDArray[np.float32]) -> Months:
    """Count and add up by day, which is one division, and then by month."""
    if not len(timestamps):
        return {}
    days = timestamps.astype("datetime64[D]").astype(np.int64)
    first = days.min()
    days -= first
    counts, sums = np.bincount(days), np.bincount(days, weights=ratings)
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
