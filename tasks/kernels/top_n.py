"""Compiled loops that choose each user's best items, from scores that are still in the cache.

Covers: `take_best`, which takes those of a tile that can be among the best, and `place_seen`, which puts the items that
users have rated in the order of the tiles, each with an explicit signature.
Does not cover: their plain reference (tasks/model/best.py), the scores and the size of a tile
(tasks/serving/top_items.py).

Few scores pass the threshold after the first thousand, and one comparison a vector shows that none of `_STRIDE` does.
Those that pass are appended, and the worse half is dropped when there is no more room: to choose 100 of 17,770
items takes 0.55 of the time of a heap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float32, int32, int64, types, void

from funkflow.tasks.kernels.cache import built_once, compiled

IntArray = npt.NDArray[np.int32] | npt.NDArray[np.int64]
_STRIDE = 64
_SIGN, _HALF = 1 << 31, (1 << 32) - 1
_SCORES = types.Array(float32, 2, "C")
_PLACES, _STARTS = types.Array(int32, 1, "C", readonly=True), types.Array(int64, 1, "C", readonly=True)
_COUNTS = types.Array(int64, 1, "C")


@compiled(inline="always")
def _any_above(scores, threshold):  # type: ignore[no-untyped-def]
    """Return whether one of `_STRIDE` scores is above the threshold: vectors, as the number of turns is known."""
    above = np.uint32(0)
    for place in range(_STRIDE):
        above |= np.uint32(scores[place] > threshold)
    return above != np.uint32(0)


@compiled(no_cpython_wrapper=True)
def _put_best_first(keys, count, most):  # type: ignore[no-untyped-def]
    """Put the `most` highest of `count` keys, all different, before the others, by quickselect."""
    low, high = 0, count
    while low < most < high:
        if high - low == 2:
            one, other = keys[low], keys[low + 1]
            keys[low], keys[low + 1] = max(one, other), min(one, other)
            return
        left, middle, right = keys[low], keys[(low + high) // 2], keys[high - 1]
        pivot = max(min(left, middle), min(max(left, middle), right))  # so both parts are smaller
        store = low
        for place in range(low, high):
            key = keys[place]
            keys[place] = keys[store]
            keys[store] = key
            store += key >= pivot
        if store > most:
            high = store
        else:
            low = store


def _take_best(scores, first, seen, ends, cursors, keys, counts, thresholds, most, worst):  # type: ignore[no-untyped-def]
    """Add one tile's scores above their user's threshold to the user's keys; items that a user has rated never pass.

    A key has the score in its upper half, in an order that unsigned numbers keep, and the item in its lower half, so
    that of equal scores the lower item has the higher key. Where a user's room is full, the `most` highest keys stay,
    and the lowest of them is the next threshold.

    Parameters
    ----------
    scores : float32 (users, items of the tile), changed.
    first : the tile's first item; tiles come in ascending order, so an item with the threshold's score is too late.
    seen : int32, rated items, user by user, ascending; `ends` : int64 (users,), the end of each user's.
    cursors : int64 (users,), each user's next rated item to leave out; updated.
    keys : uint64 (users, room), room above `most`; `counts` : int64 (users,), how many there are.
    thresholds : float32 (users,); -inf lets all scores pass but -inf. Updated like `keys` and `counts`.
    worst : int32 (1,), scratch.
    """
    bits, end = scores.view(np.int32), first + scores.shape[1]
    for user in range(len(scores)):
        own, cursor, mine = scores[user], cursors[user], keys[user]
        while cursor < ends[user] and seen[cursor] < end:
            own[seen[cursor] - first] = -np.inf
            cursor += 1
        cursors[user] = cursor
        threshold, count = thresholds[user], counts[user]
        for start in range(0, len(own), _STRIDE):
            stop = start + _STRIDE
            if stop <= len(own) and not _any_above(own[start:stop], threshold):
                continue
            for place in range(start, min(stop, len(own))):
                if not own[place] > threshold:
                    continue
                if count == len(mine):
                    _put_best_first(mine, count, most)
                    count = most
                    lowest = mine[0]
                    for kept in range(1, most):
                        lowest = min(lowest, mine[kept])
                    upper = int64(lowest >> np.uint64(32))
                    worst[0] = upper ^ (_SIGN if upper & _SIGN else _HALF)
                    threshold = worst.view(np.float32)[0]
                    if not own[place] > threshold:
                        continue
                score = int64(bits[user, place])
                score = 0 if score == -_SIGN else score  # minus zero
                upper = (score ^ (score >> 63 | _SIGN)) & _HALF
                mine[count] = np.uint64(upper) << np.uint64(32) | np.uint64(_HALF - first - place)
                count += 1
        counts[user], thresholds[user] = count, threshold


def _place_seen(seen, starts, ends, part_starts, cursors, placed):  # type: ignore[no-untyped-def]
    """Write each user's seen items by their rows in a model, ascending, one user after another.

    A dense item d is row d div P of part d mod P, so a count for each part takes the place of a sort.

    Parameters
    ----------
    seen : int32, dense items, of each user ascending; `starts`, `ends` : int64 (users,), of each user's.
    part_starts : int64 (P,), the first row of each part. cursors : int64 (P + 1,), scratch. placed : int32, for the
    rows.
    """
    parts = len(part_starts)
    first = 0
    for user in range(len(starts)):
        for part in range(parts + 1):
            cursors[part] = 0
        for place in range(starts[user], ends[user]):
            cursors[seen[place] % np.int32(parts) + 1] += 1
        for part in range(parts):
            cursors[part + 1] += cursors[part]
        for place in range(starts[user], ends[user]):
            within = seen[place] // np.int32(parts)
            part = seen[place] - within * np.int32(parts)
            placed[first + cursors[part]] = part_starts[part] + within
            cursors[part] += 1
        first += ends[user] - starts[user]


@built_once
def take_best() -> Callable[..., None]:
    """Return `_take_best`, compiled, without its argument `worst`.

    A kernel that makes an array, or fills one by `[:] =`, takes 0.1 s more to compile, and 0.03 s more to load; with a
    `min` of one, numba loads SciPy, too.
    """
    keys, thresholds, worst = (
        types.Array(types.uint64, 2, "C"),
        types.Array(float32, 1, "C"),
        types.Array(int32, 1, "C"),
    )
    signature = void(_SCORES, int64, _PLACES, _STARTS, _COUNTS, keys, _COUNTS, thresholds, int64, worst)
    kernel = compiled(signature)(_take_best)

    def take(*arguments: Any) -> None:
        kernel(*arguments, np.empty(1, np.int32))

    return take


@built_once
def place_seen() -> Callable[..., None]:
    """Return `_place_seen`, compiled, without its argument `cursors`."""
    numbers = types.Array(int32, 1, "C")
    kernel = compiled(void(_PLACES, _STARTS, _STARTS, _STARTS, _COUNTS, numbers))(_place_seen)

    def place(seen: IntArray, starts: IntArray, ends: IntArray, part_starts: IntArray, placed: IntArray) -> None:
        kernel(seen, starts, ends, part_starts, np.empty(len(part_starts) + 1, np.int64), placed)

    return place
