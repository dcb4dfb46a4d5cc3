"""The compiled loops that sort rows by counting those of each key.

Covers: `scatter`, by bucket, and `sort_rows`, by user and item. Both orders are stable.
Does not cover: which rows are sorted by what, and the same orders by NumPy (tasks/dataset/chunk_rows.py,
tasks/dataset/sorting.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import float32, int16, int32, int64, types, uint8

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.mix import ADDED, scrambled

_OPTIONS: Any = {"error_model": "numpy"}
_scrambled: Any = numba.njit(nogil=True, **_OPTIONS)(scrambled)


@numba.njit(nogil=True, **_OPTIONS)
def _count(keys, starts):  # type: ignore[no-untyped-def]
    """Write the first place of each key to `starts`, which has one entry more and holds zeros."""
    for n in range(len(keys)):
        starts[np.uint64(keys[n]) + np.uint64(1)] += 1
    for key in range(1, len(starts)):
        starts[key] += starts[key - 1]


@numba.njit(nogil=True, **_OPTIONS)
def _bucket(user, bits):  # type: ignore[no-untyped-def]
    """Return the leading bits of splitmix64 of a user, as `buckets_of` in tasks/parsing/ids.py does."""
    return _scrambled(np.uint64(user) + ADDED) >> np.uint64(64 - bits) if bits else np.uint64(0)


def _scatter(  # type: ignore[no-untyped-def]
    users, items, ratings, times, bits, least_user, least_item, starts, is_user, is_item, to_users, to_items,
    to_ratings, to_times,
):  # fmt: skip
    """Put rows in the order of the buckets of their users, which is stable, and mark the ids that occur.

    Parameters
    ----------
    users, items, times : int64, and ratings : float32, all (n,); times and ratings may be empty.
    bits : there are 2 to this power buckets; starts : int64 (buckets + 1,), zeros, receives the first row of each.
    is_user, is_item : uint8, zeros, receive 1 at the place of each id, counted from the least.
    to_... : receive the rows, in types that hold them.
    """
    buckets = np.empty(len(users), np.uint16)
    for n in range(len(users)):
        bucket = _bucket(users[n], bits)
        buckets[n] = bucket
        starts[bucket + np.uint64(1)] += 1
        is_user[np.uint64(users[n] - least_user)] = 1
        is_item[np.uint64(items[n] - least_item)] = 1
    for bucket in range(1, len(starts)):
        starts[bucket] += starts[bucket - 1]
    following = starts.copy()
    for n in range(len(users)):
        bucket = np.uint64(buckets[n])
        place = np.uint64(following[bucket])
        following[bucket] += 1
        to_users[place], to_items[place] = users[n], items[n]
        if len(ratings):
            to_ratings[place] = ratings[n]
        if len(times):
            to_times[place] = times[n]


def _sort_rows(  # type: ignore[no-untyped-def]
    users, items, ratings, times, sorted_users, sorted_items, sorted_ratings, sorted_times
):
    """Sort rows stably by (user, item): put them in the order of the items, and from there in that of the users.

    A row moves once, whole: 12 bytes to one place take less time than three columns to three.

    Parameters
    ----------
    users, items : int32 (n,), not negative; ratings : float32, and times : int32, both (n,) or empty.
    sorted_... : like them, receive the rows.
    """
    by_item, by_user = np.zeros(items.max() + 2, np.uint32), np.zeros(users.max() + 2, np.uint32)
    _count(items, by_item)
    _count(users, by_user)
    order, moved = np.empty(len(items), np.uint32), np.empty((len(items), 3), np.int32)
    for n in range(len(items)):
        item = np.uint64(items[n])
        order[np.uint64(by_item[item])] = n
        by_item[item] += 1
    bits = ratings.view(np.int32)
    for n in range(len(order)):
        row = np.uint64(order[n])
        user = np.uint64(users[row])
        place = np.uint64(by_user[user])
        by_user[user] += 1
        moved[place, 0] = items[row]
        if len(bits):
            moved[place, 1] = bits[row]
        if len(times):
            moved[place, 2] = times[row]
    sorted_bits, begin = sorted_ratings.view(np.int32), np.int64(0)
    for number in range(len(by_user) - 1):
        end = np.int64(by_user[number])  # places were counted up to the last row
        for n in range(begin, end):
            place = np.uint64(n)
            sorted_users[place], sorted_items[place] = number, moved[place, 0]
            if len(bits):
                sorted_bits[place] = moved[place, 1]
            if len(times):
                sorted_times[place] = moved[place, 2]
        begin = end


@built_once
def scatter(items: str) -> Callable[..., None]:
    """Return `_scatter` with items to NumPy type i2 or i4, compiled."""
    read = map(_read, (int64, int64, float32, int64))
    kinds = (int64, uint8, uint8, int32, {"i2": int16, "i4": int32}[items], float32, int32)
    written = (types.Array(kind, 1, "C") for kind in kinds)
    return compiled(types.void(*read, int64, int64, int64, *written), **_OPTIONS)(_scatter)


@built_once
def sort_rows() -> Callable[..., None]:
    """Return `_sort_rows`, compiled."""
    kinds = (int32, int32, float32, int32)
    written = (types.Array(kind, 1, "C") for kind in kinds)
    return compiled(types.void(*map(_read, kinds), *written), **_OPTIONS)(_sort_rows)


def _read(kind: Any) -> Any:
    return types.Array(kind, 1, "C", readonly=True)
