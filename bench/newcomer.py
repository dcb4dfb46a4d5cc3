"""A newcomer's first minute: the commands of docs/start.md on a CSV of 100,000 ratings, each with its time.

Covers: made-up ratings with titles, the commands as the page has them, and opening the report in a headless browser.
Does not cover: the installation, the content of the pages (tests/environments/test_first_minute.py).

    python -m bench.newcomer [--folder data/bench/newcomer]    as on a new machine, with nothing compiled
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data import ROOT

PAGE = Path(__file__).parents[1] / "docs" / "start.md"
_USERS, _FACTORS, _RATINGS = 2_000, 6, 100_000
_ADJECTIVES = (
    "Silent", "Crimson", "Last", "Hidden", "Broken", "Golden", "Distant", "Bitter", "Electric", "Paper", "Northern",
    "Second", "Burning", "Quiet", "Glass", "Velvet", "Wild", "Lonely", "Frozen", "Secret",
)  # fmt: skip
_NOUNS = (
    "Harbour", "Orchard", "Letter", "Summer", "Mirror", "Engine", "Shadow", "Garden", "Island", "River", "Crown",
    "Voyage", "Lantern", "Station", "Meadow", "Castle", "Witness", "Promise", "Forest", "Machine", "Bridge", "Song",
    "Tower", "Winter", "Circus", "Horizon", "Desert", "Signal", "Carnival", "Library",
)  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A command, and what came of it. `seconds` on the clock; `busy` : processor time of it and its children."""

    words: str
    seconds: float
    busy: float
    code: int
    output: str


def write_ratings(path: Path) -> None:
    """Write 100,000 ratings of 2,000 people for 600 films: each chose 50 by taste and by how good they are."""
    rng = np.random.default_rng(0)
    titles = [f"{adjective} {noun}" for adjective in _ADJECTIVES for noun in _NOUNS]
    people, films = rng.normal(size=(_USERS, _FACTORS)), rng.normal(size=(len(titles), _FACTORS))
    taste, quality = people @ films.T / np.sqrt(_FACTORS), rng.normal(size=len(titles))
    each = _RATINGS // _USERS
    appeal = 0.8 * quality + 1.2 * taste + rng.gumbel(size=taste.shape)
    items = np.argpartition(-appeal, each, axis=1)[:, :each].ravel()
    users = np.repeat(np.arange(_USERS), each)
    scores = 3 + 0.4 * rng.normal(size=_USERS)[users] + 0.4 * quality[items] + 0.7 * taste[users, items]
    ratings = np.clip(np.round(2 * (scores + 0.4 * rng.normal(size=_RATINGS))) / 2, 0.5, 5)
    times = 1_700_000_000 + rng.integers(0, 30_000_000, _RATINGS)
    order = np.argsort(times, kind="stable")
    rows = zip(*(column[order].tolist() for column in (users, items, ratings, times)), strict=True)
    lines = [f"{user + 1},{titles[item]},{rating},{when}\n" for user, item, rating, when in rows]
    path.write_text("user,item,rating,timestamp\n" + "".join(lines), encoding="utf-8")


def commands() -> list[str]:
    """Return the commands of the path through docs/start.md, in order."""
    path = PAGE.read_text(encoding="utf-8").partition("## Your ratings")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (funkflow .+)$", path, re.MULTILINE)


def walk(folder: Path, environment: Mapping[str, str]) -> Iterator[Command]:
    """Give the commands in a folder with ratings.csv, one after another, and yield what came of each."""
    for words in commands():
        began, before = time.monotonic(), _busy()
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(words)], cwd=folder, env={**os.environ, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=240,
        )  # fmt: skip
        yield Command(words, time.monotonic() - began, _busy() - before, done.returncode, done.stdout)


def _busy() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Walk the path in an empty folder, and print the time of each step."""
    parser = argparse.ArgumentParser(prog="bench.newcomer", description="time the commands of docs/start.md")
    parser.add_argument("--folder", default=str(ROOT / "newcomer"))
    folder = Path(parser.parse_args().folder).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_ratings(folder / "ratings.csv")
    browser = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), "")
    environment = {
        "NUMBA_CACHE_DIR": str(folder / "kernels"),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "BROWSER": f"{shlex.quote(browser)} --headless --no-sandbox --dump-dom %s" if browser else "true",
    }
    seconds = busy = 0.0
    for step in walk(folder, environment):
        print(f"{step.seconds:6.1f} s  {step.busy:6.1f} s of processor time  exit {step.code}  {step.words}")
        seconds, busy = seconds + step.seconds, busy + step.busy
        if step.code:
            print(step.output, file=sys.stderr)
            return 1
    print(f"{seconds:6.1f} s  {busy:6.1f} s of processor time  in all, report opened in {browser or 'no browser'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
