"""Map raw ids to dense ids, and hash raw ids with hashes that never change.

Covers: hashing integers and strings, collecting distinct ids, assigning dense ids in a seeded order, looking them up.
Does not cover: the place of a dense id in the grid (tasks/grid/block.py), or titles (titles.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.errors import BadInput
from funkflow.tasks.mix import mix
from funkflow.tasks.parsing.text_hash import hash_texts
from funkflow.tasks.storage.arrow_arrays import numbers_of

USERS, ITEMS = 0, 1
"""The two sides; part of the seed, so that users and items are shuffled independently."""

MOST_IDS = 2**31 - 1
"""The most ids of a side: dense ids are int32, in the dataset's files and everywhere else."""
_MERGE_IDS = 16_000_000
_PIECE_IDS = 64 * 1024
_TABLE_IDS = 16 * 2**20
"""Integer ids with at most this range use a lookup table: at most 64 MiB of dense ids."""


def hash_ids(raw_ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Return a uint64 hash of each raw id, int64 or string (n,); equal ids have equal hashes on any machine."""
    if pa.types.is_integer(raw_ids.type):
        return mix(raw_ids.to_numpy().astype(np.int64).view(np.uint64))
    pieces = raw_ids.chunks if isinstance(raw_ids, pa.ChunkedArray) else [raw_ids]
    return mix(np.concatenate([np.empty(0, np.uint64), *(hash_texts(each.cast(pa.string())) for each in pieces)]))


def buckets_of(raw_ids: pa.Array | pa.ChunkedArray, buckets: int) -> npt.NDArray[np.uint16]:
    """Return the bucket of each raw id, 0 to buckets - 1. `buckets` is a power of two, at most 65,536.

    The leading bits decide, so halving the number of buckets joins neighbours and splits none.
    """
    bits = buckets.bit_length() - 1
    found = np.zeros(len(raw_ids), np.uint16)
    if bits == 0:
        return found
    if not pa.types.is_integer(raw_ids.type):
        found[:] = hash_ids(raw_ids) >> np.uint64(64 - bits)
        return found
    for place, integers in _cached_pieces(raw_ids):
        found[place] = mix(integers.view(np.uint64)) >> np.uint64(64 - bits)
    return found


def distinct(arrays: Iterable[pa.Array | pa.ChunkedArray], kind: pa.DataType) -> pa.Array:
    """Return the sorted distinct values of all arrays; memory holds these values and a few arrays."""
    merged = pa.array([], kind)
    waiting: list[pa.Array] = []
    for array in arrays:
        waiting += array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        if sum(map(len, waiting)) > _MERGE_IDS:
            merged, waiting = unique(pa.chunked_array([merged, *waiting])), []
    return unique(pa.chunked_array([merged, *waiting], kind))


def unique(column: pa.ChunkedArray) -> pa.Array:
    """Return the sorted distinct values of a column; integers of a small range take a table."""
    least, span = _integer_range(column)
    if span > _TABLE_IDS:
        found = pc.unique(column)
        return found.take(pc.sort_indices(found))
    seen = np.zeros(span, np.bool_)
    for _, integers in _cached_pieces(column):
        seen[integers - least] = True
    return pa.array(np.flatnonzero(seen) + least).cast(column.type)


def dense_order(sorted_ids: pa.Array, seed: int, side: int, generation: int = 0) -> pa.Array:
    """Return raw ids in the order of their dense ids: place d of the result has the raw id of dense id d.

    (seed, side) shuffle the sorted ids, so the order depends only on the set of ids; ids that a dataset adds to its
    parent's also depend on the generation.
    """
    later = [generation] if generation else []
    generator = np.random.default_rng(np.random.SeedSequence([seed, side, *later]))
    return sorted_ids.take(pa.array(generator.permutation(len(sorted_ids))))


def close_gaps(dense_ids: pa.Array, kept: npt.NDArray[np.bool_]) -> pa.Array:
    """Return the kept raw ids in the order of their dense ids; the last ids fill the gaps.

    So at most as many ids change their number as there are gaps.
    """
    survivors = np.flatnonzero(kept)
    places = np.arange(len(survivors))
    places[~kept[: len(survivors)]] = survivors[survivors >= len(survivors)]
    return dense_ids.take(pa.array(places))


def refuse_too_many_ids(ids: int, side: str) -> None:
    """Raise BadInput if a side ("user", "item") has more ids than int32 can number."""
    if ids > MOST_IDS:
        raise BadInput(
            f"{ids:,} different {side} ids: at most {MOST_IDS:,} fit dense ids of 32 bits; factorise the ratings in "
            f"several parts by {side}, or join ids that mean the same"
        )


def look_up(raw_ids: pa.Array | pa.ChunkedArray, known: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Return the dense id of each raw id, int32 (n,): its place in `known`; -1 for a missing one.

    Integers of a small range use a table, which takes a fifth of the time of a hash join.
    """
    whole = known.combine_chunks() if isinstance(known, pa.ChunkedArray) else known
    least, span = _integer_range(pa.chunked_array([whole]))
    if span > _TABLE_IDS or not pa.types.is_integer(raw_ids.type):
        found = pc.fill_null(pc.index_in(raw_ids.cast(whole.type), value_set=whole), -1)
        dense: npt.NDArray[np.int32] = numbers_of(found).astype(np.int32)
        return dense
    table = np.full(span + 1, -1, np.int32)  # the last place is for missing ids
    table[numbers_of(whole) - least] = np.arange(len(whole), dtype=np.int32)
    dense = np.empty(len(raw_ids), np.int32)
    for place, integers in _cached_pieces(raw_ids):
        integers -= least
        integers[(integers < 0) | (integers > span)] = span
        dense[place] = table[integers]
    return dense


def _cached_pieces(column: pa.Array | pa.ChunkedArray) -> Iterator[tuple[slice, npt.NDArray[np.int64]]]:
    """Yield the slices of a column of integers, and copies of them that fit the cache."""
    start = 0
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        for begin in range(0, len(chunk), _PIECE_IDS):
            integers = numbers_of(chunk.slice(begin, _PIECE_IDS)).astype(np.int64)
            yield slice(start, start + len(integers)), integers
            start += len(integers)


def _integer_range(column: pa.ChunkedArray) -> tuple[int, int]:
    """Return the least of a column's integers, and the length of a table up to the greatest."""
    if not pa.types.is_integer(column.type):
        return 0, _TABLE_IDS + 1
    extremes = pc.min_max(column).as_py()
    return (extremes["min"], extremes["max"] - extremes["min"] + 1) if len(column) else (0, 0)
