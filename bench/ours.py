"""Ours, as the benchmarks use it: the command line, the files a run leaves, and a plain loop over the blocks.

Covers: everything in bench/ that knows the insides of funkflow. When those change, this file alone changes.
Does not cover: what is compared with what (sections/), or how results are laid out (table.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from tasks.model import Model

Columns = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]


class Failed(Exception):
    """Our own command failed; the message is its one line."""


def command(name: str, *words: str) -> dict[str, Any]:
    """Run `funkflow NAME WORDS --json` and return its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", name, *words, "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"funkflow {name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    content: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return content


def synthesise(shape: str, fraction: float, root: Path) -> str:
    """Make the synthetic set, or find it; return its folder."""
    sets = ("--set", f"synth.shape={shape}", "--set", f"synth.fraction={fraction}")
    return str(command("synth", "demo", "--root", str(root), *sets)["paths"]["raw"])


def on_probe(raw: str) -> tuple[str, ...]:
    """Return the words that name a raw set and its probe."""
    return ("--ratings", raw, "--validation", f"{raw}/probe.txt")


@dataclass(frozen=True)
class Dense:
    """A raw set with dense ids, without and within its probe, and the planted model's RMSE on the probe."""

    training: Columns
    probe: Columns
    users: int
    items: int
    truth_rmse: float


def dense_ratings(raw: str, root: Path) -> Dense:
    """Ingest and split the raw set, and return its ratings as arrays."""
    paths = command("split", *on_probe(raw), "--root", str(root))["paths"]
    dataset, split = Path(paths["dataset"]), Path(paths["split"])
    about, held_out = (json.loads((folder / "manifest.json").read_bytes()) for folder in (dataset, split))
    training, probe = [], []
    for part, validation in zip(about["parts"], held_out["validation"]["parts"], strict=True):
        columns = _columns(dataset / part["path"])
        chosen = pq.read_table(split / validation["path"])
        rows = chosen["row"].to_numpy()
        kept = np.ones(len(columns[0]), dtype=np.bool_)
        kept[rows[rows >= 0]] = False
        training.append(tuple(column[kept] for column in columns))
        probe.append(tuple(column[rows[rows >= 0]] for column in columns))
    whole_probe = _joined(probe)
    truth = _truth_rmse(raw, dataset, whole_probe)
    return Dense(_joined(training), whole_probe, about["users"], about["items"], truth)


def _columns(path: Path) -> Columns:
    table = pq.read_table(path, columns=["user", "item", "rating"])
    users, items, ratings = (table[name].to_numpy() for name in ("user", "item", "rating"))
    return users, items, ratings


def _joined(parts: list[Any]) -> Columns:
    users, items, ratings = (np.concatenate(column) for column in zip(*parts, strict=True))
    return users, items, ratings


def _truth_rmse(raw: str, dataset: Path, probe: Columns) -> float:
    names = [pq.read_table(dataset / f"{side}.parquet")["raw_id"].to_numpy() for side in ("users", "items")]
    predicted = Model.load(f"{raw}/truth").predict(names[0][probe[0]], names[1][probe[1]])
    return float(np.sqrt(np.mean((probe[2] - predicted) ** 2)))
