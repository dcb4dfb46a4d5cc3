"""Factors and bias of one new row from its ratings, with the rest of the model fixed.

Covers: the ridge problem of one row, with and without a weight for missing cells, and its solution.
Does not cover: look-ups of ids (tasks/model/model.py), or the objectives themselves (tasks/training/objective.py,
tasks/grid/row_objective.py).

With the other side fixed, J is quadratic in a row's factors w and bias b. In rating units, with
e = r - µ - b_c - b - <w, v_c> for each of the row's n ratings, J is, up to a factor,

    sum of e^2 + n (l2 d |w|^2 + l2 b^2),        d the deviation by which training divides ratings,

as training divides e and b by d, and w by its root. So (w, b) solves the normal equations
(X^T X + n Λ) (w, b) = X^T y, where X has a row (v_c, 1) for each rating, y holds r - µ - b_c, and Λ is diagonal: l2 d
for factors, l2 for the bias.

A model trained for a ranking gives each of the N cells of a row without a rating the target 0 and the weight alpha, and
each rating a confidence c, which is 1. A count has the target 1 and its own confidence. There are no biases. With G the
sum of v v^T over all N rows of the other side, w solves

    (sum of (c - alpha) v v^T + alpha G + s I) w = sum of c y v + s q        s = l2 d (sum of c + alpha N)

over the row's ratings: the problem above with c = 1 and alpha = 0. G is computed once for all rows. q is the row that
users have in common, if they have one, else 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import BadInput
from funkflow.tasks.late import late
from funkflow.tasks.transform import Transform, as_ratings, confidences, transformed

if TYPE_CHECKING:
    from scipy import linalg
else:
    linalg = late("scipy.linalg")

Matrix = npt.NDArray[np.float64]
_ROWS_AT_ONCE = 2**16
"""Rows in float64 at a time: 32 MiB at rank 64."""


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
    """The L2 penalty per rating, in rating units, and `alpha`, the weight of a missing cell.

    `has_bias` : the model has biases, which needs alpha = 0; `counts` : ratings are counts; `common` : k numbers, the
    row towards which the penalty pulls; (): 0.
    """

    factors: float
    bias: float
    has_bias: bool
    alpha: float = 0.0
    counts: bool = False
    common: tuple[float, ...] = ()

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> Penalty:
        """Return the penalty of a model from its `model.json`.

        Raises
        ------
        BadInput
            `model.json` lacks the L2 term, or the weight of missing cells that it was trained with.
        """
        if "l2" not in about or "deviation" not in about:
            raise BadInput("fold_in: model.json lacks the L2 term (l2, deviation); export the model again")
        train = about.get("settings", {}).get("train", {})
        weighs_missing = train.get("method") == "als" and about.get("goal") == "ranking"
        if weighs_missing and train.get("als", {}).get("alpha") != 0 and "alpha" not in about:
            raise BadInput("fold_in: model.json lacks the weight of missing cells (alpha); export the model again")
        has_bias = bool(train.get("biases", True))
        l2, deviation, alpha = float(about["l2"]), float(about["deviation"]), float(about.get("alpha", 0.0))
        common = tuple(about.get("common_user", ()))
        return cls(l2 * deviation, l2, has_bias, alpha, counts=about.get("counts", False), common=common)


@dataclass(frozen=True)
class AllRows:
    """All rows of the other side: `gram`, the sum of v v^T, float64 (k, k), and their number."""

    gram: Matrix
    number: int

    @classmethod
    def of(cls, *shards: npt.NDArray[np.float32]) -> AllRows:
        """Return the sums over shards of factors, float32 (rows, k)."""
        gram = np.zeros((shards[0].shape[1],) * 2)
        for shard in shards:
            for first in range(0, len(shard), _ROWS_AT_ONCE):
                rows = shard[first : first + _ROWS_AT_ONCE].astype(np.float64)
                gram += rows.T @ rows
        return cls(gram, sum(map(len, shards)))


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
    mean: float, penalty: Penalty, all_others: AllRows | None = None,
) -> FoldedRow:  # fmt: skip
    """Return the row that minimises the objective with the other side fixed.

    Parameters
    ----------
    others, other_biases : float32 (n, k) and (n,), rows of the other side, one for each rating.
    ratings : float64 (n,), from `check_ratings`.
    all_others : of the other side; needed with penalty.alpha > 0.
    """
    rank = others.shape[1]
    targets, trust = evidence(ratings, ratings - mean - other_biases, penalty)
    row = solve_row(others, targets, penalty, all_others, trust)
    return FoldedRow(row[:rank].astype(np.float32), float(row[rank]) if penalty.has_bias else 0.0)


def evidence(ratings: Matrix, targets: Matrix, penalty: Penalty) -> tuple[Matrix, Matrix | None]:
    """Return targets and confidences for `solve_row`: of counts, ones and how sure they are."""
    return (np.ones(len(ratings)), confidences(ratings)) if penalty.counts else (targets, None)


def solve_row(
    others: npt.NDArray[np.float32], targets: Matrix, penalty: Penalty, all_others: AllRows | None = None,
    trust: Matrix | None = None,
) -> Matrix:  # fmt: skip
    """Return the factors of a row, and its bias if the model has biases: float64 (k,) or (k + 1,).

    Parameters
    ----------
    others : float32 (n, k), rows of the other side, one for each rating.
    targets : float64 (n,), ratings without mean and bias of the other side.
    all_others : of the other side; needed with penalty.alpha > 0.
    trust : float64 (n,), confidences of the ratings; None: 1.
    """
    rank = others.shape[1]
    design = np.ones((len(targets), rank + penalty.has_bias))
    design[:, :rank] = others
    if trust is None:
        trust = np.ones(len(targets))
    weights = trust - penalty.alpha
    # A product of one array with itself costs half, and its result is symmetric to the bit.
    normal = design.T @ (design if (weights == 1.0).all() else design * weights[:, None])
    shift = trust.sum()
    if penalty.alpha:
        assert all_others is not None
        normal += penalty.alpha * all_others.gram
        shift += penalty.alpha * all_others.number
    ridge = np.full(len(normal), penalty.factors)
    ridge[rank:] = penalty.bias
    normal[np.diag_indices_from(normal)] += shift * ridge
    wanted = design.T @ (trust * targets)
    if penalty.common:
        wanted[:rank] += shift * penalty.factors * np.array(penalty.common)
    # Without L2 there may be many solutions: take the shortest.
    solved = linalg.solve(normal, wanted, assume_a="pos") if ridge.all() else None
    return np.asarray(linalg.lstsq(normal, wanted)[0] if solved is None else solved)
