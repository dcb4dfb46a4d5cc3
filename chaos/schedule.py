"""A seeded random schedule: which faults strike which stages at which of their tasks.

Covers: drawing one set of strikes after another. Does not cover: trying them (trial.py), or for how long (__main__.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from chaos.kinds import KINDS, Kind
from chaos.strikes import MOMENTS, Strike

_MOST = {"descend-": 30, "save-users-": 6}
"""Of which tasks there are many: as many may pass before one is struck. Of all others one or two."""


def schedule(seed: int, kinds: Sequence[str]) -> Iterator[list[Strike]]:
    """Yield sets of strikes of one kind, each at several stages, without end; all kinds once before any comes again."""
    rng = np.random.default_rng(seed)
    while True:
        for kind in rng.permutation(kinds).tolist():
            if KINDS[kind].throughout:
                yield [Strike(kind, stage, MOMENTS[stage][0]) for stage in KINDS[kind].stages]
            else:
                yield [strike_at(rng, kind, stage) for stage in _stages(rng, KINDS[kind])]


def strike_at(rng: np.random.Generator, kind: str, stage: str) -> Strike:
    """Return a strike at a random moment of a stage."""
    pattern = "descend-" if kind == "checkpoint damaged" else str(rng.choice(MOMENTS[stage]))
    least = 18 if kind == "checkpoint damaged" else 0  # two checkpoints are there by then
    number = int(rng.integers(least, _MOST.get(pattern, 2)))
    at_end = kind not in ("out of memory", "disk full") and rng.random() < 0.5
    return Strike(kind, stage, pattern, number, "end" if at_end else "start")


def _stages(rng: np.random.Generator, kind: Kind) -> list[str]:
    stages = [stage for stage in kind.stages if rng.random() < 0.6]
    return [str(rng.choice(kind.stages))] if kind.once or not stages else stages
