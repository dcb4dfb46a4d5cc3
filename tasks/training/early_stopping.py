"""When training has gone far enough: decided by the sequence of RMSEs, and of what factors carry.

Covers: which epoch is the best so far, whether to stop after it, and how a standstill differs from the end.
Does not cover: what the RMSEs were measured on, or what happens to the factors (pipeline/training/sgd.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from funkflow.tasks.grid.default_rule import SETTING_OUT

AnyHistory = Sequence[Sequence[float | None]]
"""For each epoch so far its training RMSE, its stopping RMSE or None, and, with stochastic descent, the RMS of what
factors add to the predictions of the stopping ratings, or None."""


@dataclass(frozen=True)
class Verdict:
    """`best_epoch` counts from 1, 0 is the state before; `stop` says that `patience` epochs brought no gain."""

    best_epoch: int
    stop: bool


@dataclass(frozen=True)
class Rule:
    """The rule with its numbers, as `judge_history` takes them.

    `waits` : it does not stop at a standstill: where factors set out, or where validation falls back from a rise.
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


def judge(rmses: Sequence[float], patience: int, minimum_gain: float, start: float | None = None) -> Verdict:
    """Judge the RMSEs of epochs 1, 2, …: the same sequence gives the same verdict, whatever arrived first.

    An epoch is the best if it is lower than all before it; only a fall by the relative `minimum_gain` below the last
    epoch that gained renews the patience. `start`, the RMSE of the model that training starts from, counts as epoch 0
    when the best is chosen, and not for the patience: the first epochs may well be worse than it.
    """
    best, best_epoch, gained, gained_epoch = float("inf") if start is None else start, 0, float("inf"), 0
    for epoch, rmse in enumerate(rmses, start=1):
        if rmse < best:
            best, best_epoch = rmse, epoch
        if rmse < gained * (1.0 - minimum_gain) or epoch == 1:
            gained, gained_epoch = rmse, epoch
    return Verdict(best_epoch, len(rmses) - gained_epoch >= patience)


def judge_history(history: AnyHistory, patience: int, minimum_gain: float, start: float | None = None) -> Verdict:
    """Judge the epochs by their stopping RMSEs; without these the last epoch is the best."""
    rmses = stopping_rmses(history)
    return judge(rmses, patience, minimum_gain, start) if rmses else Verdict(len(history), stop=False)


def stopping_rmses(history: AnyHistory) -> list[float]:
    """Return the stopping RMSE of each epoch that has one."""
    return [row[1] for row in history if row[1] is not None]


def set_out(history: AnyHistory) -> bool:
    """Say whether factors are on their way from a saddle: they grow fast for the little that they carry so far.

    Factors start small, and as long as they add next to nothing to predictions, the RMSE says nothing about them: it
    stands still, or rises as biases learn noise, while the factors grow from epoch to epoch by some tenths, or several
    times. Once they carry something, they grow by less, and whether that is of use can be seen.
    """
    if len(history) < 2:
        return False
    (_, rmse, now), (_, _, before) = history[-1], history[-2]
    if not rmse or not now or not before:
        return False
    return now / before - 1.0 > SETTING_OUT * now / rmse


def falls(history: AnyHistory, minimum_gain: float) -> bool:
    """Say whether the last stopping RMSE is below the one before it by the minimum gain: back from a rise.

    Where an RMSE goes up and down, this puts the end off by an epoch at most.
    """
    last = stopping_rmses(history)[-2:]
    return len(last) == 2 and last[1] < last[0] * (1.0 - minimum_gain)
