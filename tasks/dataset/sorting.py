"""Sort ratings by bucket and by (user, item).

Covers: stable orders by NumPy, and by compiled loops where the caller has rows enough to load them. NumPy's stable sort
of 16 bits is a radix sort: 9 to 13 ns a row, a tenth of an indirect sort of longer keys, which so come digit by digit.
Does not cover: uses of the orders (bucket_rows.py, hold_out.py), or the order in a block (tasks/kernels/tiles.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.late import late

if TYPE_CHECKING:
    from funkflow.tasks.kernels.ingest import counting
else:  # only many rows are worth the loading of numba
    counting = late("funkflow.tasks.kernels.ingest.counting")

Rows = npt.NDArray[np.int32]
Columns = dict[str, npt.NDArray[Any]]
_Places = npt.NDArray[np.uint32]

_DIGIT_BITS = 16
_SPREAD = 8
"""Counters take more time than other sorts where there are more of them than this many times the rows."""


def stable_order(keys: npt.NDArray[np.integer], size: int) -> tuple[_Places, npt.NDArray[np.int64]]:
    """Return the stable order of keys from 0 to size - 1, uint32 (n,), and the start of each key, int64 (size + 1,).

    Raises
    ------
    ValueError
        A key is negative, or `size` or more.
    """
    if len(keys) and not (keys.min() >= 0 and keys.max() < size):
        raise ValueError(f"keys from {keys.min()} to {keys.max()} are not all from 0 to {size - 1}")
    starts = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(keys, minlength=size), out=starts[1:])
    return _sort_places([keys]).astype(np.uint32), starts


def sort_pairs(users: Rows, items: Rows) -> tuple[Rows, Rows, _Places]:
    """Sort pairs stably by (user, item); return users, items and their earlier places, uint32 (n,).

    Raises
    ------
    ValueError
        A row is negative.
    """
    _refuse_negative(users, items)
    order = _sort_places([users, items])
    return users[order], items[order], order.astype(np.uint32)


def sort_rows(columns: Columns, compiled: bool = False) -> Columns:
    """Sort rows stably by (user, item).

    Parameters
    ----------
    columns : user and item int32; rating float32 and timestamp int32, or another integer, if present; all (n,).
    compiled : sort by compiled loops, if times are int32; the order is the same.

    Raises
    ------
    ValueError
        A row is negative.
    """
    users, items = columns["user"], columns["item"]
    _refuse_negative(users, items)
    absent = {"rating": np.empty(0, np.float32), "timestamp": np.empty(0, np.int32)}
    given = [{**absent, **columns}[name] for name in ("user", "item", "rating", "timestamp")]
    counters = int(users.max(initial=0)) + int(items.max(initial=0))
    if not compiled or not 0 < counters < _SPREAD * len(users) or given[-1].dtype != np.int32:
        order = _sort_places([users, items])
        return {name: values[order] for name, values in columns.items()}
    found = [np.empty_like(values) for values in given]
    counting.sort_rows()(*map(np.ascontiguousarray, given), *found)
    user, item, rating, timestamp = found
    return {name: {"user": user, "item": item, "rating": rating, "timestamp": timestamp}[name] for name in columns}


def _refuse_negative(users: Rows, items: Rows) -> None:
    if len(users) and min(users.min(), items.min()) < 0:
        raise ValueError(f"row {min(users.min(), items.min())} is negative")


def _sort_places(columns: list[npt.NDArray[np.integer]]) -> npt.NDArray[np.intp]:
    """Return the stable order by several non-negative columns, the first being the most significant."""
    digits = [
        (column >> shift).astype(np.uint16)
        for column in reversed(columns)
        for shift in range(0, max(1, int(column.max(initial=0)).bit_length()), _DIGIT_BITS)
    ]
    order = np.argsort(digits[0], kind="stable")
    for digit in digits[1:]:
        order = order[np.argsort(digit[order], kind="stable")]
    return order
