"""Which sets a form measures recommendations on, with which models of ours.

Covers: ranks, seeds and objectives by form.
Does not cover: the sets (sets.py, made.py), or rivals (bench/sections/ranking.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.ranking.made import groups, made_sets
from bench.ranking.sets import RankingSet, real_sets


@dataclass(frozen=True)
class Ours:
    """A model of ours. `train` : settings beside goal, rank and seed; `likes` : ratings are left out of the file."""

    rank: int
    train: Mapping[str, Any] = field(default_factory=dict)
    likes: bool = False

    @property
    def name(self) -> str:
        known = ", as likes" if self.likes else ""
        return f"ours, k = {self.rank}{known}{', weight and L2 of Rendle et al.' if self.train else ''}"


@dataclass(frozen=True)
class Case:
    """A set with its models. `seeds` : of ours' training, and of the split where it is a hash; means count."""

    data: RankingSet
    models: tuple[Ours, ...]
    seeds: tuple[int, ...] = (0,)

    @property
    def split_seeds(self) -> tuple[int, ...]:
        return self.seeds[:1] if self.data.test else self.seeds


_SEEDS, _STARTS = (0, 1, 2, 3), (0, 1, 2, 3, 4)
THEIR_TRAIN = {"als": {"alpha": 0.3 / 1.3}, "l2": 0.0091}
"""Weight and L2 of Rendle et al. (2022) for NCF's split, in our terms, where an observed cell weighs 1."""


def cases_of(form: str, folder: Path) -> list[Case]:
    """Return the cases of a form. The smallest has a set made under `folder` alone, as real ones may be absent."""
    if form == "tiny":
        return [Case(groups(folder), (Ours(8),))]
    sets = real_sets()
    by_hash = [Case(sets[name], (Ours(64),), _SEEDS) for name in ("ml-100k", "ml-latest-small")]
    if form == "small":
        return [*by_hash, Case(sets["ml-1m"], (Ours(64),), _SEEDS)]
    of_likes = (Ours(64, likes=True), *(Ours(rank, THEIR_TRAIN, likes=True) for rank in (64, 192)))
    return [
        *by_hash,
        Case(sets["ml-1m"], (Ours(64), Ours(256)), _SEEDS),
        Case(sets["gowalla"], (Ours(64), Ours(128), Ours(256))),
        Case(sets["ml-1m-ncf"], (Ours(64), *of_likes), _STARTS),
        *(Case(made, (Ours(64),)) for made in made_sets(folder).values()),
    ]
