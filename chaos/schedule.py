"""Which faults strike which stages at which of their tasks: drawn from a seed, or each of them once in every stage.

Covers: one set of strikes after another. Does not cover: trying them (trial.py), or for how long (__main__.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from chaos.kinds import KINDS, Kind
from chaos.strikes import MOMENTS, Strike

_MOST = {"descend-": 30, "save-users-": 6}
"""Of which tasks there are many: as many may pass before one is struck. Of all others one or two."""

MIDDLE = {
    "ingest": Strike("", "ingest", "gather-", 1, "end"),
    "split": Strike("", "split", "hold-out-(?!validation)", 0, "end"),
    "grid": Strike("", "grid", "build-block-", 5, "start"),
    "train": Strike("", "train", "descend-[0-9a-f]{8}-000[56]-", 0, "start"),
    "evaluate": Strike("", "evaluate", "score-model-", 1, "end"),
    "reconstruct": Strike("", "reconstruct", "write-piece-", 0, "start"),
}
"""A moment in each stage; in training, in epoch 5, with checkpoints of 2 and 4, or in the
task of epochs 5 and 6, as which one worker alone has them."""
AT_START = ("out of memory", "disk full")
"""What these do to a worker must be done before it works."""
_IN_TRAINING = {"out of memory": "descend-"}
"""Of which task in training, where the middle one will not do."""


def at_every_stage(kind: str) -> list[list[Strike]]:
    """Return strikes at the middle of every stage that a kind can strike, in sets, each for a run of its own."""
    strikes = [at_the_middle(kind, stage) for stage in KINDS[kind].stages]
    return [[each] for each in strikes] if KINDS[kind].once or KINDS[kind].waits else [strikes]


def at_the_middle(kind: str, stage: str, **moment: object) -> Strike:
    """Return a strike at the middle of a stage, or at what `moment` says of it."""
    if KINDS[kind].throughout:
        return Strike(kind, stage, MOMENTS[stage][0])
    chosen = {**vars(MIDDLE[stage]), "kind": kind}
    if kind in AT_START:
        chosen["at"] = "start"
    if stage == "train" and kind in _IN_TRAINING:
        chosen["pattern"] = _IN_TRAINING[kind]
    return Strike(**{**chosen, **moment})


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
    at_end = kind not in AT_START and rng.random() < 0.5
    return Strike(kind, stage, pattern, number, "end" if at_end else "start")


def _stages(rng: np.random.Generator, kind: Kind) -> list[str]:
    stages = [stage for stage in kind.stages if rng.random() < 0.6]
    return [str(rng.choice(kind.stages))] if kind.once or not stages else stages
