"""Factors and bias of one new row from its ratings, with the rest of the model fixed.

Covers: the ridge problem of one row, and its solution.
Does not cover: look-ups of ids (model.py), or the objective itself (tasks/training/objective.py).

With the other side fixed, J is quadratic in a row's factors w and bias b. In rating units, with
e = r - µ - b_c - b - <w, v_c> for each of the row's n ratings, J is, up to a factor,

    sum of e^2 + n (l2 d |w|^2 + l2 b^2),        d the deviation by which training divides ratings,

as training divides e and b by d, and w by its root. So (w, b) solves the normal equations
(X^T X + n Λ) (w, b) = X^T y, where X has a row (v_c, 1) for each rating, y holds r - µ - b_c, and Λ is diagonal: l2 d
for factors, l2 for the bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.about import About
from funkflow.tasks.transform import Transform, as_ratings, transformed


@dataclass(frozen=True)
class FoldedRow:
    """A new row in the units of the model: `factors` float32 (k,) and `bias`.

    `rated` : raw ids of the rated items, which `recommend` leaves out.
    """

    factors: npt.NDArray[np.float32]
    bias: float
    rated: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Penalty:
    """The L2 penalty per rating, in rating units. `has_bias` : the model has biases."""

    factors: float
    bias: float
    has_bias: bool

    @classmethod
    def of(cls, about: About) -> Penalty:
        """Return the penalty of a model from its `model.json`.

        Raises
        ------
        BadInput
            `model.json` lacks the L2 term.
        """
        if "l2" not in about or "deviation" not in about:
            raise BadInput("fold_in: model.json lacks the L2 term (l2, deviation); export the model again")
        has_bias = bool(about.get("settings", {}).get("train", {}).get("biases", True))
        return cls(float(about["l2"]) * float(about["deviation"]), float(about["l2"]), has_bias)


def check_ratings(
    ratings: npt.ArrayLike, ids: Any, scale: tuple[float, float] | None, transform: Transform = "none"
) -> npt.NDArray[np.float64]:
    """Return ratings on the scale of training, float64 (n,); `scale` bounds these.

    Raises
    ------
    BadInput
        There are no ratings, or one is not a finite number on the scale.
    """
    try:
        values = np.asarray(ratings, dtype=np.float64)
    except (TypeError, ValueError) as cause:
        raise BadInput(f"fold_in: ratings have to be numbers ({cause})") from cause
    if not len(values):
        raise BadInput("fold_in: there are no ratings; give at least one")
    least, greatest = scale if scale is not None else (-np.inf, np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        # The bounds of a transformed scale are float32.
        trained_on = values if transform == "none" else transformed(values, transform).astype(np.float32)
    wrong = ~(np.isfinite(trained_on) & (trained_on >= least) & (trained_on <= greatest))
    if wrong.any():
        first = int(np.argmax(wrong))
        least, greatest = as_ratings(np.array([least, greatest]), transform)
        allowed = f"a number from {least:g} to {greatest:g}" if scale is not None else "a finite number"
        raise BadInput(f"fold_in: rating {values[first]:g} of {ids[first]!r} is not {allowed}")
    return np.asarray(trained_on, dtype=np.float64)


def fold_in(
    others: npt.NDArray[np.float32], other_biases: npt.NDArray[np.float32], ratings: npt.NDArray[np.float64],
    mean: float, penalty: Penalty,
) -> FoldedRow:  # fmt: skip
    """Return the row that minimises the objective with the other side fixed.

    Parameters
    ----------
    others, other_biases : float32 (n, k) and (n,), rows of the other side, one for each rating.
    ratings : float64 (n,), from `check_ratings`.
    """
    rank = others.shape[1]
    design = np.ones((len(ratings), rank + penalty.has_bias))
    design[:, :rank] = others
    normal = design.T @ design
    weights = np.full(len(normal), penalty.factors)
    weights[rank:] = penalty.bias
    normal[np.diag_indices_from(normal)] += len(ratings) * weights
    target = design.T @ (ratings - mean - other_biases)
    # Without L2 there may be many solutions: take the shortest.
    solved = scipy.linalg.solve(normal, target, assume_a="pos") if weights.all() else None
    row = scipy.linalg.lstsq(normal, target)[0] if solved is None else solved
    return FoldedRow(row[:rank].astype(np.float32), float(row[rank]) if penalty.has_bias else 0.0)
