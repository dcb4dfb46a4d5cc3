"""Ids in scratch: rows have integers, either the raw ids or places among the distinct texts of their chunk.

Covers: numbering the ids of one chunk, in groups by bucket; reading a chunk's distinct ids and its rows of some groups.
Does not cover: dense ids (number_ids.py), the rest of a row (bucket_rows.py).

So a text is written, read and looked up once for each chunk it is in, and not once a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.sorting import stable_order
from funkflow.tasks.parsing.ids import buckets_of, unique
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import as_column, numbers_of
from funkflow.tasks.storage.arrow_groups import narrow_integers, narrowest_type, read_groups, write_groups

CODE = "_code"
"""Ends the name of a column of places."""


@dataclass(frozen=True)
class ChunkIds:
    """The ids of one side of a chunk.

    Attributes
    ----------
    column : the name of the column of rows: the side, with CODE if the ids are texts.
    numbers : (rows,), the raw ids, or the place of each among the distinct ids of its bucket.
    buckets : uint16 (rows,), the bucket of each row.
    distinct, starts : the distinct ids, texts in the order of the buckets; the start of each bucket, or of all.
    """

    column: str
    numbers: npt.NDArray[np.signedinteger]
    buckets: npt.NDArray[np.uint16]
    distinct: pa.Array
    starts: Sequence[int]


@dataclass(frozen=True)
class PartIds:
    """The ids of one side of a part. `ids` : raw ids; `codes` : each row's place in them; None: its own."""

    ids: pa.ChunkedArray
    codes: npt.NDArray[np.integer] | None = None

    def __len__(self) -> int:
        return len(self.ids) if self.codes is None else len(self.codes)

    def dense(self, look_up: Callable[[pa.ChunkedArray], npt.NDArray[np.int32]]) -> npt.NDArray[np.int32]:
        """Return what `look_up` gives for each row's id; it is asked once for each of `ids`."""
        found = look_up(self.ids)
        return found if self.codes is None else found[self.codes]

    def raw(self) -> pa.ChunkedArray:
        """Return each row's raw id."""
        return self.ids if self.codes is None else self.ids.take(as_column(self.codes))


def number_chunk(side: str, raw_ids: pa.ChunkedArray, buckets: int) -> ChunkIds:
    """Number the ids of one side of a chunk, for rows in so many buckets; 1 for a side that does not decide them."""
    if pa.types.is_integer(raw_ids.type):
        distinct = as_column(narrow_integers(pa.chunked_array([unique(raw_ids)])))
        return ChunkIds(side, narrow_integers(raw_ids), buckets_of(raw_ids, buckets), distinct, [0, len(distinct)])
    encoded = raw_ids.combine_chunks().dictionary_encode()
    of_row = numbers_of(encoded.indices)
    bucket = buckets_of(encoded.dictionary, buckets)
    order, starts = stable_order(bucket, buckets)
    places = np.empty(len(order), narrowest_type(0, int(np.diff(starts).max(initial=0))))
    places[order] = np.arange(len(order)) - np.repeat(starts[:-1], np.diff(starts))
    distinct = encoded.dictionary.take(as_column(order))
    return ChunkIds(side + CODE, places[of_row], bucket[of_row], distinct, starts.tolist())


def ids_url(folder: str, side: str, number: int) -> str:
    """Return the path of the distinct raw users or items of chunk `number`."""
    return files.join(folder, f"{side}s-{number:05d}.arrow")


def write_distinct(folder: str, side: str, number: int, distinct: pa.Array, starts: Sequence[int]) -> None:
    """Write the distinct ids of a chunk in their groups."""
    write_groups(ids_url(folder, side, number), pa.table({"raw_id": distinct}), starts)


def gather_ids(folder: str, side: str, tables: Sequence[pa.Table], groups: Iterable[int]) -> PartIds:
    """Return the ids of rows that were read from the same groups of all chunks, in their order.

    Parameters
    ----------
    tables : the rows of each chunk, one piece of each column a group.
    """
    if side in tables[0].column_names:
        return PartIds(pa.concat_tables([each.select([side]) for each in tables], promote_options="permissive")[side])
    texts, codes, found = [], [], 0
    by_group = side == "user"
    for number, table in enumerate(tables):
        known = read_groups(ids_url(folder, side, number), groups if by_group else [0])["raw_id"]
        own = table[side + CODE].chunks
        pairs = zip(own, known.chunks, strict=True) if by_group else [(table[side + CODE], known.combine_chunks())]
        for places, ids in pairs:
            code = numbers_of(places).astype(np.int64)
            if not by_group:  # only some of them are in this part
                is_used = np.zeros(len(ids), np.bool_)
                is_used[code] = True
                ids, code = ids.take(as_column(np.flatnonzero(is_used))), (np.cumsum(is_used) - 1)[code]
            texts.append(ids)
            codes.append(code + found)
            found += len(ids)
    return PartIds(pa.chunked_array(texts, texts[0].type), np.concatenate(codes))
