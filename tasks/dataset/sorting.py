"""Sort ratings by bucket and by (user, item).

Covers: stable orders by NumPy's fastest means, and by compiled loops where the caller has rows enough to load them.
NumPy's radix sort of small keys takes 9 ns a row. For longer keys the key and the place of a rating are packed into one
number, which takes 60; an indirect sort takes ten times as long.
Does not cover: uses of the orders (bucket_rows.py, hold_out.py, tasks/grid/scatter.py), or the order in a block
(tasks/kernels/tiles.py).
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

_SLICE = 1 << 16
_MOST_BITS = 64
_RADIX_KEYS = 1 << 16
_SPREAD = 8
"""Counters take more time than other sorts where there are more of them than this many times the rows."""


def stable_order(
    keys: npt.NDArray[np.integer], size: int, compiled: bool = False
) -> tuple[_Places, npt.NDArray[np.int64]]:
    """Return the stable order of keys from 0 to size - 1, uint32 (n,), and the start of each key, int64 (size + 1,).

    `compiled` : sort by compiled loops; the order is the same.

    Raises
    ------
    ValueError
        A key is negative, or `size` or more.
    """
    if len(keys) and not (keys.min() >= 0 and keys.max() < size):
        raise ValueError(f"keys from {keys.min()} to {keys.max()} are not all from 0 to {size - 1}")
    starts = np.zeros(size + 1, np.int64)
    if size > _RADIX_KEYS:
        np.cumsum(np.bincount(keys, minlength=size), out=starts[1:])
        return _sort_places([keys]), starts
    short = keys.astype(np.uint16, copy=False)
    if compiled:
        places = np.empty(len(keys), np.uint32)
        counting.order_keys()(short, starts, places)
        return places, starts
    np.cumsum(np.bincount(short, minlength=size), out=starts[1:])
    return np.argsort(short, kind="stable").astype(np.uint32), starts


def sort_pairs(users: Rows, items: Rows) -> tuple[Rows, Rows, _Places]:
    """Sort pairs stably by (user, item); return users, items and their earlier places, uint32 (n,).

    Raises
    ------
    ValueError
        A row is negative.
    """
    _refuse_negative(users, items)
    places = _sort_places([users, items])
    order = places.astype(np.intp)  # otherwise NumPy makes these for each column
    return users[order], items[order], places


def sort_rows(columns: Columns, compiled: bool = False) -> Columns:
    """Sort rows stably by (user, item).

    Parameters
    ----------
    columns : user and item int32; rating float32 and timestamp datetime64[s] if present; all (n,).
    compiled : sort by compiled loops; the order is the same.

    Raises
    ------
    ValueError
        A row is negative.
    """
    users, items = columns["user"], columns["item"]
    if not compiled or not 0 < int(users.max(initial=0)) + int(items.max(initial=0)) < _SPREAD * len(users):
        users, items, places = sort_pairs(users, items)
        order = places.astype(np.intp)
        rest = {name: values[order] for name, values in columns.items() if name not in ("user", "item")}
        return {"user": users, "item": items, **rest}
    _refuse_negative(users, items)
    absent = {"rating": np.empty(0, np.float32), "timestamp": np.empty(0, "M8[s]")}
    given = [np.ascontiguousarray({**absent, **columns}[name]) for name in ("user", "item", "rating", "timestamp")]
    found = [np.empty_like(values) for values in given]
    counting.sort_rows()(*(values.view(np.int64) if values.dtype.kind == "M" else values for values in [*given, *found]))
    return {name: values for name, values in zip(("user", "item", "rating", "timestamp"), found, strict=True) if name in columns}


def _refuse_negative(users: Rows, items: Rows) -> None:
    if len(users) and min(users.min(), items.min()) < 0:
        raise ValueError(f"row {min(users.min(), items.min())} is negative")


def _sort_places(columns: list[npt.NDArray[np.integer]]) -> _Places:
    """Return the stable order by several non-negative columns, the first being the most significant."""
    count = len(columns[0])
    bits = [int(column.max(initial=0)).bit_length() for column in columns]
    place_bits = max(count - 1, 0).bit_length()
    if sum(bits) + place_bits > _MOST_BITS:
        return np.lexsort(columns[::-1]).astype(np.uint32)
    keys, places = np.empty(count, np.uint64), np.empty(count, np.uint32)
    slices = [slice(start, start + _SLICE) for start in range(0, count, _SLICE)]
    for part in slices:
        key = np.zeros(len(keys[part]), np.uint64)
        for column, width in zip(columns, bits, strict=True):
            key = key << np.uint64(width) | column[part].astype(np.uint64)
        keys[part] = key << np.uint64(place_bits) | np.arange(part.start, part.start + len(key), dtype=np.uint64)
    keys.sort()
    for part in slices:
        places[part] = keys[part] & np.uint64((1 << place_bits) - 1)
    return places
