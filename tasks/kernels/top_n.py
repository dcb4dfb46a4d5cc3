"""Compiled heaps of each user's best items, which take scores while these are still in the cache.

Covers: `take_best`, which takes one tile of scores into the heaps, `sort_heaps`, which turns heaps into lists, and
`place_seen`, which puts the items that users have rated in the order of the tiles, each with an explicit signature.
Does not cover: their plain reference (tasks/model/best.py), or the scores and the size of a tile
(tasks/serving/top_items.py).

A heap's root is the worst of a user's best scores: the threshold for new scores. Few pass it after the first thousand,
and one comparison a vector shows that none of `_STRIDE` scores does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numba import float32, int32, int64, types, void

from funkflow.tasks.kernels.cache import compiled

IntArray = npt.NDArray[np.int32] | npt.NDArray[np.int64]
_STRIDE = 64
_MASKED = -np.inf
_SCORES, _ITEMS = types.Array(float32, 2, "C"), types.Array(int32, 2, "C")
_PLACES, _STARTS = types.Array(int32, 1, "C", readonly=True), types.Array(int64, 1, "C", readonly=True)
_COUNTS = types.Array(int64, 1, "C")


@compiled(inline="always")
def _is_better(score, item, than, than_item):  # type: ignore[no-untyped-def]
    """Return whether an item scores higher than another or, at equal scores, comes first."""
    return score > than or (score == than and item < than_item)


@compiled(no_cpython_wrapper=True)
def _sink(scores, items, count, score, item):  # type: ignore[no-untyped-def]
    """Replace the root, the worst item, of a heap of `count` items by (score, item)."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        other = child + 1
        if other < count and _is_better(scores[child], items[child], scores[other], items[other]):
            child = other
        if not _is_better(score, item, scores[child], items[child]):
            break
        scores[place] = scores[child]
        items[place] = items[child]
        place = child
    scores[place] = score
    items[place] = item


@compiled(no_cpython_wrapper=True)
def _rise(scores, items, count, score, item):  # type: ignore[no-untyped-def]
    """Add (score, item) to a heap of `count` items, the worst at its root."""
    place = count
    while place > 0:
        parent = (place - 1) // 2
        if not _is_better(scores[parent], items[parent], score, item):
            break
        scores[place] = scores[parent]
        items[place] = items[parent]
        place = parent
    scores[place] = score
    items[place] = item


@compiled(no_cpython_wrapper=True)
def _offer(scores, first, heap, items, count):  # type: ignore[no-untyped-def]
    """Take one user's scores, of the items from `first` on, into their heap of `count` items; return its new count.

    -inf never enters.
    """
    most = len(heap)
    threshold = heap[0] if count == most else np.float32(_MASKED)
    for start in range(0, len(scores), _STRIDE):
        end = min(start + _STRIDE, len(scores))
        passing = 0
        for place in range(start, end):
            passing += scores[place] >= threshold
        if passing == 0:
            continue
        for place in range(start, end):
            score = scores[place]
            if score < threshold or score == _MASKED:
                continue
            if count < most:
                _rise(heap, items, count, score, first + place)
                count += 1
            elif _is_better(score, first + place, heap[0], items[0]):
                _sink(heap, items, count, score, first + place)
            if count == most:
                threshold = heap[0]
    return count


def _take_best(scores, first, seen, ends, cursors, best_scores, best_items, found):  # type: ignore[no-untyped-def]
    """Take one tile of scores into the heaps of its users; seen items, which a user has rated, never enter.

    Parameters
    ----------
    scores : float32 (users, items of the tile), changed.
    first : the tile's first item; tiles come in ascending order. Of equal scores the lower item comes first.
    seen : int32, seen items, user by user, ascending; `ends` : int64 (users,), the end of each user's.
    cursors : int64 (users,), each user's next seen item to mask; updated.
    best_scores, best_items : float32 and int32 (users, n), heaps; `found` : int64 (users,), their counts.
    """
    end = first + scores.shape[1]
    for user in range(len(scores)):
        own = scores[user]
        cursor = cursors[user]
        while cursor < ends[user] and seen[cursor] < end:
            own[seen[cursor] - first] = _MASKED
            cursor += 1
        cursors[user] = cursor
        found[user] = _offer(own, first, best_scores[user], best_items[user], found[user])


def _sort_heaps(best_scores, best_items, found):  # type: ignore[no-untyped-def]
    """Sort each heap in place, best first."""
    for user in range(len(found)):
        scores, items = best_scores[user], best_items[user]
        for last in range(found[user] - 1, 0, -1):
            score, item = scores[last], items[last]
            scores[last], items[last] = scores[0], items[0]
            _sink(scores, items, last, score, item)


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


@functools.cache
def take_best() -> Callable[..., None]:
    """Return `_take_best`, compiled."""
    signature = void(_SCORES, int64, _PLACES, _STARTS, _COUNTS, _SCORES, _ITEMS, _COUNTS)
    return compiled(signature)(_take_best)


@functools.cache
def sort_heaps() -> Callable[..., None]:
    """Return `_sort_heaps`, compiled."""
    return compiled(void(_SCORES, _ITEMS, _COUNTS))(_sort_heaps)


@functools.cache
def place_seen() -> Callable[..., None]:
    """Return `_place_seen`, compiled, without its argument `cursors`.

    A kernel that makes an array, or fills one by `[:] =`, takes 0.1 s more to compile, and 0.03 s more to load.
    """
    numbers = types.Array(int32, 1, "C")
    kernel = compiled(void(_PLACES, _STARTS, _STARTS, _STARTS, _COUNTS, numbers))(_place_seen)

    def place(seen: IntArray, starts: IntArray, ends: IntArray, part_starts: IntArray, placed: IntArray) -> None:
        kernel(seen, starts, ends, part_starts, np.empty(len(part_starts) + 1, np.int64), placed)

    return place
