"""The objective of alternating row solves, from completion to the SVD by one weight.

Covers: the numbers of J, its value from the sums of an epoch, the target of each rating, and their weight.
Does not cover: solving rows (tasks/training/als.py), the choice of the numbers (default_rule.py).

    J = sum over observed of (a - u·v)^2 + alpha sum over missing of (u·v)^2
        + l2 sum over users of (n_u + alpha N_items) |u|^2 + l2 sum over items of (n_i + alpha N_users) |v|^2

With `toward_mean` g above 0 the L2 term of a user is l2 (n_u + alpha N_items) (|u - q|^2 + (1 / g - 1) |q|^2), with a
row q that all users have in common. J is least in q where q is g times the mean of the users, weighed by n_u + alpha
N_items. So a user with few ratings is much like the mean user, who is recommended popular items.

With alpha = 0 this is completion, with alpha = 1 and l2 = 0 the SVD of the matrix with zeros (Hu, Koren & Volinsky
2008; Rendle et al. 2022). The missing cells cost a k x k matrix alone, as the sum over all cells of (u·v)^2 is
tr(U^T U V^T V).

A count n, of plays or clicks, says how sure it is that the user likes the item: its target a is 1, its term has a
confidence c = 1 + log((1 + n) / 2) before it, and in the L2 terms the sum of a row's confidences stands for n_u. So a
count of 1 is what a rating is, and 100 are worth 4.9.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.grid.solved_rows import Matrix, Rows
from funkflow.tasks.transform import confidences


@dataclass(frozen=True)
class Objective:
    """The numbers of J.

    Attributes
    ----------
    alpha : weight of a missing cell, 0 to 1.
    l2 : of the L2 term.
    users, items : number of all users and items.
    scaling : a rating r is the target (r - mean) / deviation.
    biases : whether rows have them; with alpha = 0 only.
    counts : whether ratings are counts, with confidences.
    toward_mean : g, 0 to 1.
    """

    alpha: float
    l2: float
    users: int
    items: int
    scaling: Scaling
    biases: bool = False
    counts: bool = False
    toward_mean: float = 0.0

    def value(self, targets: float, users: Seen, items: Seen) -> float:
        """Return J between the halves of an epoch; `targets` : sum of a^2."""
        observed = targets - 2.0 * items.met + (1.0 if self.counts else self.weight) * items.squared
        return observed + items.everywhere + users.penalty + items.penalty

    def shifts(self, counts: Matrix, others: int) -> Matrix:
        """Return l2 (n + alpha N) for rows with n ratings, of N rows on the other side."""
        return self.l2 * self.row_weights(counts, others)

    def row_weights(self, counts: Matrix, others: int) -> Matrix:
        """Return n + alpha N for the same rows."""
        return counts + self.alpha * others

    @property
    def common_l2(self) -> float:
        """Return what the length of the common row counts beside the users' distance from it."""
        return 1.0 / self.toward_mean - 1.0 if self.toward_mean else 0.0

    def shares(self, counts: Matrix, others: int) -> Matrix:
        """Return what a row of N on the other side weighs, on average, in the problem of a row with n ratings."""
        return self.alpha + (1.0 - self.alpha) * counts / others

    def free(self, width: int, side: str) -> Matrix:
        """Return 1 for the columns that a side is solved for, 0 for that of ones."""
        free = np.ones(width)
        if self.biases:
            free[-1 if side == "users" else -2] = 0.0
        return free

    @property
    def weight(self) -> float:
        """Return what an observed cell weighs beside the sum over all cells: 1 - alpha; its confidence comes on top."""
        return -self.alpha if self.counts else 1.0 - self.alpha

    def targets(self, levels: npt.NDArray[np.float32], number: npt.DTypeLike) -> Rows:
        """Return the target of each code, as kernels take them; of counts, confidence times target.

        levels : of a block; where it has none, the function returns the two numbers that make a target of a rating.
        """
        if self.counts:
            return confidences(levels).astype(number)
        mean, deviation = self.scaling.mean, self.scaling.deviation
        if not len(levels):
            return np.array([mean, 1.0 / deviation], number)
        return np.asarray((levels.astype(np.float64) - mean) / deviation, number)


@dataclass(frozen=True)
class Seen:
    """Sums of one half of an epoch, at the point that it begins with, but for the penalty.

    `met`, `squared` : over observed cells, of a s and of s^2, for target a and prediction s, and of counts c a s and
    (c - alpha) s^2; `everywhere` : alpha times
    the sum of s^2 over all cells; `slope` : squared length of half the gradient; `penalty` : the side's part of the L2
    term between the halves, which is after the users' and before the items'.
    """

    met: float = 0.0
    squared: float = 0.0
    everywhere: float = 0.0
    slope: float = 0.0
    penalty: float = 0.0

    def __add__(self, other: Seen) -> Seen:
        return Seen(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


NOTHING_SEEN = Seen()
