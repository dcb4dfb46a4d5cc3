"""Items and users as vectors whose inner products order items as the model does, for other programs that search.

Covers: biases folded into the vectors, a sample of items, queries of users, and the recall of a search.
Does not cover: the index (tasks/storage/faiss_index.py), the exact lists (top_items.py).

An item is (v, b_i) and a user (u, 1), so that their product is u·v + b_i. The mean and the user's bias are the same for
all items, and are added to a score to make it a rating. A model without item biases has v and u as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from funkflow.tasks.serving.served_model import ServedModel, UserRows
from funkflow.tasks.serving.top_items import RatedItems, Shard, top_items


def sample_items(model: ServedModel, count: int, seed: int) -> tuple[Shard, bool]:
    """Return `count` random items at most, with biases, and whether any item of the model has a bias."""
    rng, found, has_biases, first = np.random.default_rng(seed), [], False, 0
    chosen = np.sort(rng.permutation(model.items)[:count])
    for shard in model.item_shards():
        inside = (chosen >= first) & (chosen < first + len(shard))
        found.append(shard[chosen[inside] - first])
        has_biases |= bool(shard[:, -1].any())
        first += len(shard)
        del shard  # before the next one is read
    return np.concatenate(found), has_biases


def item_vectors(model: ServedModel, has_biases: bool) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the vectors of all items in the order of the model, float32 (n, k + 1), or (n, k) without biases."""
    for shard in model.item_shards():
        yield as_vectors(shard, has_biases)
        del shard  # before the next one is read


def as_vectors(shard: Shard, has_biases: bool) -> npt.NDArray[np.float32]:
    """Return the vectors of the items of a shard."""
    return shard if has_biases else shard[:, :-1]


def user_vectors(users: UserRows, has_biases: bool) -> npt.NDArray[np.float32]:
    """Return the queries of users, as wide as the vectors of items: their factors and, for the biases, 1."""
    return np.pad(users.factors, ((0, 0), (0, 1)), constant_values=1) if has_biases else users.factors


def exact_lists(model: ServedModel, users: UserRows, count: int) -> npt.NDArray[np.int32]:
    """Return the rows of the `count` best items of each user among all, rated or not, int32 (users, count)."""
    none = np.zeros(len(users.factors), np.int64)
    return top_items(users.factors, model.item_shards(), RatedItems(np.empty(0, np.int32), none, none), count).rows


def recall(found: npt.NDArray[np.integer], exact: npt.NDArray[np.integer], count: int) -> float:
    """Return the part of the `count` best items of each user that are among the first `count` found, the mean."""
    shared = [len(np.intersect1d(*pair)) for pair in zip(found[:, :count], exact[:, :count], strict=True)]
    return float(np.mean(shared)) / count
