"""Raw ids of any kind to dense ones, and hashes of raw ids that never change.

Covers: hashing integers and strings, collecting distinct ids, handing out dense ids in a seeded order, looking them up.
Does not cover: where a dense id lives in the grid (blocks.py), or titles (titles.py).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

USERS, ITEMS = 0, 1
"""The two sides; part of the seed, so that users and items are shuffled apart."""

_MERGE_IDS = 16_000_000


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
        return mix(
            raw_ids.to_numpy(zero_copy_only=False).view(np.uint64)
            if isinstance(raw_ids, pa.Array)
            else raw_ids.to_numpy().view(np.uint64)
        )
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
    if bits == 0:
        return np.zeros(len(raw_ids), np.uint16)
    return (hash_ids(raw_ids) >> np.uint64(64 - bits)).astype(np.uint16)


def distinct(arrays: Iterable[pa.Array | pa.ChunkedArray], kind: pa.DataType) -> pa.Array:
    """Return the distinct values of all arrays, sorted; memory is bounded by the distinct values plus a few arrays."""
    merged = pa.array([], kind)
    waiting: list[pa.Array] = []
    for array in arrays:
        waiting += array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        if sum(map(len, waiting)) > _MERGE_IDS:
            merged, waiting = pc.unique(pa.chunked_array([merged, *waiting])), []
    merged = pc.unique(pa.chunked_array([merged, *waiting], kind))
    return merged.take(pc.sort_indices(merged))


def dense_order(sorted_ids: pa.Array, seed: int, side: int) -> pa.Array:
    """Return raw ids in the order of their dense ids: place d of the result holds the raw id of dense id d.

    The order is drawn from (seed, side) over the sorted ids, so it depends on the set of ids and nothing else.
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, side]))
    return sorted_ids.take(pa.array(generator.permutation(len(sorted_ids))))


def look_up(raw_ids: pa.Array | pa.ChunkedArray, known: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Return the dense id of every raw id, its place in `known`, and -1 for a raw id that is not there."""
    whole = known.combine_chunks() if isinstance(known, pa.ChunkedArray) else known
    found = pc.fill_null(pc.index_in(raw_ids, value_set=whole), -1)
    dense: npt.NDArray[np.int32] = (
        (found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found).to_numpy().astype(np.int32)
    )
    return dense
