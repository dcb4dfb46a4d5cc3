"""The rows to which the L2 term pulls a shard's rows, by who rated what, and the shard's second factors.

Covers: their arrays, their first values, and their columns in the shard's file.
Does not cover: how they change (tasks/training/implicit/second_factors.py), the pull (tasks/kernels/sgd.py).

A user's mean row is m + n^(-1/2) times the sum of y_b over the n items that the user rated: y is a second factor an
item, and m the same for all users. The mean row of an item has a second factor a user, likewise (Koren 2008, there as a
part of the prediction).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.kernels.buffers import Weighed, aligned_copy

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RowMeans(Weighed):
    """What belongs to the rows of a shard; nothing is changed in place.

    Attributes
    ----------
    factors, biases : float32 (rows, k) and (rows,), the mean rows.
    second : float32 (rows, k + 1), the second factors, with one for the other side's biases at the end.
    counts : float32 (rows,), the number of training ratings.
    """

    factors: Rows
    biases: Rows
    second: Rows
    counts: Rows

    @classmethod
    def zeros(cls, counts: npt.NDArray[np.int64], rank: int) -> RowMeans:
        """Return means and second factors of zeros."""
        rows = len(counts)
        return cls(
            np.zeros((rows, rank), np.float32), np.zeros(rows, np.float32), np.zeros((rows, rank + 1), np.float32),
            counts.astype(np.float32),
        )  # fmt: skip

    @staticmethod
    def width(rank: int) -> int:
        """Return the number of columns in a shard's file."""
        return 2 * (rank + 1) + 1

    @classmethod
    def of(cls, columns: Rows) -> RowMeans:
        """Return the means from the columns of a file."""
        rank = (columns.shape[1] - 3) // 2
        return cls(
            aligned_copy(columns[:, :rank]), columns[:, rank].copy(), columns[:, rank + 1 : -1].copy(),
            columns[:, -1].copy(),
        )  # fmt: skip

    @property
    def columns(self) -> tuple[Rows, ...]:
        """The columns of a file."""
        return self.factors, self.biases[:, None], self.second, self.counts[:, None]

    @property
    def arrays(self) -> tuple[Rows, ...]:
        """All arrays."""
        return self.factors, self.biases, self.second, self.counts
