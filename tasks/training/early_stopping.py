"""Early stopping, by the RMSEs or NDCGs of the epochs and the size of the factors' part of the predictions.

Covers: the best epoch so far, whether to stop, and the difference between a standstill and the end.
Does not cover: measuring RMSEs (score.py) and NDCGs (tasks/serving/rank_sample.py), the loop over epochs
(pipeline/training/methods/sgd.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from funkflow.tasks.grid.default_rule import SETTING_OUT

AnyHistory = Sequence[Sequence[float | None]]
"""For each epoch so far its training RMSE, its validation RMSE or None, and, with stochastic descent, the RMS of the
factors' part of the predictions of the validation ratings, or None, and what `explained` returns
(sgd_epochs.py), or None; with row solves, see `ROW_SOLVES_NDCG`."""
ROW_SOLVES_NDCG = 4
"""The place in a row of the history of row solves that has the NDCG of the held-out ratings, where it decides."""


@dataclass(frozen=True)
class Verdict:
    """`best_epoch` counts from 1, 0 is the state before; `stop` : whether `patience` epochs brought no gain."""

    best_epoch: int
    stop: bool


@dataclass(frozen=True)
class StoppingRule:
    """The rule with its numbers, for `judge_history`.

    `waits` : whether it continues at a standstill: while factors set out, or the validation RMSE falls after a rise.
    """

    patience: int
    minimum_gain: float
    start: float | None = None
    waits: bool = False

    def judge(self, history: AnyHistory) -> Verdict:
        """Judge the epochs so far."""
        verdict = judge_history(history, self.patience, self.minimum_gain, self.start)
        if verdict.stop and self.waits and (set_out(history) or falls(history, self.minimum_gain)):
            return replace(verdict, stop=False)
        return verdict


def judge(losses: Sequence[float], patience: int, minimum_gain: float, start: float | None = None) -> Verdict:
    """Judge the losses of epochs 1, 2, …, RMSEs or 1 - NDCG; the verdict depends on the sequence alone.

    An epoch is the best if its loss is lower than all before it; only a fall by the relative `minimum_gain` below the
    last epoch that gained renews the patience. `start`, the loss of the start model, counts as epoch 0 in the choice of
    the best, but not for the patience: the first epochs can well be worse.
    """
    best, best_epoch, gained, gained_epoch = float("inf") if start is None else start, 0, float("inf"), 0
    for epoch, loss in enumerate(losses, start=1):
        if loss < best:
            best, best_epoch = loss, epoch
        if loss < gained * (1.0 - minimum_gain) or epoch == 1:
            gained, gained_epoch = loss, epoch
    return Verdict(best_epoch, len(losses) - gained_epoch >= patience)


def judge_history(history: AnyHistory, patience: int, minimum_gain: float, start: float | None = None) -> Verdict:
    """Judge the epochs by their NDCGs, or else their validation RMSEs; without either the last epoch is the best.

    start : NDCG or RMSE of the start model, as the epochs have it.
    """
    if ndcgs := stopping_ndcgs(history):
        start_loss = None if start is None else 1.0 - start
        return judge([1.0 - ndcg for ndcg in ndcgs], patience, minimum_gain, start_loss)
    rmses = stopping_rmses(history)
    return judge(rmses, patience, minimum_gain, start) if rmses else Verdict(len(history), stop=False)


def stopping_rmses(history: AnyHistory) -> list[float]:
    """Return the validation RMSE of each epoch that has one."""
    return [row[1] for row in history if row[1] is not None]


def stopping_ndcgs(history: AnyHistory) -> list[float]:
    """Return the NDCG of each epoch of row solves that has one."""
    return [ndcg for row in history for ndcg in row[ROW_SOLVES_NDCG : ROW_SOLVES_NDCG + 1] if ndcg is not None]


def set_out(history: AnyHistory) -> bool:
    """Return whether factors are leaving a saddle: they grow fast, and are still a small part of the predictions.

    Factors start small, and while they add next to nothing to predictions, the RMSE does not show their growth: it
    stands still, or rises as biases learn noise, and the factors grow from epoch to epoch by some tenths, or several
    times. Later they grow by less, and the RMSE shows whether they help.
    """
    if len(history) < 2:
        return False
    (_, rmse, now), (_, _, before) = history[-1][:3], history[-2][:3]
    if not rmse or not now or not before:
        return False
    return now / before - 1.0 > SETTING_OUT * now / rmse


def falls(history: AnyHistory, minimum_gain: float) -> bool:
    """Return whether the last validation RMSE is below the one before it by the minimum gain: it falls after a rise.

    If an RMSE goes up and down, this delays the end by an epoch at most.
    """
    last = stopping_rmses(history)[-2:]
    return len(last) == 2 and last[1] < last[0] * (1.0 - minimum_gain)
