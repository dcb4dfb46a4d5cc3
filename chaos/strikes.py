"""Which fault strikes at which moment: a task of a stage, by its key, when it is given out or when it is done.

Covers: the stages' moments, one strike, and the plan of an attempt as a file that its processes read.
Does not cover: what a fault does (deeds.py), or how a run must end after it (kinds.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

PLAN_VARIABLE = "FUNKFLOW_CHAOS_PLAN"
MOMENTS: dict[str, tuple[str, ...]] = {
    "ingest": ("checksum-", "parse-", "number-", "gather-"),
    "split": ("hold-out-(?!validation)",),
    "grid": ("scatter-", "build-block-", "hold-out-validation-"),
    "train": ("load-blocks-[0-9a-f]{8}-", "start-users-", "descend-", "save-users-"),
    "evaluate": ("score-model-",),
    "reconstruct": ("item-side-", "write-piece-"),
}
"""For each stage, how the keys of its tasks begin, in the order in which they come."""


@dataclass(frozen=True)
class Strike:
    """One fault at one moment.

    `pattern` : how the task's key begins, a regular expression; `number` : which task of those, from 0, in the order in
    which they come; `at` : when it is given to a worker, or when its result is there and may be nowhere else.
    """

    kind: str
    stage: str
    pattern: str
    number: int = 0
    at: Literal["start", "end"] = "start"


@dataclass(frozen=True)
class Plan:
    """What the processes of an attempt are told.

    `journal` : file that they write to; `root` : where the run keeps its files; `second_run` : the words of another run
    under that root; `cut`, `heal` : commands for the link of each host, by its address; `anew` : whether the other run
    starts as users start it (forked.py).
    """

    journal: str
    root: str
    second_run: list[str] = field(default_factory=list)
    strikes: Sequence[Strike] = ()
    cut: Mapping[str, Sequence[str]] = field(default_factory=dict)
    heal: Mapping[str, Sequence[str]] = field(default_factory=dict)
    anew: bool = False

    def write(self, path: str) -> None:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)

    @classmethod
    def read(cls, path: str) -> Plan:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        return cls(**{**content, "strikes": [Strike(**each) for each in content["strikes"]]})
