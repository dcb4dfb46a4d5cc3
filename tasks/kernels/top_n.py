"""The best of many scores, compiled: a heap a user that goes through scores while they are still in the cache.

Covers: `take_best`, which takes one tile of scores into the heaps, and `in_order`, which ends them, each with an
explicit signature.
Does not cover: their slow, obvious twin (best.py), or where scores come from and how large a tile is
(tasks/serving/top_items.py).

A heap keeps the worst of a user's best at its root: the threshold that a score has to pass. Few do after the first
thousand, and that none of `_STRIDE` scores does
is one comparison a vector.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numba import float32, int32, int64, types, void

from funkflow.tasks.kernels.cache import compiled

_STRIDE = 64
_MASKED = -np.inf
_SCORES, _ITEMS = types.Array(float32, 2, "C"), types.Array(int32, 2, "C")
_PLACES, _STARTS = types.Array(int32, 1, "C", readonly=True), types.Array(int64, 1, "C", readonly=True)
_COUNTS = types.Array(int64, 1, "C")


@compiled(inline="always")
def _is_better(score, item, than, than_item):  # type: ignore[no-untyped-def]
    """Say whether one scores higher or, of equal scores, comes first."""
    return score > than or (score == than and item < than_item)


@compiled()
def _sink(scores, items, count, score, item):  # type: ignore[no-untyped-def]
    """Put (score, item) in the place of the root of a heap of `count`, the worst on top, and restore its order."""
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


@compiled()
def _rise(scores, items, count, score, item):  # type: ignore[no-untyped-def]
    """Add (score, item) to a heap of `count`, the worst on top."""
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


@compiled()
def _offer(scores, rows, heap, items, count):  # type: ignore[no-untyped-def]
    """Take one user's scores into his heap of `count`; return how many are in it then. -inf never enters."""
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
                _rise(heap, items, count, score, rows[place])
                count += 1
            elif _is_better(score, rows[place], heap[0], items[0]):
                _sink(heap, items, count, score, rows[place])
            if count == most:
                threshold = heap[0]
    return count


def _take_best(scores, first, rows, seen, ends, cursors, best_scores, best_items, found):  # type: ignore[no-untyped-def]
    """Take one tile of scores into the heaps of its users; the scores of seen items become -inf, and never enter.

    Parameters
    ----------
    scores : float32 (users, items of the tile), changed.
    first : the place of the tile's first item; tiles come in ascending order.
    rows : int32 (all items,), what the item in a place is called in the heaps; of equal scores the lower comes first.
    seen : int32, places of seen items, user after user, ascending; `ends` : int64 (users,), where a user's end.
    cursors : int64 (users,), the first of them that is not masked yet, moved on.
    best_scores, best_items : float32 and int32 (users, n), heaps; `found` : int64 (users,), how many are in each.
    """
    end = first + scores.shape[1]
    for user in range(len(scores)):
        own = scores[user]
        cursor = cursors[user]
        while cursor < ends[user] and seen[cursor] < end:
            own[seen[cursor] - first] = _MASKED
            cursor += 1
        cursors[user] = cursor
        found[user] = _offer(own, rows[first:end], best_scores[user], best_items[user], found[user])


def _in_order(best_scores, best_items, found):  # type: ignore[no-untyped-def]
    """Turn each heap into a list, the best first."""
    for user in range(len(found)):
        scores, items = best_scores[user], best_items[user]
        for last in range(found[user] - 1, 0, -1):
            score, item = scores[last], items[last]
            scores[last], items[last] = scores[0], items[0]
            _sink(scores, items, last, score, item)


@functools.cache
def take_best() -> Callable[..., None]:
    """Return `_take_best`, compiled."""
    signature = void(_SCORES, int64, _PLACES, _PLACES, _STARTS, _COUNTS, _SCORES, _ITEMS, _COUNTS)
    return compiled(signature)(_take_best)


@functools.cache
def in_order() -> Callable[..., None]:
    """Return `_in_order`, compiled."""
    return compiled(void(_SCORES, _ITEMS, _COUNTS))(_in_order)
