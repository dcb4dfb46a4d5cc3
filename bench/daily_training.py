"""Ratings that arrive day by day, and a model trained on them every day: from the one in use, and from nothing.

Covers: whole runs as a nightly job does them, warm behind the gate under one root, cold under another, and how many
epochs the warm one takes to come to the cold one's RMSE.
Does not cover: cutting the days, or what ingest and grid took alone (daily.py).

    python -m bench.daily_training PATH/ml-1m/ratings.dat [--folder data/bench/daily-training]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.daily import cut_by_time
from bench.data import ROOT

NEAR = 0.001
"""How far above the cold run's RMSE the warm one has reached it."""
_WARM = ("ingest.incremental=true", "train.warm_start=true", "gate.rmse_worse_by_at_most=0.005")


@dataclass(frozen=True)
class Day:
    """RMSE on the validation ratings of the day (a tenth of all so far, by hash); seconds of training, and of the run.

    `warm_epochs_to_cold` : after how many epochs the warm run was within NEAR of the cold run's best; None: never.
    """

    name: str
    cold_rmse: float
    cold_epochs: int
    cold_training_seconds: float
    cold_seconds: float
    warm_rmse: float
    warm_epochs: int
    warm_epochs_to_cold: int | None
    warm_training_seconds: float
    warm_seconds: float


def go_through(days: Sequence[Path], folder: Path, words: Sequence[str]) -> list[Day]:
    """Run every day twice, as a command each."""
    found = []
    for number, day in enumerate(days):
        known = days[: number + 1]
        cold, cold_history = _run(known, folder / "cold", words)
        warm, warm_history = _run(known, folder / "warm", [*_WARM, *words])
        reached = (epoch for epoch, rmse in enumerate(warm_history, 1) if rmse <= cold["rmse"] + NEAR)
        found.append(
            Day(
                day.stem, cold["rmse"], len(cold_history), cold["seconds"]["train"], cold["seconds"]["total"],
                warm["rmse"], len(warm_history), next(reached, None), warm["seconds"]["train"],
                warm["seconds"]["total"],
            )
        )  # fmt: skip
    return found


def _run(days: Sequence[Path], root: Path, words: Sequence[str]) -> tuple[dict[str, Any], list[float]]:
    """Return a run's result, and the stopping RMSE of each of its epochs."""
    settings = [
        f"ingest.ratings={json.dumps([str(day) for day in days])}",
        "ranking.count=0",
        "gate.beats_biases=false",
        *words,
    ]
    sets = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "funkflow", "run", "movielens-1m", "--root", str(root), "--json", *sets]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result = json.loads(said.splitlines()[-1])
    training = json.loads((Path(result["paths"]["run"]) / "training" / "manifest.json").read_text())
    return result, [stopping for _, stopping in training["history"]]


def table(days: Sequence[Day]) -> Table:
    """Lay the days out, a line each."""
    shown = Table(title="a model every day, cold and warm", title_justify="left")
    heads = (
        "day", "cold RMSE", "epochs", "training s", "run s",
        "warm RMSE", "epochs", "to cold + 0.001", "training s", "run s",
    )  # fmt: skip
    for head in heads:
        shown.add_column(head, justify="left" if head == "day" else "right")
    for day in days:
        shown.add_row(*(f"{each:.4f}" if "rmse" in name else _short(each) for name, each in asdict(day).items()))
    return shown


def _short(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Run the experiment, print its table and keep it as JSON beside the data."""
    parser = argparse.ArgumentParser(prog="python -m bench.daily_training", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ratings", type=Path, help="a file of user::item::rating::time lines")
    parser.add_argument("--folder", type=Path, default=ROOT / "daily-training", help="emptied first")
    parser.add_argument("--later", type=int, default=10, help="days of one hundredth each after the first")
    parser.add_argument("--set", action="append", default=[], dest="words", help="a setting of both runs")
    chosen = parser.parse_args()
    shutil.rmtree(chosen.folder, ignore_errors=True)
    days = cut_by_time(chosen.ratings, chosen.folder / "days", later=chosen.later)
    found = go_through(days, chosen.folder, chosen.words)
    (chosen.folder / "daily-training.json").write_text(json.dumps([asdict(day) for day in found], indent=1) + "\n")
    Console(width=140).print(table(found))


if __name__ == "__main__":
    main()
