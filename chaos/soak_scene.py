"""Where a soak takes place: a root, ratings that grow by a file, and the processes that runs are started by.

Covers: settings, growing, the built-in scheduler and runs by hand as processes of their own, and reading what they say.
Does not cover: who is struck when (soak.py), what must hold afterwards (soak_checks.py).
"""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

CHECKOUT = Path(__file__).parent.parent
USERS, ITEMS, FIRST_RATINGS, MORE_RATINGS = 120, 60, 1500, 40
SPACING_SECONDS = 5
SETTINGS = """
root = "{root}"

[ingest]
ratings = "{ratings}/*.csv"

[grid]
shards = 2

[train]
rank = 3
epochs = 4
checkpoint_epochs = 1

[ranking]
count = 0

[gate]
beats_biases = false

[cluster]
workers = 1
processes = "several"
threads = 1
memory = "3 GiB"
"""
_STARTED = re.compile(r"run for (\S+), due .*, started: process (\d+), attempt (\d+)")
_ENDED = re.compile(r"run for \S+ ended with (\d+) ")


@dataclass(frozen=True)
class Said:
    """A line of a scheduler: which one, that a run was started or ended, its process or exit code, and when it came."""

    scheduler: int
    what: str
    number: int
    time: float


@dataclass
class Scene:
    """A folder with everything in it, and what is at work there."""

    folder: Path
    said: queue.Queue[Said] = field(default_factory=queue.Queue)
    lines: list[str] = field(default_factory=list)
    grown: int = 0

    def __post_init__(self) -> None:
        self.root, self.ratings, self.settings = (self.folder / name for name in ("root", "ratings", "settings.toml"))
        self.ratings.mkdir(parents=True)
        self.settings.write_text(SETTINGS.format(root=self.root, ratings=self.ratings), encoding="utf-8")
        self.cells = np.random.default_rng(5).permutation(USERS * ITEMS)
        self.taken = 0
        self.grow(FIRST_RATINGS)

    def grow(self, ratings: int = MORE_RATINGS) -> None:
        """Add a file of ratings that were not there; it appears whole."""
        cells = self.cells[self.taken : self.taken + ratings]
        self.taken += len(cells)
        users, items = cells // ITEMS, cells % ITEMS
        scores = 1 + (users * 7 + items * 3) % 9 / 2
        lines = [f"{user},{item},{score}" for user, item, score in zip(users, items, scores, strict=True)]
        unfinished = self.folder / "arriving"
        unfinished.write_text("user,item,rating\n" + "\n".join(lines) + "\n", encoding="utf-8")
        os.replace(unfinished, self.ratings / f"{self.grown:04d}.csv")
        self.grown += 1

    def scheduler(self) -> subprocess.Popen[str]:
        """Start the built-in scheduler; what it says of its runs comes into `said`."""
        process = self._start(
            "schedule", "--cron", f"*/{SPACING_SECONDS} * * * * *", "--timezone", "UTC", "--catch-up", "--retries", "3",
            "--back-off", "1", "--longest-back-off", "4",
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def run_by_hand(self) -> subprocess.Popen[str]:
        """Start a run that no scheduler knows of."""
        process = self._start("run")
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def workers(self, run: int) -> list[psutil.Process]:
        """Return the worker processes of a run."""
        try:
            return [each for each in psutil.Process(run).children(recursive=True) if _is_worker(each)]
        except psutil.NoSuchProcess:
            return []

    def at_work(self) -> list[psutil.Process]:
        """Return all processes that were started here, and theirs."""
        return [each for each in psutil.process_iter() if _folder_of(each) == str(self.folder)]

    def left_after(self, seconds: float) -> list[str]:
        """Wait until nothing is at work here, and return what still is."""
        end = time.monotonic() + seconds
        while (left := self.at_work()) and time.monotonic() < end:
            psutil.wait_procs(left, timeout=1)
        return [f"{each.pid} {' '.join(each.cmdline())[:120]}" for each in left if each.is_running()]

    def _start(self, command: str, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "funkflow", command, str(self.settings), *words],
            cwd=self.folder, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Read to the end: what a scheduler started goes on writing after it was killed."""
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(f"{process.pid}: {line.rstrip()}")
            if found := _STARTED.search(line):
                self.said.put(Said(process.pid, "started", int(found[2]), time.time()))
            elif found := _ENDED.search(line):
                self.said.put(Said(process.pid, "ended", int(found[1]), time.time()))


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("spawn_main" in word for word in process.cmdline())
    except psutil.Error:
        return False


def _folder_of(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.Error:
        return ""
