"""Ratings that arrive day by day: nine tenths by time first, then ten hundredths, each beside a cold start.

Covers: cutting a file of ratings by time, and what each day's ingest, split and grid parsed, wrote and took.
Does not cover: training on them, or MovieLens itself, which may not be passed on (data/README.md).

    python -m bench.daily PATH/ml-1m/ratings.dat [--shards 4] [--folder data/bench/daily]
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import ours
from bench.data import ROOT


@dataclass(frozen=True)
class Day:
    """What one day took. `new_bytes`: of the day's file; `seconds` and `cold_seconds` of ingest, split and grid."""

    name: str
    ratings: int
    new_bytes: int
    parsed_bytes: int
    parts_written: int
    parts_kept: int
    blocks_written: int
    blocks_kept: int
    seconds: float
    cold_seconds: float


def cut_by_time(ratings: Path, folder: Path, later: int = 10, part: float = 0.01) -> list[Path]:
    """Write user::item::rating::time lines in the order of their times: first all but the `later` last `part`s of them.

    Equal times keep their order.
    """
    lines = sorted(ratings.read_bytes().splitlines(keepends=True), key=lambda line: int(line.rsplit(b"::", 1)[1]))
    edges = [0, *(round(len(lines) * (1 - part * left)) for left in range(later, -1, -1))]
    folder.mkdir(parents=True, exist_ok=True)
    days = []
    for number, (start, stop) in enumerate(pairwise(edges)):
        days.append(folder / f"day-{number:02d}.dat")
        days[-1].write_bytes(b"".join(lines[start:stop]))
    return days


def go_through(days: list[Path], folder: Path, shards: int = 0) -> list[Day]:
    """Take every day's ratings to a grid, grown from the day before under one root, and cold under another."""
    found = []
    with ours.grids() as make:
        make(folder / "first", days[-1:], False, shards)  # a cluster's first tasks import what they need
        for number, day in enumerate(days):
            known = days[: number + 1]
            dataset, grid, seconds = make(folder / "grown", known, True, shards)
            *_, cold_seconds = make(folder / f"cold-{number:02d}", known, False, shards)
            found.append(
                Day(
                    day.stem, dataset.ratings, day.stat().st_size, dataset.parsed_bytes, dataset.parts_written,
                    dataset.parts_kept, grid.written, grid.kept, round(seconds, 2),
                    round(cold_seconds, 2),
                )
            )  # fmt: skip
    return found


def table(days: list[Day]) -> Table:
    """Lay the days out, a line each."""
    shown = Table(title="ingest, split and grid, day by day", title_justify="left")
    heads = (
        "day", "ratings", "new bytes", "bytes parsed", "parts written", "kept", "blocks written", "kept", "s", "cold s",
    )  # fmt: skip
    for head in heads:
        shown.add_column(head, justify="left" if head == "day" else "right")
    for day in days:
        name, *numbers = asdict(day).values()
        shown.add_row(name, *(f"{number:,}" for number in numbers))
    return shown


def main() -> None:
    """Run the experiment, print its table and keep it as JSON beside the data."""
    parser = argparse.ArgumentParser(prog="python -m bench.daily", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ratings", type=Path, help="a file of user::item::rating::time lines")
    parser.add_argument("--shards", type=int, default=0, help="grid.shards; 0: by the number of ratings")
    parser.add_argument("--folder", type=Path, default=ROOT / "daily", help="emptied first")
    chosen = parser.parse_args()
    shutil.rmtree(chosen.folder, ignore_errors=True)
    days = cut_by_time(chosen.ratings, chosen.folder / "days")
    found = go_through(days, chosen.folder, chosen.shards)
    (chosen.folder / "daily.json").write_text(json.dumps([asdict(day) for day in found], indent=1) + "\n")
    Console(width=140).print(table(found))


if __name__ == "__main__":
    main()
