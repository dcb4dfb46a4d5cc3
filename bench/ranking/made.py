"""Sets made here, of shapes that real ones lack: a vast sparse catalogue, few items, likes alone.

Covers: users who draw items by tastes and popularity, ratings that follow the taste, and the smallest form's groups.
Does not cover: real sets (sets.py), or the synthetic Netflix set (`funkflow synth`).

The probability that user u draws item i is proportional to q_i sum_t p_ut a_ti: popularity q by a law of Zipf and
Mandelbrot, mixtures p of tastes, and affinities a, of which most are small. So the expected counts have low rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from bench.ranking.measures import BY_HASH
from bench.ranking.sets import RankingSet

_SEED = 4
_ACTIVITY_SPREAD = 1.2
"""Deviation of the logarithm of a user's number of draws."""
_MIXTURE, _AFFINITY = 0.1, 0.2
"""Concentrations of a user's tastes and of an item's affinities: a user has a few tastes, an item fits a few."""
_FLAT = 10.0
"""Law of popularity: (place + this) to the power of minus the steepness."""
_MEAN, _OF_ITEM, _OF_TASTE, _NOISE = 3.6, 0.4, 0.5, 0.8
"""Ratings: their mean, and deviations of the items' quality, of how well the taste fits, and of the rest."""


@dataclass(frozen=True)
class Shape:
    """One set. `items` : of the catalogue, of which some are never drawn; `draws` : a user, on average."""

    name: str
    users: int
    items: int
    draws: float
    tastes: int
    steepness: float
    rated: bool = True


SHAPES = {
    "books": Shape("made books", 60_000, 500_000, 5.5, 40, 0.75),
    "few-items": Shape("made, 100 items", 3_000, 100, 25, 8, 0.8),
    "likes": Shape("made likes", 6_000, 4_000, 50, 24, 0.8, rated=False),
}


def made_sets(folder: Path) -> Mapping[str, RankingSet]:
    """Write the sets of three shapes under `folder`; return them by their short names."""
    return {name: _written(folder / name, shape.name, _drawn(shape)) for name, shape in SHAPES.items()}


def groups(folder: Path) -> RankingSet:
    """Write a small set: users rate most of their own group's items, and hardly any other."""
    rng = np.random.default_rng(_SEED)
    users, items = (each.ravel() for each in np.indices((300, 60)))
    kept = rng.random(len(users)) < np.where(users % 5 == items % 5, 0.8, 0.03)
    rows = {"user": users[kept], "item": items[kept], "rating": rng.integers(4, 6, int(kept.sum()))}
    return _written(folder / "groups", "five groups", rows)


def _drawn(shape: Shape) -> dict[str, npt.NDArray[Any]]:
    """Return the pairs of a shape, each once, and their ratings if it has any."""
    rng = np.random.default_rng(_SEED)
    popularity = (np.arange(shape.items) + _FLAT) ** -shape.steepness
    affinities = rng.gamma(_AFFINITY, size=(shape.tastes, shape.items))
    mixtures = rng.dirichlet(np.full(shape.tastes, _MIXTURE), shape.users)
    activity = np.exp(_ACTIVITY_SPREAD * rng.standard_normal(shape.users))
    draws = np.maximum(1, np.rint(activity * (shape.draws / activity.mean()))).astype(np.int64)
    users = np.repeat(np.arange(shape.users), draws)
    tastes = np.sum(rng.random((len(users), 1)) > np.cumsum(mixtures, axis=1)[users, :-1], axis=1)
    items = np.empty_like(users)
    for taste in range(shape.tastes):
        mine, bounds = np.flatnonzero(tastes == taste), np.cumsum(popularity * affinities[taste])
        items[mine] = np.searchsorted(bounds, bounds[-1] * rng.random(len(mine)), side="right")
    users, items = np.divmod(np.unique(users * shape.items + items), shape.items)
    if not shape.rated:
        return {"user": users, "item": items}
    fit = np.log(np.einsum("nt,tn->n", mixtures[users], affinities[:, items]))
    ratings = _MEAN + _OF_ITEM * rng.standard_normal(shape.items)[items] + _OF_TASTE * (fit - fit.mean()) / fit.std()
    ratings += _NOISE * rng.standard_normal(len(users))
    return {"user": users, "item": items, "rating": np.clip(np.rint(ratings), 1, 5).astype(np.int64)}


def _written(folder: Path, name: str, columns: Mapping[str, npt.NDArray[Any]]) -> RankingSet:
    folder.mkdir(parents=True, exist_ok=True)
    pyarrow.csv.write_csv(pa.table(dict(columns)), folder / "ratings.csv")
    return RankingSet(name, folder, "ratings.csv", BY_HASH)
