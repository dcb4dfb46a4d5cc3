"""When training has gone far enough: decided by the sequence of RMSEs alone.

Covers: which epoch is the best so far, and whether to stop after it.
Does not cover: what the RMSEs were measured on, or what happens to the factors (pipeline/stages/train.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """`best_epoch` counts from 1, 0 is the state before; `stop` says that `patience` epochs brought no gain."""

    best_epoch: int
    stop: bool


@dataclass(frozen=True)
class Rule:
    """The rule with its numbers, as `judge_history` takes them."""

    patience: int
    minimum_gain: float
    start: float | None = None

    def judge(self, history: Sequence[Sequence[float | None]]) -> Verdict:
        """Judge the epochs so far."""
        return judge_history(history, self.patience, self.minimum_gain, self.start)


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


def judge_history(
    history: Sequence[Sequence[float | None]], patience: int, minimum_gain: float, start: float | None = None
) -> Verdict:
    """Judge [training RMSE, stopping RMSE or None] of each epoch; with no stopping RMSE the last is the best."""
    rmses = [stopping for _, stopping in history if stopping is not None]
    return judge(rmses, patience, minimum_gain, start) if rmses else Verdict(len(history), stop=False)
