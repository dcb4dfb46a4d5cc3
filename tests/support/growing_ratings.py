"""Ratings that grow from day to day, as files, and runs on them under one root.

Covers: what tests of warm starts and of the gate share. Does not cover: any check.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import made_ratings
from distributed import Client
from ungated import UNGATED_SECTION

from funkflow import RunResult, run
from funkflow.pipeline.progress.events import Event
from funkflow.pipeline.settings.sections import Settings

Lines = list[tuple[int, int, float]]
MADE = made_ratings(users=120, items=60, count=3_000)
"""All ratings there will ever be; the first ones lie with the first users, so later days bring new users."""


def lines(first: int, last: int, shift: int = 0) -> Lines:
    """Ratings `first` to `last` - 1 as (raw user, raw item, rating); `shift` makes them those of other ids."""
    part = slice(first, last)
    users, items, ratings = MADE.users[part] + shift, MADE.items[part] + shift, MADE.ratings[part]
    return list(zip(users.tolist(), items.tolist(), ratings.tolist(), strict=True))


def write_lines(path: Path, ratings: Lines) -> str:
    path.write_text("user,item,rating\n" + "".join(f"{u},{i},{r}\n" for u, i, r in ratings))
    return str(path)


def address_of(client: Client) -> str:
    """Where runs find the cluster of a fixture."""
    return str(client.scheduler_info()["address"])


@dataclass(frozen=True)
class Root:
    """A root, and how to run under it: `scheduler` is the address of a cluster to use; empty: each has its own."""

    folder: Path
    scheduler: str

    def settings(self, ratings: Lines, *words: str) -> Settings:
        content: dict[str, Any] = {
            "root": str(self.folder / "data"),
            "ingest": {"ratings": write_lines(self.folder / "ratings.csv", ratings)},
            "grid": {"shards": 4},
            "train": {"rank": 4, "epochs": 8, "checkpoint_epochs": 2, "seed": 3},
            "ranking": {"count": 0},
            "gate": UNGATED_SECTION,  # some models here are bad on purpose, or start from too little
            "cluster": {"scheduler": self.scheduler, "threads": 2},
        }
        return Settings.build(content, words)

    def run(self, ratings: Lines, *words: str, listeners: Sequence[Callable[[Event], None]] = ()) -> RunResult:
        return run(self.settings(ratings, *words), until="export", listeners=listeners)

    def copy(self, folder: Path, scheduler: str | None = None) -> Root:
        """The same root elsewhere, perhaps on another cluster."""
        shutil.copytree(self.folder, folder)
        return Root(folder, self.scheduler if scheduler is None else scheduler)
