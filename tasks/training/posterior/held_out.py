"""Predictions of validation ratings by many draws: their mean, their deviation, and the trace of some.

Covers: adding a draw, the errors of the mean so far, and how far a compact model is from it.
Does not cover: the draws (draws.py), convergence by the traces (convergence.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from funkflow.tasks.grid.factor_shard import FactorShard
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.training.posterior.mean import CompactShard, as_factor_shard
from funkflow.tasks.training.posterior.sweep_parts import ItemDraw, UserDraw
from funkflow.tasks.training.score import Errors, HeldOut, score
from funkflow.tasks.training.times.effects import UserTimes
from funkflow.tasks.training.times.held_out_times import HeldOutTimes

MOST_TRACED = 128
"""Most ratings of a user shard whose predictions are kept for every draw."""
_BATCH = 1 << 16


@dataclass(frozen=True)
class HeldOutDraws(Weighed):
    """What draws predict for the validation ratings of a user shard, in units of training.

    draws : how many; sums : float64 (n,), of all predictions; trace : float32 (draws, traced), of some of them.
    """

    draws: int
    sums: Matrix
    trace: Rows

    @classmethod
    def none(cls, held_out: HeldOut) -> HeldOutDraws:
        """Return those of no draw."""
        return cls(0, np.zeros(len(held_out.ratings)), np.empty((0, len(_traced(held_out))), np.float32))


def add_draw(
    before: HeldOutDraws, held_out: HeldOut, biases: bool, users: UserDraw, items: ItemDraw,
    times: HeldOutTimes | None = None,
) -> HeldOutDraws:  # fmt: skip
    """Return the predictions with those of one more draw; biases : whether rows have them, as in row solves.

    times : of the ratings, where time has effects.
    """
    drawn = predictions(held_out, biases, users.rows, items.shards)
    if times is not None:
        assert users.times is not None
        assert items.times is not None
        drawn += times.offsets(users.times, items.times.table)
    trace = np.concatenate([before.trace, drawn[None, _traced(held_out)].astype(np.float32)])
    return HeldOutDraws(before.draws + 1, before.sums + drawn, trace)


def predictions(held_out: HeldOut, biases: bool, users: Rows, items: Sequence[Rows]) -> Matrix:
    """Return the products of rows, float64 (n,); row -1 adds neither factors nor bias."""
    found = np.zeros(len(held_out.ratings))
    for b, shard in enumerate(items):
        part = held_out.part(b)
        for at in range(part.start, part.stop, _BATCH):
            batch = slice(at, min(at + _BATCH, part.stop))
            user_rows, item_rows, _ = held_out.of(batch)
            products = np.einsum("nf,nf->n", users[user_rows], shard[item_rows], dtype=np.float64)
            known = (user_rows >= 0) & (item_rows >= 0)
            if not known.all():
                products[~known] = 0.0
                if biases:
                    products += np.where(~known & (user_rows >= 0), users[user_rows, -2], 0.0)
                    products += np.where(~known & (item_rows >= 0), shard[item_rows, -1], 0.0)
            found[batch] = products
    return found


def errors_of_mean(held_out: HeldOut, scaling: Scaling, scale: tuple[float, float], *drawn: HeldOutDraws) -> Errors:
    """Return the errors of the mean of all draws of all chains so far, clipped to the scale, in rating units."""
    mean = scaling.mean + scaling.deviation * _mean(drawn)
    away = held_out.ratings.astype(np.float64) - np.clip(mean, *scale)
    return Errors(float(away @ away), float(np.sum(np.abs(away))), len(away))


def with_mean_offsets(
    held_out: HeldOut, times: HeldOutTimes | None, users: UserTimes | None, items: Matrix | None, draws: int
) -> HeldOut:
    """Return validation ratings with what time adds on average; users, items : sums of effects over draws."""
    if times is None or users is None or items is None:
        return held_out
    return replace(held_out, offsets=times.offsets(users, items, draws))


@dataclass(frozen=True)
class CompactErrors:
    """Of one rank: errors on the validation ratings, and the squared distance from the predictions of the full mean."""

    errors: Errors
    away: float

    def __add__(self, other: CompactErrors) -> CompactErrors:
        return CompactErrors(self.errors + other.errors, self.away + other.away)


def errors_of_compact(
    held_out: HeldOut, users: CompactShard, items: Sequence[CompactShard], ranks: Sequence[int], scaling: Scaling,
    scale: tuple[float, float], *drawn: HeldOutDraws,
) -> list[CompactErrors]:  # fmt: skip
    """Return those of the compact mean cut to each rank, for one user shard; distances in rating units."""
    full, draws, found = _mean(drawn), sum(each.draws for each in drawn), []
    for rank in ranks:
        mine, *others = (as_factor_shard(each, draws, rank) for each in (users, *items))
        here = predictions(held_out, True, _with_bias(mine, "user"), [_with_bias(each, "item") for each in others])
        if held_out.offsets is not None:
            here += held_out.offsets
        away = float(np.sum((here - full) ** 2)) * scaling.deviation**2
        found.append(CompactErrors(score(held_out, mine, others, scaling, scale), away))
    return found


def _mean(drawn: Sequence[HeldOutDraws]) -> Matrix:
    return np.asarray(np.sum([each.sums for each in drawn], axis=0) / max(1, sum(each.draws for each in drawn)))


def _with_bias(shard: FactorShard, side: str) -> Rows:
    ones = np.ones(len(shard.factors), np.float32)
    return np.column_stack([shard.factors, *((shard.biases, ones) if side == "user" else (ones, shard.biases))])


def _traced(held_out: HeldOut) -> Rows:
    """Return the numbers of the ratings whose predictions are kept, evenly over the shard."""
    count = len(held_out.ratings)
    return np.unique(np.linspace(0, count - 1, min(count, MOST_TRACED)).astype(np.int64)) if count else np.empty(0, int)
