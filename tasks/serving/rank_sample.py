"""Rankings of a model in training: lists of a fixed sample of users against their held-out ratings.

Covers: the users of a shard who are measured, what each of them rated, and the sums over their lists.
Does not cover: the measures (ranking_measures.py), the choice of items (top_items.py), the ranking of a finished model
(rank_part.py), which has these sums for the same users.

Items are in the order of the item shards, as in a saved model, so that of equal scores the same item comes first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.factor_shard import read_shard
from funkflow.tasks.grid.solved_rows import Rows, rows_of
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.mix import mix
from funkflow.tasks.model.about import Place
from funkflow.tasks.serving.ranking_measures import Ranking, no_rankings, sum_rankings
from funkflow.tasks.serving.top_items import RatedItems, Shard, top_items
from funkflow.tasks.training.als import Solved
from funkflow.tasks.training.als_all_items import AllItems, users_of
from funkflow.tasks.training.score import HeldOut

MOST_USERS, LEAST_USERS, MOST_SCORES = 8_192, 1_024, 1 << 27
"""Users of a sample: so many, and with more than 16,384 items fewer, so that an epoch computes 134 M scores at most,
unless there are more than 131,072 items.

The NDCG@10 of a user has a deviation of 0.25, so the mean of 8,192 has a standard error of 0.003, and that of all 5,755
users of MovieLens 1M with 10 % held out. Epochs are compared on the same users, where a difference has a deviation of
0.03 to 0.06 a user: a standard error of 0.0005. At rank 64 134 M scores take 0.34 s of a processor (AVX-512), a
tenth of the 3.1 s of an epoch at the Netflix shape.
"""


@dataclass(frozen=True)
class SampleRule:
    """How lists are measured: `length` items for each user; held-out ratings from `threshold` on are relevant.

    `users` : of the sample, all shards together; `seed` : of their choice.
    """

    length: int
    threshold: float
    users: int
    seed: int


@dataclass(frozen=True)
class RankSample(Weighed):
    """The users of a shard who are measured.

    Attributes
    ----------
    users : int32 (n,), their rows in the shard, ascending.
    rated : places of the items that each of them rated in training, which no list has.
    relevant : int64, user * items + place of each relevant item; the user by place in `users`.
    """

    users: npt.NDArray[np.int32]
    rated: RatedItems
    relevant: npt.NDArray[np.int64]


def users_to_sample(items: int) -> int:
    """Return how many users a sample has, all shards together."""
    return min(MOST_USERS, max(LEAST_USERS, MOST_SCORES // max(1, items)))


def choose_sample(row: BlockRow, held_out: HeldOut, rule: SampleRule, shard: int) -> RankSample:
    """Choose users of a shard with a relevant held-out rating, as many for each shard, by a hash of seed and user.

    Parameters
    ----------
    row : the shard's blocks, one for each of the P shards; P and `shard` make dense ids of rows.
    """
    shards = len(row)
    is_relevant = (held_out.user_rows >= 0) & (held_out.item_rows >= 0) & (held_out.ratings >= rule.threshold)
    users = np.unique(held_out.user_rows[is_relevant])
    most = -(-rule.users // shards)
    if len(users) > most:
        key = mix(np.array([rule.seed], np.uint64))
        order = np.argsort(mix((users.astype(np.uint64) * np.uint64(shards) + np.uint64(shard)) ^ key))
        users = np.sort(users[order[:most]])
    places, of_user, offsets = [], [], [0]
    for block in row:
        mine, is_sampled = _places_of(users, block.user_rows, block.shape[0])
        of_user.append(mine[is_sampled])
        places.append(block.item_rows[is_sampled] + np.int32(offsets[-1]))
        offsets.append(offsets[-1] + block.shape[1])
    rated_by, rated = np.concatenate(of_user), np.concatenate(places)
    order = np.lexsort((rated, rated_by))
    everyone = np.arange(len(users), dtype=np.int32)
    rows = int(held_out.user_rows.max(initial=-1)) + 1
    liked_by, is_sampled = _places_of(users, held_out.user_rows, rows)
    is_sampled &= is_relevant
    item_shards = np.repeat(np.arange(shards), np.diff(held_out.starts))[is_sampled]
    liked = np.array(offsets)[item_shards] + held_out.item_rows[is_sampled]
    relevant = liked_by[is_sampled].astype(np.int64) * offsets[-1] + liked
    return RankSample(users, RatedItems.of(everyone, (rated_by[order], rated[order]), [offsets[-1]]), relevant)


def sample_size(sample: RankSample) -> int:
    """Return the number of users."""
    return len(sample.users)


def rank_sample(sample: RankSample, length: int, users: Rows, *items: Rows) -> Ranking:
    """Return the sums over the sampled users of the measures of their lists.

    Parameters
    ----------
    users : rows of the user shard; items : of all item shards, in order. Their products are the scores.
    """
    count = sum(map(len, items))
    if not len(sample.users):
        return no_rankings(count, (length,))[0]
    chosen = users[sample.users].astype(np.float32)
    top = top_items(chosen, map(_without_bias, items), sample.rated, length)
    return sum_rankings(top.rows, sample.relevant, np.zeros(count), (length,))[0]


def rank_start(sample: RankSample, length: int, users: Place, items: list[Place], rank: int, biases: bool) -> Ranking:
    """Do what `rank_sample` does, with the files of a start model's factor shards."""
    shard, others = read_shard(*users, rank), (read_shard(*item, rank) for item in items)
    rows = [rows_of(each.factors, each.biases, "item", biases) for each in others]
    return rank_sample(sample, length, rows_of(shard.factors, shard.biases, "user", biases), *rows)


def _without_bias(shard: Rows) -> Shard:
    return np.column_stack([shard.astype(np.float32), np.zeros(len(shard), np.float32)])


def rank_sample_of_all_items(sample: RankSample, length: int, users: Solved | Rows, items: AllItems) -> Ranking:
    """Do what `rank_sample` does, with all item shards as one."""
    return rank_sample(sample, length, users_of(users), *items.shards)


def _places_of(
    users: npt.NDArray[np.int32], rows: npt.NDArray[np.int32], count: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Return for each row its place in `users`, and whether it is there; a row of -1 is not.

    count : of the rows of the shard, at least the greatest of `rows` and one more.
    """
    place = np.full(max(count, int(users.max(initial=-1)) + 1) + 1, -1, np.int32)  # the last one is for -1
    place[users] = np.arange(len(users), dtype=np.int32)
    found = place[rows]
    return found, found >= 0
