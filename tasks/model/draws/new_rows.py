"""Draws of a row that joined after training, from its ratings and the draws of the other side.

Covers: the exact draw given each kept draw of the model.
Does not cover: the one best row (tasks/model/fold/fold_in.py), checks of ratings (tasks/model/items.py).

In draw d a rating of item i is normal about mean + u·v_i + b_u + b_i with deviation s, and the new row (u, b_u) is
normal with the mean m and the variances w of all rows of its side in that draw. Given the ratings it is then normal
with precision A = F^T F / s^2 + W^-1 and mean A^-1 (F^T t / s^2 + W^-1 m), where a row of F is (v_i, 1) and t is a
rating without mean and b_i. The mean and the variances stand for the prior that the sampler drew, from which they
differ by about one part in the square root of the number of rows. The new ratings do not move the draws themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.late import late
from funkflow.tasks.model.draws.drawn_rows import DrawnRows, Numbers, RowPriors
from funkflow.tasks.noise import Stream

if TYPE_CHECKING:
    from scipy import linalg
else:
    linalg = late("scipy.linalg")


@dataclass(frozen=True)
class DrawnRow:
    """A new row in each draw, in rating units: float32 (D, k + 1), the bias last.

    `rated` : raw ids of the rated items, which `recommend` leaves out.
    """

    draws: npt.NDArray[np.float32]
    rated: tuple[Any, ...] = ()


def draw_row(others: DrawnRows, targets: Numbers, noise: Numbers, prior: RowPriors, seed: int) -> Numbers:
    """Return a draw of the row given each draw of the model, float64 (D, k + 1).

    Parameters
    ----------
    others : float32 (n, D, k + 1), rows of the other side, one for each rating.
    targets : float64 (n,), ratings without the mean.
    noise : float64 (D,), deviation of ratings in each draw.
    prior : of the rows of the new one's side.
    """
    drawn = prior.mean.copy()
    for draw in range(len(noise)):
        free = prior.variance[draw] > 0.0  # a model without biases has a column of zeros
        design = others[:, draw].astype(np.float64)
        wanted = targets - design[:, -1]
        design[:, -1] = 1.0
        wanted = wanted - design[:, ~free] @ prior.mean[draw, ~free]
        design, precision = design[:, free], 1.0 / prior.variance[draw, free]
        normal = design.T @ design / noise[draw] ** 2 + np.diag(precision)
        lower = linalg.cholesky(normal, lower=True)
        pull = design.T @ wanted / noise[draw] ** 2 + precision * prior.mean[draw, free]
        normals = Stream(seed, 0, draw).generator("new row").standard_normal(int(free.sum()))
        centre = linalg.solve_triangular(lower, pull, lower=True)
        drawn[draw, free] = linalg.solve_triangular(lower, centre + normals, lower=True, trans="T")
    return drawn
