"""The least error that any method can have on a synthetic set: `python -m bench.planted_bound ROOT SPLIT`.

Covers: the exact posterior mean of each user, where items, priors and noise are known as they were planted.
Does not cover: the sets (tasks/synthetic/), runs on them (docs/measured.md).

ROOT holds a run on a set of `funkflow synth`; SPLIT is the id of its split, a folder of ROOT/splits. Training leaves
users uncertain even where it knows all else: with normal noise nothing predicts better than the mean of what remains
possible.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from funkflow import Model

Numbers = npt.NDArray[np.float64]
ROUNDING = 1 / 12
"""Variance that rounding to whole ratings adds to the noise."""


@numba.njit(fastmath=True)
def posterior_means(
    starts: npt.NDArray[np.int64], rows: npt.NDArray[np.int32], targets: Numbers, items: Numbers, precision: Numbers,
    noise: float,
) -> Numbers:  # fmt: skip
    """Return the least squares row of each user about a prior mean of 0, float64 (users, w).

    Parameters
    ----------
    starts : of each user's ratings, (users + 1,); rows, targets : item and rating without mean and item bias, (n,).
    items : rows with a last column of ones, (items, w); precision : of the prior, (w,); noise : its variance.
    """
    width = items.shape[1]
    found = np.empty((len(starts) - 1, width))
    for user in range(len(found)):
        normal, pull = np.diag(noise * precision), np.zeros(width)
        for n in range(starts[user], starts[user + 1]):
            row = items[rows[n]]
            for a in range(width):
                pull[a] += row[a] * targets[n]
                for b in range(width):
                    normal[a, b] += row[a] * row[b]
        found[user] = np.linalg.solve(normal, pull)
    return found


@dataclass(frozen=True)
class Planted:
    """Planted rows in the order of a dataset: users, items (n, k + 1), the bias last; their mean, and the noise."""

    users: Numbers
    items: Numbers
    mean: float
    noise: float

    @classmethod
    def of(cls, truth: Model, dataset: Path) -> Planted:
        """Return those of the set that a dataset was made of."""

        def rows(side: str, ids: Any, factors: Any, biases: Any) -> Numbers:
            order = np.argsort(ids)
            raw = pq.read_table(dataset / f"{side}s.parquet")["raw_id"].to_numpy()
            places = order[np.searchsorted(ids, raw, sorter=order)]
            return np.asarray(np.column_stack([factors, biases])[places], np.float64)

        users = rows("user", np.asarray(truth.user_ids), truth.user_factors, truth.user_biases)
        items = rows("item", np.asarray(truth.item_ids), truth.item_factors, truth.item_biases)
        return cls(users, items, float(truth.mean), float(truth.about["noise_deviation"]) ** 2 + ROUNDING)

    def squares(self, part: Path, held_out: Path) -> Numbers:
        """Return squared errors of the planted scores, and of posterior means, and how many ratings they are of."""
        known, asked = pq.read_table(part, columns=["user", "item", "rating"]), pq.read_table(held_out)
        kept = np.ones(known.num_rows, bool)
        kept[asked["row"].to_numpy()] = False
        u, i, r = (known[name].to_numpy()[kept] for name in known.column_names)
        order = np.argsort(u, kind="stable")
        ids, first = np.unique(u[order], return_index=True)
        targets = r.astype(np.float64) - self.mean - self.items[i, -1]
        with_ones = np.column_stack([self.items[:, :-1], np.ones(len(self.items))])
        rows = np.zeros_like(self.users)
        rows[ids] = posterior_means(
            np.append(first, len(u)), i[order], targets[order], with_ones, 1.0 / self.users.var(axis=0), self.noise
        )
        u, i, r = (asked[name].to_numpy() for name in known.column_names)
        found = [np.sum((r - self._predicted(users[u], self.items[i])) ** 2) for users in (self.users, rows)]
        return np.array([*found, len(r)])

    def _predicted(self, users: Numbers, items: Numbers) -> Numbers:
        scores = self.mean + users[:, -1] + items[:, -1] + np.einsum("nk,nk->n", users[:, :-1], items[:, :-1])
        return np.asarray(np.clip(scores, 1.0, 5.0))


def bounds(root: Path, split: str) -> tuple[float, float]:
    """Return the RMSE of the planted scores and of posterior means, on the validation ratings of a split."""
    (truth,), (dataset,) = root.glob("raw/*/truth"), root.glob("datasets/*/")
    planted = Planted.of(Model.load(str(truth)), dataset)
    parts = [planted.squares(*pair) for pair in _pairs(dataset, root / "splits" / split)]
    of_scores, of_means, ratings = np.sum(parts, axis=0).tolist()
    return math.sqrt(of_scores / ratings), math.sqrt(of_means / ratings)


def _pairs(dataset: Path, split: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each part of the dataset, and its held-out ratings; the ratings of a user lie in one part."""
    for part in sorted((dataset / "ratings.parquet").iterdir()):
        yield part, split / "validation" / part.name


if __name__ == "__main__":
    scores, means = bounds(Path(sys.argv[1]), sys.argv[2])
    print(f"planted scores {scores:.4f}, posterior means of users {means:.4f}")
