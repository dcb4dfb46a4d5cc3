"""Raw ids of any kind to dense ones, and hashes of raw ids that never change.

Covers: hashing integers and strings, collecting distinct ids, handing out dense ids in a seeded order, looking them up.
Does not cover: where a dense id lives in the grid (tasks/grid/block.py), or titles (titles.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.errors import BadInput

USERS, ITEMS = 0, 1
"""The two sides; part of the seed, so that users and items are shuffled apart."""

MOST_IDS = 2**31 - 1
"""Of each side: dense ids are int32, in the dataset's files and wherever rows are counted."""
_MERGE_IDS = 16_000_000
_PIECE_IDS = 64 * 1024
_TABLE_IDS = 16 * 2**20
"""Integer ids that span no more than this are looked up in a table: 64 MiB of dense ids at most."""


def mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return splitmix64 of every value: a bijection of uint64 that looks random (Steele, Lea and Flood 2014)."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def hash_ids(raw_ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Return one uint64 hash for every raw id, int64 or string; equal ids have equal hashes on any machine."""
    if pa.types.is_integer(raw_ids.type):
        return mix(raw_ids.to_numpy().astype(np.int64).view(np.uint64))
    encoded = (
        raw_ids.combine_chunks().dictionary_encode()
        if isinstance(raw_ids, pa.ChunkedArray)
        else raw_ids.dictionary_encode()
    )
    distinct = np.array(encoded.dictionary.to_pylist(), dtype=object)
    hashes: npt.NDArray[np.uint64] = (
        mix(pd.util.hash_array(distinct, categorize=False)) if len(distinct) else np.empty(0, np.uint64)
    )
    found: npt.NDArray[np.uint64] = hashes[encoded.indices.to_numpy()]
    return found


def buckets_of(raw_ids: pa.Array | pa.ChunkedArray, buckets: int) -> npt.NDArray[np.uint16]:
    """Return the bucket of every raw id, 0 to buckets - 1. `buckets` is a power of two, at most 65,536.

    The leading bits decide: halving the number of buckets joins neighbours and parts nothing.
    """
    bits = buckets.bit_length() - 1
    found = np.zeros(len(raw_ids), np.uint16)
    if bits == 0:
        return found
    if not pa.types.is_integer(raw_ids.type):
        found[:] = hash_ids(raw_ids) >> np.uint64(64 - bits)
        return found
    for place, integers in _pieces(raw_ids):
        found[place] = mix(integers.view(np.uint64)) >> np.uint64(64 - bits)
    return found


def distinct(arrays: Iterable[pa.Array | pa.ChunkedArray], kind: pa.DataType) -> pa.Array:
    """Return the distinct values of all arrays, sorted; memory is bounded by the distinct values plus a few arrays."""
    merged = pa.array([], kind)
    waiting: list[pa.Array] = []
    for array in arrays:
        waiting += array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        if sum(map(len, waiting)) > _MERGE_IDS:
            merged, waiting = unique(pa.chunked_array([merged, *waiting])), []
    return unique(pa.chunked_array([merged, *waiting], kind))


def unique(column: pa.ChunkedArray) -> pa.Array:
    """Return the distinct values of a column, sorted: integers that lie close together by a table of those seen."""
    least, span = _range(column)
    if span > _TABLE_IDS:
        found = pc.unique(column)
        return found.take(pc.sort_indices(found))
    seen = np.zeros(span, np.bool_)
    for _, integers in _pieces(column):
        seen[integers - least] = True
    return pa.array(np.flatnonzero(seen) + least).cast(column.type)


def dense_order(sorted_ids: pa.Array, seed: int, side: int, generation: int = 0) -> pa.Array:
    """Return raw ids in the order of their dense ids: place d of the result holds the raw id of dense id d.

    The order is drawn from (seed, side) over the sorted ids, so it depends on the set of ids and nothing else; that of
    ids that come to those of an earlier dataset is drawn from the generation, too.
    """
    later = [generation] if generation else []
    generator = np.random.default_rng(np.random.SeedSequence([seed, side, *later]))
    return sorted_ids.take(pa.array(generator.permutation(len(sorted_ids))))


def closed_up(dense_ids: pa.Array, kept: npt.NDArray[np.bool_]) -> pa.Array:
    """Return the raw ids that are kept, in the order of their dense ids; each gap takes the last one there is.

    So no more ids get another number than there were gaps.
    """
    survivors = np.flatnonzero(kept)
    places = np.arange(len(survivors))
    places[~kept[: len(survivors)]] = survivors[survivors >= len(survivors)]
    return dense_ids.take(pa.array(places))


def refuse_too_many(ids: int, side: str) -> None:
    """Raise BadInput if a side ("user", "item") has more ids than dense ids can tell apart."""
    if ids > MOST_IDS:
        raise BadInput(
            f"{ids:,} different {side} ids: at most {MOST_IDS:,} fit dense ids of 32 bits; factorise the ratings in "
            f"several parts by {side}, or join ids that mean the same"
        )


def look_up(raw_ids: pa.Array | pa.ChunkedArray, known: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Return the dense id of every raw id, its place in `known`, and -1 for a raw id that is not there.

    Integers that lie close together are looked up in a table, which takes a fifth of the time of a hash join.
    """
    whole = known.combine_chunks() if isinstance(known, pa.ChunkedArray) else known
    least, span = _range(pa.chunked_array([whole]))
    if span > _TABLE_IDS or not pa.types.is_integer(raw_ids.type):
        found = pc.fill_null(pc.index_in(raw_ids.cast(whole.type), value_set=whole), -1)
        dense: npt.NDArray[np.int32] = found.to_numpy().astype(np.int32)
        return dense
    table = np.full(span + 1, -1, np.int32)  # the last place is that of all ids that are not known
    table[whole.to_numpy() - least] = np.arange(len(whole), dtype=np.int32)
    dense = np.empty(len(raw_ids), np.int32)
    for place, integers in _pieces(raw_ids):
        integers -= least
        integers[(integers < 0) | (integers > span)] = span
        dense[place] = table[integers]
    return dense


def _pieces(column: pa.Array | pa.ChunkedArray) -> Iterator[tuple[slice, npt.NDArray[np.int64]]]:
    """Yield a column of integers in fresh pieces that stay in the cache, and where each of them stands."""
    start = 0
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        for begin in range(0, len(chunk), _PIECE_IDS):
            integers = chunk.slice(begin, _PIECE_IDS).to_numpy().astype(np.int64)
            yield slice(start, start + len(integers)), integers
            start += len(integers)


def _range(column: pa.ChunkedArray) -> tuple[int, int]:
    """Return the least of a column's integers and the length of a table of all up to the greatest."""
    if not pa.types.is_integer(column.type):
        return 0, _TABLE_IDS + 1
    extremes = pc.min_max(column).as_py()
    return (extremes["min"], extremes["max"] - extremes["min"] + 1) if len(column) else (0, 0)
