"""Ours with a large catalogue, as bench/serving.py measures it: a model, and recommendations within a limit.

Covers: with ours.py and ours_ranked.py, everything in bench/ that imports funkflow.
Does not cover: the ratings, or what is printed (serving.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import funkflow
from funkflow import Settings
from funkflow.pipeline.cluster.memory_monitor import MemoryMonitor
from funkflow.pipeline.planning.budget import Size, Workload
from funkflow.pipeline.planning.plan import local_allowance, recommending_need
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.rated import TrainedOn
from funkflow.tasks.storage import files

THREADS = 2


@dataclass(frozen=True)
class Served:
    """Recommendations and what they took of one worker; `lists` : the bytes of the files."""

    lists: tuple[bytes, ...]
    in_parts: bool
    worker_limit_bytes: int
    worker_predicted_bytes: int
    worker_peak_bytes: int


def train(ratings: Path, root: Path, rank: int) -> str:
    """Train for one epoch and export, or find the model; return its folder."""
    content = {
        "root": str(root), "ingest": {"ratings": [str(ratings)]}, "split": {"fraction": 0.01},
        "gate": {"beats_biases": False},  # random ratings have nothing to learn
        "train": {"rank": rank, "epochs": 1}, "cluster": {"workers": 1, "threads": THREADS},
    }  # fmt: skip
    return funkflow.run(Settings.build(content), until="export").paths["model"]


def recommend(model: str, users: Sequence[int], count: int, memory: str) -> Served:
    """Recommend to some users, by one worker; `memory` : of the cluster, "" for all of the machine's."""
    origin, about = TrainedOn.of(model), read_about(model)
    cluster = {"workers": 1, "threads": THREADS, **({"memory": memory} if memory else {})}
    settings = Settings.build({"root": origin.root, "cluster": cluster, "recommend": {"count": count, "users": users}})
    size = Size(origin.dataset["ratings"], origin.dataset["users"], origin.dataset["items"], raw_bytes=0)
    allowance = local_allowance(settings)
    work = Workload(size, about["rank"], len(about["parts"]["item"]), allowance.workers, allowance.threads)
    need = recommending_need(settings, work, count, allowance)
    files.remove_tree(files.join(origin.run_folder, "recommendations-chosen"))
    with MemoryMonitor() as monitor:
        folder = funkflow.recommend_with(settings, model)
    paths = sorted(Path(folder, "recommendations.parquet").iterdir())
    return Served(
        tuple(path.read_bytes() for path in paths), need.in_parts, allowance.memory_bytes, need.worker_bytes,
        monitor.worker_peak_bytes,
    )  # fmt: skip
