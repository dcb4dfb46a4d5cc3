"""The rows of one parsed chunk in the order of their buckets, and the chunk's distinct ids.

Covers: the plain way, for ids and times of any kind, and a compiled one for the usual integers, with the same result.
Does not cover: parsing, and files (bucket_rows.py), ids that are texts (coded_ids.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.coded_ids import number_chunk
from funkflow.tasks.dataset.sorting import stable_order
from funkflow.tasks.late import late
from funkflow.tasks.storage.arrow_arrays import as_column, numbers_of
from funkflow.tasks.storage.arrow_groups import narrow_integers, narrowest_type

if TYPE_CHECKING:
    from funkflow.tasks.kernels.ingest import counting
else:  # only many rows are worth the loading of numba
    counting = late("funkflow.tasks.kernels.ingest.counting")

_MOST_SPAN = 16 * 2**20
"""Marks of the ids of a wider range do not fit the cache."""


@dataclass(frozen=True)
class ChunkRows:
    """Rows in the order of their buckets.

    Attributes
    ----------
    columns : user and item, integers, or coded (coded_ids.py), rating float32 and timestamp, integer seconds; all (n,).
    starts : the first row of each bucket, and the end.
    users, items : the distinct ids, and the starts of their groups.
    """

    columns: dict[str, npt.NDArray[Any]]
    starts: Sequence[int]
    users: tuple[pa.Array, Sequence[int]]
    items: tuple[pa.Array, Sequence[int]]


def order_by_bucket(table: pa.Table, buckets: int, compiled: bool = False) -> ChunkRows:
    """Return parsed rows by the hash of the raw user.

    Parameters
    ----------
    table : user, item, and rating and timestamp if present.
    buckets : a power of two, at most 65,536.
    compiled : by compiled loops where they can; rows and order are the same, integers may be wider.
    """
    found = _order_compiled(table, buckets) if compiled else None
    if found is not None:
        return found
    users, items = number_chunk("user", table["user"], buckets), number_chunk("item", table["item"], 1)
    columns = {users.column: users.numbers, items.column: items.numbers}
    columns |= {"rating": numbers_of(table["rating"])} if "rating" in table.column_names else {}
    columns |= {"timestamp": narrow_integers(table["timestamp"])} if "timestamp" in table.column_names else {}
    order, starts = stable_order(users.buckets, buckets)
    places = order.astype(np.intp)  # otherwise NumPy makes these for each column
    return ChunkRows(
        {name: values[places] for name, values in columns.items()},
        starts.tolist(),
        (users.distinct, users.starts),
        (items.distinct, items.starts),
    )


def _order_compiled(table: pa.Table, buckets: int) -> ChunkRows | None:
    """Return the same by one compiled loop; None for ids or times of other kinds."""
    if not table.num_rows or not all(pa.types.is_integer(table[side].type) for side in ("user", "item")):
        return None
    least, greatest = {}, {}
    names = [name for name in ("user", "item", "timestamp") if name in table.column_names]
    integers = {name: numbers_of(table[name].cast(pa.int64())) for name in names}
    for name, values in integers.items():
        least[name], greatest[name] = int(values.min()), int(values.max())
        if np.dtype(narrowest_type(least[name], greatest[name])).itemsize > 4:
            return None
    spans = [greatest[side] - least[side] + 1 for side in ("user", "item")]
    if max(spans) > _MOST_SPAN:
        return None
    kind = narrowest_type(least["item"], greatest["item"])
    ratings = numbers_of(table["rating"]) if "rating" in table.column_names else np.empty(0, np.float32)
    given = {"user": integers["user"], "item": integers["item"], "rating": ratings}
    given["timestamp"] = integers.get("timestamp", np.empty(0, np.int64))
    kinds: dict[str, npt.DTypeLike] = {"user": np.int32, "item": kind, "rating": np.float32, "timestamp": np.int32}
    found: dict[str, npt.NDArray[Any]] = {name: np.empty(len(values), kinds[name]) for name, values in given.items()}
    is_user, is_item = (np.zeros(span, np.uint8) for span in spans)
    starts = np.zeros(buckets + 1, np.int64)
    counting.scatter(np.dtype(kind).str[1:])(
        *given.values(), buckets.bit_length() - 1, least["user"], least["item"], starts, is_user, is_item,
        *found.values(),
    )  # fmt: skip
    users, items = (
        (np.flatnonzero(marks) + least[side]).astype(narrowest_type(least[side], greatest[side]))
        for side, marks in (("user", is_user), ("item", is_item))
    )
    return ChunkRows(
        {name: values for name, values in found.items() if name in table.column_names},
        starts.tolist(),
        (as_column(users), [0, len(users)]),
        (as_column(items), [0, len(items)]),
    )
