"""Ours and myFM on one split: each trained on a part of the features, with its RMSE as time goes by.

Covers: the split that both have, a run of ours, and a run of myFM in a Python that has it.
Does not cover: the parts (parts.py), or what is made of the figures (comparison.py).

Seconds are those of training alone, on the clock. Ours include the starts of chains and predictions of the validation
ratings after each sweep; those of myFM leave predictions out. Processor time is that of the same fit of myFM; of ours
it is that of the whole run with all its processes, from text to the saved model.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import ours
from bench.process import run_words
from bench.training import training_of
from bench.who_and_when.comparison import Drawn
from bench.who_and_when.features import RATED
from bench.who_and_when.parts import Part

_SPLIT = {"split.kind": "fraction", "split.fraction": 0.1, "split.seed": 0}
_ANY_MODEL = {"gate.beats_biases": "false"}
"""A bad figure is one of the table, too."""
_BRIEF = {"train.bayes.chains": 1, "train.bayes.burn_in": 0, "train.bayes.draws": 1}
"""A run that compiles what the measured one needs."""


@dataclass(frozen=True)
class Ours:
    """Runs of ours on the same ratings. `root` : of all its runs; `words` : settings, as KEY=VALUE, that come last."""

    ratings: str
    root: Path
    rank: int
    threads: int
    words: Sequence[str] = ()

    def write_split(self, folder: Path, with_days: bool) -> None:
        """Write training.npy and validation.npy, records of RATED; without days, all are 0."""
        paths = self._command("grid", {})["paths"]
        made = ours.Made(paths["dataset"], paths["split"], paths["grid"])
        parts = ours.split_columns(made, ("user", "item", "rating", *(["timestamp"] if with_days else [])))
        days = [part[3].astype("datetime64[D]").astype(np.int64) for part in parts] if with_days else []
        known = np.unique(np.concatenate(days)) if days else None
        for number, (name, columns) in enumerate(zip(("training", "validation"), parts, strict=True)):
            records = np.zeros(len(columns[0]), RATED)
            records["user"], records["item"], records["rating"] = columns[:3]
            if known is not None:
                records["day"] = np.searchsorted(known, days[number])
            np.save(folder / f"{name}.npy", records)

    def draw(self, part: Part) -> Drawn:
        """Train on a part of the features; its RMSE is that of the saved model, its trace that of the mean of draws."""
        sets = {
            "train.method": "bayes", "train.rank": self.rank, "train.implicit": part.implicit, "train.time": part.time,
        }  # fmt: skip
        try:
            self._command("train", {**sets, **_BRIEF}, "--fresh")
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            content = self._command("export", sets, "--fresh")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        except ours.Failed as error:
            return Drawn(failed=str(error))
        trained = training_of(content["paths"])
        steps = [(number, *each) for number, each in enumerate(zip(trained.seconds, trained.rmse, strict=True), 1)]
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        more = {"rank": content["rank"], "sweeps": content["epochs"], "run": content["run_id"]}
        return Drawn(content["rmse"], content["seconds"]["train"], used, steps, more=more)

    def _command(self, name: str, sets: dict[str, Any], *words: str) -> dict[str, Any]:
        pairs = {**_SPLIT, **_ANY_MODEL, "cluster.workers": 1, "cluster.threads": self.threads, **sets}
        said = [word for each in (*(f"{key}={value}" for key, value in pairs.items()), *self.words)
                for word in ("--set", each)]  # fmt: skip
        return ours.command(name, "--ratings", self.ratings, "--root", str(self.root), *words, *said)


@dataclass(frozen=True)
class MyFM:
    """Runs of myFM on the split in `folder`. `python` : one that has it; `draws` : of each run."""

    folder: Path
    python: str
    rank: int
    draws: int

    def draw(self, part: Part) -> Drawn:
        """Train on a part of the features; the lines of its trace lie in `folder` while it runs."""
        trace = self.folder / f"myfm-{part.name}.jsonl"
        flags = [f"--{name}" for name, there in (("who", part.who), ("when", part.when)) if there]
        answer = run_words([
            self.python, "-m", "bench.peers.myfm_gibbs", str(self.folder), str(trace),
            "--rank", str(self.rank), "--draws", str(self.draws), *flags,
        ])  # fmt: skip
        if answer.failed:
            return Drawn(failed=answer.failed)
        lines = [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines()]
        steps = [(draws, seconds, rmse) for draws, seconds, _, rmse, _ in lines]
        said = answer.content
        return Drawn(said["rmse"], said["train_seconds"], said["processor_seconds"], steps, more=said)
