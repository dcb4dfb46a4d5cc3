"""Ours trained for a ranking, as the benchmark of recommendations uses it: splits, and factors by raw id.

Covers: with ours.py, everything in bench/ that imports funkflow. When its insides change, these files change.
Does not cover: which sets there are (ranking/sets.py), or measures (ranking/measures.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from bench.ours import THREADS, Failed
from funkflow import Model, RunResult, Settings, run
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import FunkflowError

Sections = Mapping[str, Mapping[str, Any]]
"""Settings of a run, by section."""
Rows = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float32]]
"""Raw ids of users and of items, and ratings."""


@dataclass(frozen=True)
class Trained:
    """A model. `users`, `items` : raw ids and factors, float32 (n, k); `ranking` : what the run itself measured."""

    users: tuple[npt.NDArray[Any], npt.NDArray[np.float32]]
    items: tuple[npt.NDArray[Any], npt.NDArray[np.float32]]
    ranking: Mapping[str, Any]
    rank: int
    seconds: float


class Runs:
    """Runs on one cluster of this machine, so that none waits for workers to start."""

    def __init__(self, address: str) -> None:
        self._cluster = {"scheduler": address}

    def train(self, root: Path, sections: Sections) -> Trained:
        """Train with these settings, or find the model."""
        result = self._run(root, sections, until="ranking")
        model = Model.load(result.paths["model"])
        return Trained(
            (model.user_ids, model.user_factors), (model.item_ids, model.item_factors), result.ranking,
            model.rank, result.seconds["train"],
        )  # fmt: skip

    def split(self, root: Path, sections: Sections) -> tuple[Rows, Rows]:
        """Return the training and the validation ratings that these settings give."""
        paths = self._run(root, sections, until="split").paths
        dataset, split = Path(paths["dataset"]), Path(paths["split"])
        about, held_out = (json.loads((folder / "manifest.json").read_bytes()) for folder in (dataset, split))
        ids = [pq.read_table(dataset / f"{side}.parquet")["raw_id"].to_numpy() for side in ("users", "items")]
        training, validation = [], []
        for part, kept_out in zip(about["parts"], held_out["validation"]["parts"], strict=True):
            columns = _rows(dataset / part["path"], ids)
            rows = pq.read_table(split / kept_out["path"])["row"].to_numpy()
            is_training = np.ones(len(columns[2]), np.bool_)
            is_training[rows] = False
            training.append([column[is_training] for column in columns])
            validation.append([column[rows] for column in columns])
        return _joined(training), _joined(validation)

    def _run(self, root: Path, sections: Sections, until: str) -> RunResult:
        content = {"root": str(root), "gate": {"beats_most_rated": False}, "cluster": self._cluster, **sections}
        try:
            return run(Settings.build(content), until=until)
        except FunkflowError as error:
            raise Failed(f"funkflow run: {error}") from error


@contextmanager
def runs() -> Iterator[Runs]:
    """Yield what runs ours on a worker of this machine with two threads."""
    with open_client(ClusterSettings(workers=1, threads=THREADS, tls="off")) as client:
        yield Runs(client.scheduler_info()["address"])


def _rows(path: Path, ids: list[npt.NDArray[Any]]) -> Rows:
    table = pq.read_table(path, columns=["user", "item", "rating"])
    users, items, ratings = (table[name].to_numpy() for name in ("user", "item", "rating"))
    return ids[0][users], ids[1][items], ratings


def _joined(parts: list[Any]) -> Rows:
    users, items, ratings = (np.concatenate(column) for column in zip(*parts, strict=True))
    return users, items, ratings
