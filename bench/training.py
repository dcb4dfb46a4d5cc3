"""Ours trained through Dask: when each epoch ended, and what RMSE it had.

Covers: `funkflow train` on blocks that lie on disk, on any number of workers and threads, and an epoch's time from it.
Does not cover: the same blocks without Dask, or the other commands (ours.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import ours


@dataclass(frozen=True)
class Training:
    """Training through Dask on so many ratings. `seconds` and `rmse` go by epoch: since it began, and on the probe.

    It begins with blocks on disk. `rmse` is empty where nothing was validated.
    """

    ratings: int
    seconds: list[float]
    rmse: list[float]

    @property
    def epoch_seconds(self) -> float:
        """The mean time of an epoch after those of the first task, which waits for its blocks.

        A task's epochs are told one after another once it has ended, so a mean from among them would be too short.
        """
        first = ours.epochs_of_a_task(self.ratings)
        return (self.seconds[-1] - self.seconds[first - 1]) / (len(self.seconds) - first)


def enough_epochs(ratings: float, least: int) -> int:
    """Return how many epochs over so many ratings tell what one takes: those of four tasks, and `least`."""
    return max(least, 4 * ours.epochs_of_a_task(ratings))


def train_through_dask(
    raw: str, root: Path, rank: int, epochs: int, *, threads: int = 2, workers: int = 1, whole: bool = True
) -> Training:
    """Train anew for so many epochs, on blocks that lie on disk (made if need be), with no early stop.

    `whole` : validate each epoch and write checkpoints as by default; else neither.
    """
    words = {
        "train.rank": rank,
        "train.epochs": epochs,
        "train.checkpoint_epochs": ours.CHECKPOINT_EPOCHS if whole else epochs,
        "train.stop_on": "validation" if whole else "nothing",
        "train.patience": epochs,
        "cluster.threads": threads,
        "cluster.workers": workers,
    }
    sets = [word for key, value in words.items() for word in ("--set", f"{key}={value}")]
    paths = ours.command("train", *ours.on_probe(raw), "--root", str(root), "--fresh", *sets)["paths"]
    return training_of(paths)


def training_of(paths: Mapping[str, str]) -> Training:
    """Return the training that a run left, from the paths of its answer; a sweep of draws counts as an epoch."""
    lines = (Path(paths["run"]) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    started = [_time(event) for event in events if event["event"] == "StageStarted" and event["stage"] == "train"][-1]
    ended = [event for event in events if event["event"] == "EpochFinished"]
    rmse = [float(event["stopping_rmse"]) for event in ended if event["stopping_rmse"] is not None]
    ratings = json.loads((Path(paths["grid"]) / "manifest.json").read_bytes())["ratings"]
    return Training(ratings, [_time(event) - started for event in ended], rmse)


def _time(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()
