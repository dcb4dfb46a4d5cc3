"""Write three synthetic sets of ratings of other shapes than films have: `python -m bench.planted_sets FOLDER`.

Covers: jokes (-10 to 10, 100 items), a dense block, and goods (1 to 5, most users with a few ratings), as CSV.
Does not cover: sets of the shape of films (tasks/synthetic/), the runs on them (docs/measured.md).

Each is the sum of a mean, biases, factors whose variance falls from each to the next, and noise. Seed 26.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """Users, items, mean, deviations of biases, variance of the product of factors, noise, rank, and decay."""

    users: int
    items: int
    mean: float
    user_deviation: float
    item_deviation: float
    variance: float
    noise: float
    rank: int
    decay: float

    def ratings(self, rng: np.random.Generator, u: Integers, i: Integers) -> Numbers:
        """Return a rating of each pair, neither clipped nor rounded."""
        users = rng.normal(size=(self.users, self.rank))
        items = rng.normal(size=(self.items, self.rank)) * np.sqrt(self._falling())
        scores = self.mean + self.user_deviation * rng.normal(size=self.users)[u]
        scores += self.item_deviation * rng.normal(size=self.items)[i]
        scores += np.sqrt(self.variance) * np.einsum("nk,nk->n", users[u], items[i])
        return np.asarray(scores + self.noise * rng.normal(size=len(u)))

    def _falling(self) -> Numbers:
        powers = self.decay ** np.arange(self.rank)
        return np.asarray(powers / powers.sum())


JOKES = Shape(20_000, 100, 0.8, 2.2, 1.4, 6.0, 3.8, 8, 0.6)
DENSE = Shape(300, 200, 0.0, 0.3, 0.3, 1.0, 0.5, 5, 1.0)
GOODS = Shape(53_000, 12_000, 4.3, 0.45, 0.4, 0.12, 1.0, 6, 0.7)


def write_sets(folder: Path) -> None:
    """Write jokes.csv, dense.csv and goods.csv."""
    rng = np.random.default_rng(26)
    u, i = _jokes(rng)
    _write(folder / "jokes.csv", u, i, np.clip(JOKES.ratings(rng, u, i), -10, 10), "%.2f")
    u, i = _dense(rng)
    _write(folder / "dense.csv", u, i, DENSE.ratings(rng, u, i), "%.3f")
    u, i = _goods(rng)
    _write(folder / "goods.csv", u, i, np.clip(np.rint(GOODS.ratings(rng, u, i)), 1, 5), "%d")


def _jokes(rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Choose 8 to 100 items for each user."""
    counts = np.clip((8 + rng.gamma(1.2, 24, JOKES.users)).astype(int), 8, JOKES.items)
    items = [rng.choice(JOKES.items, count, replace=False) for count in counts]
    return np.repeat(np.arange(JOKES.users), counts), np.concatenate(items)


def _dense(rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Choose 60 % of all pairs."""
    cells = DENSE.users * DENSE.items
    users, items = np.divmod(np.sort(rng.choice(cells, int(0.6 * cells), replace=False)), DENSE.items)
    return users, items


def _goods(rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Choose about five items for each user; few items have most of the ratings."""
    counts = np.clip(np.rint(rng.lognormal(1.15, 0.95, GOODS.users)).astype(int), 1, 400)
    share = 1 / np.arange(1, GOODS.items + 1) ** 0.85
    users = np.repeat(np.arange(GOODS.users), counts)
    chosen = rng.choice(GOODS.items, len(users), p=share / share.sum())
    users, items = np.divmod(np.unique(users * GOODS.items + chosen), GOODS.items)
    return users, items


def _write(path: Path, users: Integers, items: Integers, ratings: Numbers, form: str) -> None:
    rows = (f"{user},{item},{form % rating}\n" for user, item, rating in zip(users, items, ratings, strict=True))
    path.write_text("user,item,rating\n" + "".join(rows), encoding="ascii")


if __name__ == "__main__":
    write_sets(Path(sys.argv[1]))
