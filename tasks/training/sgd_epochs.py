"""Several epochs over a grid that is one share, as one task.

Covers: the epochs with their scores and the steps of second factors, the best and the last state, and stopping.
Does not cover: an epoch of several shares (pipeline/training/methods/sgd_graph.py), the stopping rule
(early_stopping.py).

An epoch over few ratings takes less time than a scheduler and two processes need to start, carry and judge it. The rule
needs the history alone, so a task can apply it as well as the client.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.block import BlockRow
from funkflow.tasks.grid.default_rule import l2_of_epoch
from funkflow.tasks.grid.factor_shard import FactorShard
from funkflow.tasks.grid.scaling import Scaling, StepSizes
from funkflow.tasks.grid.solved_rows import rows_of
from funkflow.tasks.grid.visit_order import Visit, items_of
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.threads import map_threads
from funkflow.tasks.training.early_stopping import AnyHistory, StoppingRule, stopping_rmses
from funkflow.tasks.training.implicit.first_means import explained_squares
from funkflow.tasks.training.implicit.schedule import L2_SHARE, NO_MEANS, Implicit
from funkflow.tasks.training.implicit.second_factors import Shards, as_tree, step_all
from funkflow.tasks.training.score import HeldOut, epoch_rmses, score_epoch
from funkflow.tasks.training.sgd import Descent, descend
from funkflow.tasks.training.times.effects import UserTimes
from funkflow.tasks.training.times.held_out_times import HeldOutTimes
from funkflow.tasks.training.times.row_days import RowDays
from funkflow.tasks.training.times.steps import StepSums, is_step_due, ridges_of, rows_without, step_times

RATINGS_AT_ONCE = 50_000_000
"""Most ratings of a task, all epochs together: less than a second on two cores, at rank 64."""
_MOST_EPOCHS = 10
"""More would gain nothing: the overhead of a task is small beside ten epochs."""
EpochRow = tuple[float, float | None, float | None, float | None]
"""What `epoch_rmses` returns, and `explained`."""
History = tuple[EpochRow, ...]
Squares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EpochRun(Weighed):
    """All shards after some epochs.

    `best` : after the best epoch since the last checkpoint; None if an earlier one is better.
    `history` : the numbers of each epoch so far, earlier ones included.
    """

    last: Descent
    best: Descent | None
    history: History


@dataclass(frozen=True)
class Measure:
    """The numbers that epochs are run, measured and judged with.

    `ratings` : number of training ratings; `scale` : predictions are clipped to it; `scored` : whether there are
    validation ratings; `steps` : of the first epoch; `spread` : the deviation of ratings from their mean, for an L2
    term that changes from epoch to epoch; None: it stays; `implicit` : the rule of second factors.
    """

    ratings: int
    scale: tuple[float, float]
    scored: bool
    rule: StoppingRule
    steps: StepSizes
    spread: float | None = None
    implicit: Implicit = NO_MEANS

    def steps_of(self, epoch: int, history: AnyHistory) -> StepSizes:
        """Return the numbers of a step in an epoch, from the history up to the second epoch before it, or more."""
        if self.spread is None:
            return self.steps
        l2 = l2_of_epoch(epoch, self.steps.l2, stopping_rmses(history), self.spread, self.rule.start)
        return replace(self.steps, l2=l2 * L2_SHARE if self.implicit.pulls(epoch, history) else l2)


def epochs_at_once(ratings: float, shares: int = 1) -> int:
    """Return the number of epochs that make one task: one if there are several shares, which exchange items."""
    return max(1, min(_MOST_EPOCHS, int(RATINGS_AT_ONCE // max(1.0, ratings)))) if shares == 1 else 1


def run_epochs(
    rows: Sequence[BlockRow],
    epochs: Sequence[Sequence[Visit]],
    before: EpochRun,
    held_out: Sequence[HeldOut],
    measure: Measure,
    threads: int = 1,
    took: Callable[[float], None] = lambda _seconds: None,
    days: Sequence[RowDays] | None = None,
    times: Sequence[HeldOutTimes | None] = (),
    effects: Sequence[str] = (),
) -> EpochRun:
    """Run as many epochs more, or fewer if the rule stops them.

    Parameters
    ----------
    epochs : the blocks of each epoch, in order. days, times, effects : where time has effects, the days of the ratings,
        where effects of the validation ratings are, and which there are. The rest is as for `descend` and
        `score_epoch`.
    """
    steps = measure.steps
    last, best, history = before.last, before.best, before.history
    for visits in epochs:
        if history and (measure.rule.judge(history).stop or not math.isfinite(history[-1][0])):
            break
        epoch = len(history) + 1
        now, pulled = measure.steps_of(epoch, history), measure.implicit.pulls(epoch, history)
        bare = rows_without(rows, days, last.times, steps.deviation)
        last = descend(
            bare, visits, last.of_new_epoch(), items_of(last), now, pulled=pulled, threads=threads, took=took
        )
        side = measure.implicit.side(epoch, history)
        if side:
            last = step_whole(rows, last, side, measure.implicit.ridge, pulled, threads)
        found = (
            explained([user_squares(last)], [item_squares(last)]) if measure.implicit.looks(epoch, history) else None
        )
        if days and is_step_due(epoch):
            last = with_ridges(*step_share(rows, days, last, items_of(last), steps, effects, threads))
        items = items_of(last) if measure.scored else ()
        errors = score_epoch(held_out, last, items, steps, measure.scale, threads=threads, times=times)
        history = (*history, (*epoch_rmses(errors, measure.ratings, steps.deviation), found))
        if measure.rule.judge(history).best_epoch == len(history):
            best = last
    return EpochRun(last, best, history)


def step_whole(
    rows: Sequence[BlockRow], share: Descent, side: str, ridge: float, follow: bool, threads: int
) -> Descent:
    """Return the one share of a grid after a step for the rows of a side; follow : whether they do."""
    users, items = step_all(rows, share.users, items_of(share), side, ridge, follow, threads)
    return replace(share, users=users, items=items)


def step_share(
    rows: Sequence[BlockRow], days: Sequence[RowDays], share: Descent, items: Sequence[FactorShard], scaling: Scaling,
    effects: Sequence[str], threads: int,
) -> tuple[Descent, list[StepSums]]:  # fmt: skip
    """Return a share with the effects of time of its users after a step, and the sums of each user shard.

    items : all item shards, in order.
    """
    before = share.times
    assert before is not None
    others = [rows_of(each.factors, each.biases, "item", True) for each in items]

    def step(blocks: BlockRow, row: RowDays, times: UserTimes, users: FactorShard) -> tuple[UserTimes, StepSums]:
        mine = rows_of(users.factors, users.biases, "user", True)
        return step_times(blocks, row, times, mine, others, scaling, before.ridges, effects)

    found = map_threads(step, rows, days, before.shards, share.users, threads=threads)
    times = replace(before, shards=tuple(times for times, _ in found))
    return replace(share, times=times), [sums for _, sums in found]


def with_ridges(share: Descent, parts: Sequence[StepSums]) -> Descent:
    """Return a share with the ridges after a step; parts : the sums of all user shards, in order."""
    assert share.times is not None
    return replace(share, times=replace(share.times, ridges=ridges_of(parts, share.times.ridges)))


def user_squares(share: Descent) -> Squares:
    """Return `explained_squares` of a share of users."""
    return explained_squares(share.users)


def item_squares(items: Descent | Shards) -> Squares:
    """Return `explained_squares` of a share of items."""
    return explained_squares(items_of(items))


def explained(users: Sequence[Squares], items: Sequence[Squares]) -> float:
    """Return which part of their squares the means of both sides explain, as a geometric mean; by share."""
    sides = (as_tree(users), as_tree(items))
    return math.sqrt(math.prod(float(means / rows) if rows else 0.0 for means, rows in sides))
