"""The one evaluator: NDCG and recall of any contestant's scores, and both beside sampled negatives.

Covers: lists of the best items without training items, and their measures as means over users with a relevant item.
Does not cover: the scores (rivals.py, bench/sections/ranking.py).

Recall is hits / relevant, Mult-VAE recall is hits / min(k, relevant) (Liang et al. 2018). NDCG is DCG / ideal DCG,
relevance 0 or 1, discount 1 / log2(rank + 1), as in funkflow/tasks/serving/recommend.py.

With sampled negatives a user has one relevant item: HR is whether it is among the best k of all of them, and an
equal score counts as above it. Such figures compare with others of that protocol alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from bench.ranking.held_out import HeldOut, Integers

Scores = Callable[[Integers], npt.NDArray[np.float32]]
"""Scores of all items for these users, float32 (n, items), a new array."""
Measure = tuple[str, int]
"""A name of ("NDCG", "recall", MULT_VAE, "HR") and k."""
MULT_VAE = "Mult-VAE recall"
BY_HASH: tuple[Measure, ...] = (("NDCG", 10), ("recall", 20), (MULT_VAE, 20), ("NDCG", 100))
"""Measures of splits by hash."""
_BATCH = 128
"""Users at a time: their scores of all items stay in the cache."""


def measured(held_out: HeldOut, scores: Scores, wanted: Sequence[Measure]) -> dict[str, float]:
    """Return the measures, such as "NDCG@10"."""
    hits, numbers = _sampled_hits(held_out, scores) if held_out.negatives is not None else _hits(held_out, scores)
    return {f"{name}@{k}": _mean(name, hits[:, :k], numbers, k) for name, k in wanted}


def _hits(held_out: HeldOut, scores: Scores) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return whether each of a user's best 100 items is relevant, and how many are relevant to them."""
    users, items = held_out.relevant
    wanted, rows, numbers = np.unique(users, return_inverse=True, return_counts=True)
    longest, of_items = min(100, held_out.shape[1]), held_out.shape[1]
    hits = np.zeros((len(wanted), longest), np.bool_)
    cells = np.sort(rows.astype(np.int64) * of_items + items)
    for first in range(0, len(wanted), _BATCH):
        some = wanted[first : first + _BATCH]
        found = scores(some)
        found[held_out.rated(some) > 0] = -np.inf
        best = np.argpartition(found, -longest, axis=1)[:, -longest:]
        order = np.argsort(-np.take_along_axis(found, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        at = (first + np.arange(len(some)))[:, None] * of_items + best
        places = np.minimum(np.searchsorted(cells, at), len(cells) - 1)
        hits[first : first + len(some)] = cells[places] == at
    return hits, numbers


def _sampled_hits(held_out: HeldOut, scores: Scores) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return the same, of lists of one relevant item and a user's negatives."""
    assert held_out.negatives is not None
    users, items = held_out.relevant
    hits = np.zeros((len(users), 1 + held_out.negatives.shape[1]), np.bool_)
    for first in range(0, len(users), _BATCH):
        part = slice(first, min(first + _BATCH, len(users)))
        found = scores(users[part])
        mine = np.take_along_axis(found, items[part, None].astype(np.int64), axis=1)
        others = np.take_along_axis(found, held_out.negatives[users[part]].astype(np.int64), axis=1)
        hits[np.arange(part.start, part.stop), np.sum(others >= mine, axis=1)] = True
    return hits, np.ones(len(users), np.int64)


def _mean(name: str, hits: npt.NDArray[np.bool_], numbers: npt.NDArray[np.int64], k: int) -> float:
    if name == "NDCG":
        discounts = 1.0 / np.log2(np.arange(2, hits.shape[1] + 2))
        ideal = np.cumsum(discounts)[np.minimum(numbers, hits.shape[1]) - 1]
        return float(np.mean(hits @ discounts / ideal))
    if name == MULT_VAE:
        numbers = np.minimum(numbers, k)
    return float(np.mean(hits.sum(axis=1) / numbers))  # recall, and HR, of one relevant item
