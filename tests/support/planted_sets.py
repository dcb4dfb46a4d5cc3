"""Planted sets of few ratings, trained on in this process, and the model that a textbook would fit to them.

Covers: making sets, an epoch after another as a run has them, and the slow, obvious ridge regression by turns.
Does not cover: the pipeline around it (test_flow.py), or what is asserted (test_standstill.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
import numpy.typing as npt
from conftest import Ratings

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.default_rule import STEP, initial_length_for, l2_for, patience_for, step_for
from funkflow.tasks.grid.factor_shard import ShardStart, initial_shard, shard_rows
from funkflow.tasks.grid.layout import shards_for
from funkflow.tasks.grid.scaling import Scaling, StepSizes
from funkflow.tasks.grid.visit_order import strata_of_shares
from funkflow.tasks.training.early_stopping import StoppingRule
from funkflow.tasks.training.score import HeldOut, held_out_table
from funkflow.tasks.training.sgd import Descent
from funkflow.tasks.training.sgd_epochs import EpochRun, History, Measure, run_epochs

Matrix = npt.NDArray[np.float64]
RIDGES = (0.03, 0.1, 0.3, 1.0, 2.0, 4.0, 10.0, 30.0)


def planted(count: int, shape: tuple[int, int], rank: int, noise: float, biases: bool, seed: int) -> Ratings:
    """Return ratings around 3 with factors of unit deviation, rank 0 for none; a tenth is for validation."""
    rng = np.random.default_rng([seed, count, rank])
    cells = np.sort(rng.choice(shape[0] * shape[1], count, replace=False))
    users, items = cells // shape[1], cells % shape[1]
    factors = [rng.normal(size=(rows, rank)) for rows in shape]
    scores = 3.0 + np.einsum("nk,nk->n", factors[0][users], factors[1][items]) / max(1.0, rank**0.5)
    if biases:
        scores += 0.5 * rng.normal(size=shape[0])[users] + 0.5 * rng.normal(size=shape[1])[items]
    ratings = (scores + noise * rng.normal(size=count)).astype(np.float32)
    return Ratings(users.astype(np.int32), items.astype(np.int32), ratings, rng.random(count) < 0.1, shape)


def rmse_of(made: Ratings, predicted: npt.ArrayLike) -> float:
    """Return the RMSE on the validation ratings, clipped to the scale as a run clips."""
    scale = (made.ratings.min(), made.ratings.max())
    return float(np.sqrt(np.mean((made.ratings[made.is_validation] - np.clip(predicted, *scale)) ** 2)))


def mean_rmse(made: Ratings) -> float:
    return rmse_of(made, made.ratings[~made.is_validation].mean())


def best_rmse(history: History) -> float:
    return min(row[1] for row in history if row[1] is not None)


def trained(made: Ratings, rank: int = 64, patience: int | None = None, epochs: int = 100) -> History:
    """Return the history of a run with default settings, or another patience, and at most that many epochs."""
    train, mine = ~made.is_validation, made.ratings[~made.is_validation].astype(np.float64)
    shards, length = shards_for(len(mine), *made.shape), initial_length_for(len(mine))
    rows = [tuple(_block(made, train, a, b, shards) for b in range(shards)) for a in range(shards)]
    start = ShardStart(rank, 0, shards, length)
    users, items = (
        tuple(initial_shard(np.isin(np.arange(a, count, shards), ids[train]), start, side, a) for a in range(shards))
        for side, ids, count in zip(("user", "item"), (made.users, made.items), made.shape, strict=True)
    )
    step = step_for(len(mine))
    mean, deviation = astuple(Scaling.of(float(mine.mean()), float(np.mean(mine**2)), center=True))
    steps = StepSizes(mean, deviation, l2_for(len(mine), *made.shape), step, STEP)
    scale = (float(made.ratings.min()), float(made.ratings.max()))
    rule = StoppingRule(patience or patience_for(biases=True), 1e-4, waits=patience is None)
    visits = [strata_of_shares(0, epoch, shards, 1)[0].visits[0] for epoch in range(1, epochs + 1)]
    before = EpochRun(Descent(users, items, (0.0,) * shards), None, ())
    held_out = [_held_out(made, a, shards) for a in range(shards)]
    measure = Measure(len(mine), scale, True, rule, steps, deviation)
    return run_epochs(rows, visits, before, held_out, measure).history


def _block(made: Ratings, train: npt.NDArray[np.bool_], a: int, b: int, shards: int) -> RatingBlock:
    here = train & (made.users % shards == a) & (made.items % shards == b)
    shape = (shard_rows(made.shape[0], shards, a), shard_rows(made.shape[1], shards, b))
    return RatingBlock.of(made.users[here] // shards, made.items[here] // shards, made.ratings[here], shape)


def _held_out(made: Ratings, shard: int, shards: int) -> HeldOut:
    """Rows without training ratings have no factors, so they need no mark here."""
    chosen = made.is_validation
    users, items = (ids[chosen].astype(np.int64) for ids in (made.users, made.items))
    table = held_out_table(users, items, made.ratings[chosen], shards, shard)
    starts = np.searchsorted(table["item_shard"].to_numpy(), np.arange(shards + 1)).astype(np.int64)
    return HeldOut(table["user_row"].to_numpy(), table["item_row"].to_numpy(), table["rating"].to_numpy(), starts)


def ridge_rmse(made: Ratings, rank: int, biases: bool, ridges: Sequence[float] = RIDGES, rounds: int = 15) -> float:
    """Return the validation RMSE of alternating ridge regression, its ridge the best of `ridges` on the same ratings.

    Mean removed; with `biases`, each row has a bias, under the same ridge as its factors.
    """
    train, mean = ~made.is_validation, float(made.ratings[~made.is_validation].mean())
    observed, left = np.zeros(made.shape), np.zeros(made.shape)
    observed[made.users[train], made.items[train]] = 1.0
    left[made.users[train], made.items[train]] = made.ratings[train] - mean
    chosen = made.users[made.is_validation], made.items[made.is_validation]
    ends = []
    for ridge in ridges:
        rng = np.random.default_rng(0)
        # A row of V is its factors, a one that the user's bias goes with, and its own bias.
        items = np.concatenate([0.1 * rng.normal(size=(made.shape[1], rank)), np.zeros((made.shape[1], 1))], axis=1)
        for _ in range(rounds):
            users = _solved(observed, left, items, rank, ridge, biases)
            items = _solved(observed.T, left.T, users, rank, ridge, biases)
        product = users[:, :-1] @ items[:, :-1].T + users[:, -1:] + items[:, -1]
        ends.append(rmse_of(made, mean + product[chosen]))
    return min(ends)


def _solved(observed: Matrix, left: Matrix, others: Matrix, rank: int, ridge: float, biases: bool) -> Matrix:
    """Return for each row the factors and the bias that are best for its ratings, the other side as it is."""
    rows = np.zeros((len(observed), rank + 1))
    for row, (known, target) in enumerate(zip(observed > 0, left, strict=True)):
        design = np.concatenate([others[known, :-1], np.full((known.sum(), 1), float(biases))], axis=1)
        normal = design.T @ design + ridge * np.eye(rank + 1)
        rows[row] = np.linalg.solve(normal, design.T @ (target[known] - others[known, -1]))
    return rows
