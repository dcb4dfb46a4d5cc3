"""The files of a sampler's state: drawn rows, compact means, and predictions of validation ratings.

Covers: their forms on disk, the start from a trained shard, and the shard of the mean that training leaves.
Does not cover: what is in them (draws.py, mean.py, held_out.py), when they are written
(pipeline/training/methods/bayes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from funkflow.tasks.grid.factor_shard import read_shard, write_shard
from funkflow.tasks.grid.solved_rows import Matrix, Rows, rows_of
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import npy
from funkflow.tasks.training.posterior.held_out import HeldOutDraws
from funkflow.tasks.training.posterior.mean import CompactShard, as_factor_shard, merged, stacked_gram
from funkflow.tasks.training.posterior.mean import Merge as Merge
from funkflow.tasks.training.posterior.sweep_parts import ItemDraw, UserDraw
from funkflow.tasks.training.times.effects import UserTimes


def start_rows(trained: Place, rank: int, side: str, biases: bool) -> Rows:
    """Return the rows of a trained shard; side : "user" or "item"."""
    shard = read_shard(*trained, rank)
    return rows_of(shard.factors, shard.biases, side, biases)


def start_basis(rank: int, users: int, *grams: Matrix) -> Matrix:
    """Return the orthogonal basis in which factors of users and items are least correlated, float64 (k, k).

    The prior has a precision for each column, so that it can leave columns out where these are the directions in which
    rows differ. Users and items turn together, which leaves their products.

    Parameters
    ----------
    users : how many of the grams are those of user shards; grams : X^T X, float64 (w, w), of all shards.
    """
    sides = [np.sum([each[:rank, :rank] for each in part], axis=0) for part in (grams[:users], grams[users:])]
    total = sum(side / max(np.trace(side), np.finfo(float).tiny) for side in sides)
    return np.ascontiguousarray(np.linalg.eigh(total)[1][:, ::-1])


def turned(rows: Rows, basis: Matrix) -> Rows:
    """Return rows with their factors in a basis."""
    rank = len(basis)
    found = rows.copy()
    found[:, :rank] = rows[:, :rank].astype(np.float64) @ basis
    return found


def write_user_rows(url: str, draw: UserDraw) -> str:
    """Write a drawn user shard, bit for bit; return the file's checksum."""
    return npy.write_array(url, draw.rows)


def write_kept_users(url: str, draw: UserDraw, precision: float) -> str:
    """Write a user shard of a draw that stays, its last column the noise variance of each user, 1 / (tau a_u).

    precision : tau of the draw.
    """
    variances = (1.0 / (precision * draw.weights)).astype(draw.rows.dtype)
    return npy.write_array(url, np.column_stack([draw.rows, variances]))


def write_item_rows(url: str, draw: ItemDraw, shard: int) -> str:
    """Write an item shard of a draw, bit for bit; return the file's checksum."""
    return npy.write_array(url, draw.shards[shard])


def write_pairs(url: str, draw: ItemDraw, shard: int) -> str:
    """Write what the pairs say of an item shard, factors and means, (rows, 2 w); return the file's checksum."""
    assert draw.implicit is not None
    first = sum(map(len, draw.shards[:shard]))
    part = slice(first, first + len(draw.shards[shard]))
    return npy.write_array(url, np.hstack([draw.implicit.factors[part], draw.implicit.means[part]]))


def write_factors(url: str, draw: UserDraw) -> str:
    """Write the factors of a user shard for the items' means, (rows, w); return the file's checksum."""
    return npy.write_array(url, np.zeros_like(draw.rows) if draw.factors is None else draw.factors)


def write_effects(url: str, draw: ItemDraw, shards: int, shard: int) -> str:
    """Write one of so many parts of the effects of features, users' and then items', (rows, w); return its checksum."""
    assert draw.implicit is not None
    assert draw.implicit.known is not None
    whole = np.concatenate([draw.implicit.known.user_effects, draw.implicit.known.item_effects])
    return npy.write_array(url, np.array_split(whole, shards)[shard])


def write_user_times(url: str, given: UserDraw | UserTimes) -> str:
    """Write the effects of time of a user shard, or their sums: of days, then of drift; return the file's checksum."""
    times = given.times if isinstance(given, UserDraw) else given
    assert times is not None
    return npy.write_array(url, np.concatenate([times.days, times.drift]))


def write_time_table(url: str, given: ItemDraw | Matrix, shards: int, shard: int) -> str:
    """Write one of so many parts of the effects of time of all items, or of their sums; return the file's checksum."""
    if isinstance(given, ItemDraw):
        assert given.times is not None
        given = given.times.table
    return npy.write_array(url, np.array_split(given, shards)[shard])


def empty_compact(counts: Matrix) -> CompactShard:
    """Return a shard of the sum of no draws; counts : float64 (rows,)."""
    return CompactShard.empty(len(counts))


def losses_of(merge: Merge) -> tuple[float, float]:
    """Return the squared length of what a merge cut off, and of the sum of draws before."""
    return merge.lost, merge.whole


def write_compact(url: str, compact: CompactShard) -> str:
    """Write a shard of the compact mean; its factors and the two halves of its biases are the columns."""
    # float32 holds a float64 bias in two parts, up to 1e-14 of it.
    high = compact.biases.astype(np.float32)
    low = (compact.biases - high).astype(np.float32)
    return npy.write_array(url, np.column_stack([compact.factors, high, low]))


def read_compact(place: Place) -> CompactShard:
    """Read what `write_compact` wrote."""
    columns = npy.read_array(*place)
    biases = columns[:, -2].astype(np.float64) + columns[:, -1]
    return CompactShard(np.ascontiguousarray(columns[:, :-2]), biases)


def rounded(compact: CompactShard) -> CompactShard:
    """Return the shard as it will be read, so that a resumed run goes on with the same bits."""
    high = compact.biases.astype(np.float32)
    return CompactShard(compact.factors, high.astype(np.float64) + (compact.biases - high).astype(np.float32))


def write_predictions(url: str, drawn: HeldOutDraws) -> str:
    """Write the sums of predictions, float64 (n,); return the file's checksum."""
    return npy.write_array(url, drawn.sums)


def write_trace(url: str, drawn: HeldOutDraws) -> str:
    """Write the predictions that are kept for every draw, float32 (draws, traced); return the file's checksum."""
    return npy.write_array(url, drawn.trace)


def read_predictions(sums: Place, trace: Place, draws: int) -> HeldOutDraws:
    """Read what both wrote."""
    return HeldOutDraws(draws, npy.read_array(*sums), npy.read_array(*trace))


def write_mean(url: str, compact: CompactShard, draws: int, rank: int) -> str:
    """Write the mean of so many draws at a rank as a shard of factors; return its checksum."""
    return write_shard(url, as_factor_shard(compact, draws, rank))


def stack_users(compact: CompactShard, biases: bool, *draws: UserDraw) -> Matrix:
    """Do what `stacked_gram` does for a user shard."""
    return stacked_gram(compact, [each.rows for each in draws], biases)


def stack_items(compact: CompactShard, biases: bool, shard: int, *draws: ItemDraw) -> Matrix:
    """Do what `stacked_gram` does for an item shard."""
    return stacked_gram(compact, [each.shards[shard] for each in draws], biases)


def merge_users(compact: CompactShard, biases: bool, merge: Merge, *draws: UserDraw) -> CompactShard:
    """Do what `merged` does for a user shard."""
    return rounded(merged(compact, [each.rows for each in draws], biases, "user", merge))


def merge_items(compact: CompactShard, biases: bool, shard: int, merge: Merge, *draws: ItemDraw) -> CompactShard:
    """Do what `merged` does for an item shard."""
    return rounded(merged(compact, [each.shards[shard] for each in draws], biases, "item", merge))


def traces_of(drawn: Sequence[HeldOutDraws], draws: int) -> Rows:
    """Return the traces of one user shard, float32 (chains, draws, traced); each place had chains one after another."""
    return np.concatenate([each.trace.reshape(len(each.trace) // draws, draws, each.trace.shape[1]) for each in drawn])


def called(function: Callable[..., str], *arguments: object) -> str:
    """Return the function's value, so that one batch of tasks can have several functions."""
    return function(*arguments)
