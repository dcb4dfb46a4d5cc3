"""Several epochs of a share that is the whole grid, in one go, for as long as the stopping rule lets them.

Covers: one epoch after another with its score, the best and the last state, and where to stop.
Does not cover: an epoch of shares that exchange item shards (pipeline/training/sgd_graph.py), the rule
(early_stopping.py).

Of few ratings an epoch takes less time than a scheduler and two processes need to hand it out, carry and judge it. The
rule goes by the history alone, so a task can judge as well as the client does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.default_rule import l2_of_epoch
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.grid.visit_order import Visit, items_of
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.training.early_stopping import AnyHistory, Rule, stopping_rmses
from funkflow.tasks.training.score import HeldOut, epoch_rmses, score_epoch
from funkflow.tasks.training.sgd import Descent, descend

RATINGS_AT_ONCE = 50_000_000
"""As many may be gone through between two looks at what is reached: less than a second on two cores, at rank 64."""
_MOST_EPOCHS = 10
"""More would gain nothing: what comes with a task is small against these."""
History = tuple[tuple[float, float | None, float | None], ...]


@dataclass(frozen=True)
class EpochRun(Weighed):
    """All shards after some epochs.

    `best` : after the best epoch of those gone through since the first of these; None where an earlier one is better.
    `history` : of each epoch so far, earlier ones included, what `epoch_rmses` returns.
    """

    last: Descent
    best: Descent | None
    history: History


@dataclass(frozen=True)
class Measure:
    """What an epoch's errors become RMSEs with, and how they are judged.

    `ratings` : of training; `scale` : what predictions are clipped to; `scored` : whether any rating is held out;
    `spread` : the deviation of ratings from their mean, which L2 goes by from epoch to epoch; None: L2 stays.
    """

    ratings: int
    scale: tuple[float, float]
    scored: bool
    rule: Rule
    spread: float | None = None

    def steps_of(self, epoch: int, steps: StepSizes, history: AnyHistory) -> StepSizes:
        """Return the step's numbers in an epoch, given the history up to the second epoch before it, or more."""
        if self.spread is None:
            return steps
        return replace(steps, l2=l2_of_epoch(epoch, steps.l2, stopping_rmses(history), self.spread, self.rule.start))


def epochs_at_once(ratings: float, shares: int = 1) -> int:
    """Return how many epochs over so many ratings make one task: one, where shares exchange items within an epoch."""
    return max(1, min(_MOST_EPOCHS, int(RATINGS_AT_ONCE // max(1.0, ratings)))) if shares == 1 else 1


def run_epochs(
    rows: Sequence[Sequence[RatingBlock]],
    epochs: Sequence[Sequence[Visit]],
    before: EpochRun,
    held_out: Sequence[HeldOut],
    steps: StepSizes,
    measure: Measure,
    threads: int = 1,
    took: Callable[[float], None] = lambda _seconds: None,
) -> EpochRun:
    """Return what comes of up to that many epochs more: none, where those before say stop.

    Parameters
    ----------
    epochs : the blocks of each, in the order that counts. The rest is as for `descend`, and `score_epoch`.
    """
    last, best, history = before.last, before.best, before.history
    for visits in epochs:
        if history and (measure.rule.judge(history).stop or not math.isfinite(history[-1][0])):
            break
        now = measure.steps_of(len(history) + 1, steps, history)
        last = descend(rows, visits, last, items_of(last), now, True, threads, took)
        items = items_of(last) if measure.scored else ()
        errors = score_epoch(held_out, last, items, steps, measure.scale, threads)
        history = (*history, epoch_rmses(errors, measure.ratings, steps.deviation))
        if measure.rule.judge(history).best_epoch == len(history):
            best = last
    return EpochRun(last, best, history)
