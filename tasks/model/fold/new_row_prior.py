"""What rows of a side are like before any rating: the prior of a new row.

Covers: mean and covariance of all rows, the mean row by who rated what, the row of a new user given ratings, the file
of a saved model.
Does not cover: how they are measured (tasks/training/new_rows/prior.py), checks of ratings (fold_in.py).

A new row x, factors and then the bias, is normal about m + n^(-1/2) sum of y over its n rated items, with the
covariance S of all rows about these means; without second factors y about m. A rating less mean and item bias is
normal about <x, (v, 1)> with variance s. So x solves

    (F^T F + c s S^-1) (x - m') = F^T (t - F m')        F has a row (v, 1) for each rating, m' is the mean row.

c is `SHARE`: rows that training has pulled to their means scatter less than what they estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.fold.about_new_rows import COLUMN, NewRowsAbout
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import as_column

Matrix = npt.NDArray[np.float64]
Side = Literal["user", "item"]
SHARE = 0.7
"""Of the precision that the rows' covariance suggests. New users have an RMSE of 0.8219 (1: 0.8229, 0.5: 0.8217) by sgd
and 0.8193 (0.8208, 0.8185) by draws on MovieLens 1M, 0.7723 (0.7731, 0.7720) and 0.7661 (0.7654, 0.7673) on
latest-small."""
_FLOOR = 1e-6
"""Least variance in any direction, of the mean one: fewer rows than columns leave directions without any."""
_SIDES: tuple[Side, ...] = ("user", "item")


@dataclass(frozen=True)
class NewRowPrior(Weighed):
    """The prior of a new row of one side.

    mean : float64 (w,), with the bias last; covariance : float64 (w, w); noise : s; second : float32 (n, w), second
    factors of all rows of the other side, None without.
    """

    mean: Matrix
    covariance: Matrix
    noise: float
    second: npt.NDArray[np.float32] | None = None

    @cached_property
    def precision(self) -> Matrix:
        """C s S^-1, float64 (w, w)."""
        floor = _FLOOR * float(np.trace(self.covariance)) / len(self.mean) or _FLOOR
        return np.asarray(SHARE * self.noise * np.linalg.inv(self.covariance + floor * np.eye(len(self.mean))))

    def mean_row(self, places: npt.NDArray[np.integer]) -> Matrix:
        """Return the mean row of somebody who rated these rows of the other side, float64 (w,)."""
        if self.second is None or not len(places):
            return self.mean
        return np.asarray(self.mean + self.second[places].sum(axis=0, dtype=np.float64) / np.sqrt(len(places)))

    def row(
        self, others: npt.NDArray[np.float32], targets: Matrix, places: npt.NDArray[np.integer], has_bias: bool
    ) -> Matrix:
        """Return the row given ratings, float64 (w,); without ratings, or a bias, the mean has its place.

        Parameters
        ----------
        others : float32 (n, k), factors of the rated rows; places : their numbers; targets : float64 (n,), ratings
            without mean and their bias.
        """
        mean = self.mean_row(places)
        free = slice(None) if has_bias else slice(-1)
        design = np.ones((len(targets), len(mean)))
        design[:, :-1] = others
        design, found = design[:, free], mean.copy()
        normal = design.T @ design + self.precision[free, free]
        found[free] += np.linalg.solve(normal, design.T @ (targets - design @ mean[free]))
        return found

    def in_units(self, deviation: float) -> NewRowPrior:
        """Return the prior in rating units, from that of ratings divided by their deviation."""
        units = np.full(len(self.mean), np.sqrt(deviation))
        units[-1] = deviation
        second = None if self.second is None else (self.second * units).astype(np.float32)
        covariance = self.covariance * np.outer(units, units)
        return NewRowPrior(self.mean * units, covariance, self.noise * deviation**2, second)


def write_new_rows(url: str, user: NewRowPrior, item: NewRowPrior) -> str:
    """Write mean and covariance of both sides, a row each; return the file's checksum."""
    width = len(user.mean)
    means, covariances = (
        pa.FixedSizeListArray.from_arrays(as_column(np.concatenate([a.ravel(), b.ravel()])), size)
        for a, b, size in ((user.mean, item.mean, width), (user.covariance, item.covariance, width**2))
    )
    table = pa.table({"side": pa.array(_SIDES), "mean": means, "covariance": covariances})
    return files.write_table(url, table)


def read_new_rows(folder: str, about: NewRowsAbout, side: Side, items: Sequence[tuple[str, str]]) -> NewRowPrior:
    """Read the prior of one side of a saved model; items : its parts of items."""
    table = files.read_table(files.join(folder, about["path"]), expected_checksum=about["checksum"])
    row = _SIDES.index(side)
    mean, covariance = (
        table[name].combine_chunks()[row].values.to_numpy().astype(np.float64) for name in ("mean", "covariance")
    )
    prior = NewRowPrior(mean, covariance.reshape(len(mean), -1), about["noise"])
    if side == "item" or not about["second_factors"]:
        return prior
    parts = [files.read_table(url, [COLUMN], checksum)[COLUMN].combine_chunks() for url, checksum in items]
    second = [each.flatten().to_numpy().reshape(len(each), len(mean)) for each in parts]
    return replace(prior, second=np.concatenate(second))


def second_column(second: npt.NDArray[np.float32]) -> dict[str, pa.Array]:
    """Return second factors as the column of a part, lists of float32."""
    flat = as_column(np.ascontiguousarray(second, np.float32).ravel())
    return {COLUMN: pa.FixedSizeListArray.from_arrays(flat, second.shape[1])}
