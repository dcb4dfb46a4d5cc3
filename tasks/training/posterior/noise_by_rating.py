"""How the noise of ratings depends on the predicted rating, from the residuals of the training ratings.

Covers: sums over the blocks of a user shard in narrow cells of predictions, and the factors of the noise in wider bins.
Does not cover: the noise itself (draws.py), its use (tasks/model/draws/drawn_rows.py), the jobs
(pipeline/stages/export.py).

Ratings scatter less near an end of the scale. Residuals on ratings that a model was trained on are smaller than the
noise, so only their ratio between bins counts: the mean of the factors over training ratings is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.factor_shard import FactorShard, read_shard
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.grid.solved_rows import Matrix
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.draws.about_draws import NoiseByRating
from funkflow.tasks.training.times.saved import SavedTimes, read_item_times, read_user_times

BINS = 20
LEAST = 500
"""Ratings of a bin: its variance then has a standard error of 6 %."""
_USUAL = 50
"""Ratings with the usual noise that each bin has besides its own, so that its factor is above 0."""
_MOST = 10_000_000
"""Ratings that are measured, about: of more, every second, third and so on."""
_WIDEST, _CELLS = 8.0, 4096
"""Cells are evenly spaced between as many deviations below and above the mean; the outermost have the rest, too."""
SLICE = 1 << 14
"""Ratings whose rows are taken at once."""


@dataclass(frozen=True)
class ResidualSums:
    """By cell of predictions: numbers of training ratings and sums of their squared residuals, float64 (cells,)."""

    counts: Matrix
    squares: Matrix

    def __add__(self, other: ResidualSums) -> ResidualSums:
        return ResidualSums(self.counts + other.counts, self.squares + other.squares)


def measure_row(
    row: BlockRow, users: Place, items: tuple[FactorShard, ...], rank: int, scaling: Scaling, ratings: int,
    days: BlockRow | None = None, times: SavedTimes | None = None, shard: int = 0,
) -> ResidualSums:  # fmt: skip
    """Return the sums over the blocks of one user shard, residuals in units of the deviation.

    Parameters
    ----------
    users : the saved user shard; items : all item shards, in order; rank : of both.
    ratings : of all blocks of the grid.
    days, times : blocks of days and effects of time, if the model has some; shard : the user shard's number.
    """
    mine, step = read_shard(*users, rank), max(1, -(-ratings // _MOST))
    counts, squares = np.zeros(_CELLS), np.zeros(_CELLS)
    by_user = None if times is None else read_user_times(times.users[shard])
    for column, (block, others) in enumerate(zip(row, items, strict=True)):
        user_rows, item_rows, values = (each[::step] for each in (block.user_rows, block.item_rows, block.ratings))
        if days is not None and times is not None and by_user is not None:
            when = days[column].ratings[::step].astype(np.int64)
            effects = by_user.of(user_rows, when)
            if times.items:
                effects += read_item_times(times.items[column], times.edges).of(item_rows, when)
            values = np.asarray(values - scaling.deviation * effects, np.float32)
        for at in range(0, len(values), SLICE):
            a, b, rated = (each[at : at + SLICE] for each in (user_rows, item_rows, values))
            predicted = np.einsum("nf,nf->n", mine.factors[a], others.factors[b]).astype(np.float64)
            predicted += mine.biases[a] + others.biases[b]
            residuals = (rated.astype(np.float64) - scaling.mean) / scaling.deviation - predicted
            cells = np.clip((predicted + _WIDEST) * (_CELLS / (2.0 * _WIDEST)), 0, _CELLS - 1).astype(np.int64)
            counts += np.bincount(cells, minlength=_CELLS)
            squares += np.bincount(cells, residuals**2, _CELLS)
    return ResidualSums(counts, squares)


def noise_factors(sums: ResidualSums, scaling: Scaling) -> NoiseByRating:
    """Return the factors from the sums of all user shards, in bins with about as many ratings each."""
    ratings, squared = sums.counts.sum(), sums.squares.sum()
    if not squared:
        return {"edges": [], "factors": [1.0]}
    bins = int(np.clip(ratings // LEAST, 1, BINS))
    below = np.cumsum(sums.counts)
    # A cell may have the ratings of several bins, which are then one.
    starts = np.unique(np.searchsorted(below, ratings * np.arange(bins) / bins, side="right"))
    counts, squares = (np.add.reduceat(each, starts) for each in (sums.counts, sums.squares))
    factors = (squares * (ratings / squared) + _USUAL) / (counts + _USUAL)
    factors *= ratings / np.sum(counts * factors)
    edges = scaling.mean + scaling.deviation * (starts[1:] * (2.0 * _WIDEST / _CELLS) - _WIDEST)
    return {"edges": edges.tolist(), "factors": factors.tolist()}
