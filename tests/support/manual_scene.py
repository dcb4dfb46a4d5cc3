"""A folder in which the manual's commands can be typed: small ratings under the names that its pages use, and two runs.

Covers: the files, the runs, and a page's words as they are typed here.
Does not cover: the blocks (manual_blocks.py), what is asserted (test_manual.py).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from program import funkflow, overrides

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
SMALL = ("train.rank=3", "train.epochs=2", "gate.beats_biases=false", "gate.beats_most_rated=false")
MY_TOML = """
[ingest]
ratings = ["ratings/*.csv"]
id_type = "string"

[train]
rank = 3
epochs = 2

[gate]
beats_biases = false
"""
STANDS_FOR = {"0.05": "0.001", "260=5,1196": "26=5,11"}
"""Words of the manual that are too large here, or name what these ratings lack."""
_SIZED = ("run", "recommend", "compare")
"""Commands that train, and take --set."""


@dataclass(frozen=True)
class Scene:
    """The folder, and what stands there for the ids of the manual's examples."""

    folder: Path
    ids: dict[str, str]

    def typed(self, words: Sequence[str]) -> list[str]:
        """Return words with this folder's ids and, where the settings are not in a file, with small ones."""
        command, *rest = [self.ids.get(word, STANDS_FOR.get(word, word)) for word in words]
        rest = [word.replace("/RUN/", f"/{self.ids['bc1353eb']}/") for word in rest]
        if command not in ("run", "plan"):  # the ids in the manual are those of these ratings
            rest = ["my.toml" if word == "demo" else word for word in rest]
        if command not in _SIZED or "my.toml" in rest or "--model" in rest:
            return [command, *rest]
        small = [each for each in SMALL if not ("epochs" in each and "train.method=batch" in rest)]
        small += ["synth.fraction=0.02"] if "demo" in rest else []
        return [command, *overrides(*small), *rest]  # of two words for one setting the later counts: the page's


def write_ratings(folder: Path) -> None:
    """Write 2,400 ratings of 60 users and 60 items in all the places that pages name."""
    rng = np.random.default_rng(0)
    cells = np.sort(rng.choice(60 * 60, 2400, replace=False))
    users, items = cells // 60 + 1, cells % 60 + 1
    scores = rng.normal(size=(61, 2))[users] * rng.normal(size=(61, 2))[items]
    ratings = np.clip(np.rint(3 + scores.sum(axis=1)), 1, 5).astype(int)
    rows = [
        (*map(str, row), str(1_767_225_600 + place))
        for place, row in enumerate(zip(users, items, ratings, strict=True))
    ]
    named = [("ann" if user == "60" else user, *rest) for user, *rest in rows]
    for path, separator, lines in (
        ("ratings.csv", ",", [("user", "item", "rating", "timestamp"), *rows]),
        ("ratings/january.csv", ",", [("user", "item", "rating", "timestamp"), *named]),
        ("likes.csv", ",", [("user", "item"), *(row[:2] for row in rows)]),
        ("plays.csv", ",", [("user", "item", "plays"), *(row[:3] for row in rows)]),
        ("ml-1m/ratings.dat", "::", rows),
        ("u.data", "\t", rows),
        ("u1.test", "\t", rows[::10]),
        ("pairs.csv", ",", [("user", "item"), *(row[:2] for row in rows[:20])]),
        ("data/raw/ml-1m/ratings.dat", "::", rows),
        ("data/raw/ml-100k/u.data", "\t", rows),
        ("data/raw/ml-100k/u1.test", "\t", rows[::10]),
    ):
        _write(folder / path, separator, lines)
    shutil.copytree(SAMPLES / "netflix", folder / "netflix")
    shutil.copytree(SAMPLES, folder / "data" / "samples")
    (folder / "my.toml").write_text(MY_TOML, encoding="utf-8")


def _write(path: Path, separator: str, lines: Iterable[Iterable[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{separator.join(line)}\n" for line in lines), encoding="utf-8")


def set_up(folder: Path) -> Scene:
    """Make the scene in an empty folder, which has to be the working folder."""
    write_ratings(folder)
    runs = []
    for rank in (2, 3):
        done = funkflow("run", "my.toml", "--json", *overrides(f"train.rank={rank}"))
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout.splitlines()[-1])["run_id"])
    record = min(path.stem for path in (folder / "data" / "ledger").glob("*.json"))
    return Scene(folder, {"1f3a": runs[0], "74020b99": runs[0], "bc1353eb": runs[1], "20260130": record})
