"""Ours, as the benchmarks use it: the command line, the files a run leaves, and a plain loop over the blocks.

Covers: with ours_ranked.py, everything in bench/ that imports funkflow. When its insides change, these files change.
Does not cover: training through Dask epoch by epoch (training.py), what is compared with what (sections/), or how
results are laid out (table.py).
"""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from distributed import Client

from bench.process import run_module
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.planning.budget import row_bytes
from funkflow.pipeline.root.manifests import Dataset, Grid
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import (
    ClusterSettings,
    GridSettings,
    IngestSettings,
    SplitSettings,
    TrainSettings,
)
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.stages.ingest import ingest
from funkflow.pipeline.stages.split import split
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.sgd import train
from funkflow.pipeline.training.step_sizes import step_sizes
from funkflow.tasks.grid.bias_baseline import rows_with_ratings
from funkflow.tasks.grid.block import read_block
from funkflow.tasks.grid.factor_shard import FactorShard, ShardStart, initial_shard, shard_rows
from funkflow.tasks.grid.visit_order import strata_of_epoch
from funkflow.tasks.model.model import Model
from funkflow.tasks.training.sgd import descend_in_place
from funkflow.tasks.training.sgd_epochs import epochs_at_once

CHECKPOINT_EPOCHS = TrainSettings().checkpoint_epochs
"""The default: how many epochs a checkpoint is written after."""
THREADS = 2
"""As many as peers are given."""
Columns = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]


class Failed(Exception):
    """Our own command failed; the message is its one line."""


def command(name: str, *words: str) -> dict[str, Any]:
    """Run `funkflow NAME WORDS --json` and return its JSON."""
    answer = run_module("funkflow", name, *words, "--json")
    if answer.failed:
        raise Failed(f"funkflow {name}: {answer.failed}")
    return answer.content


@contextmanager
def grids() -> Iterator[Callable[[Path, list[Path], bool, int], tuple[Dataset, Grid, float]]]:
    """Yield what takes files to a grid under a root, grown or cold, and returns its dataset, itself and the seconds."""
    calls = itertools.count()
    with open_client(ClusterSettings(workers=1, threads=THREADS)) as client:

        def make(root: Path, ratings: list[Path], incremental: bool, shards: int) -> Any:
            context = Context(client, Store(str(root)), lambda _event: None, f"grown-{next(calls)}")
            settings = IngestSettings(ratings=tuple(map(str, ratings)), incremental=incremental)
            started = time.perf_counter()
            dataset = ingest(context, settings)
            held_out = split(context, dataset, SplitSettings(), settings, 0.0)
            blocks = grid(context, dataset, held_out, GridSettings(shards=shards))
            return dataset, blocks, time.perf_counter() - started

        yield make


def synthesise(shape: str, fraction: float, root: Path) -> str:
    """Make the synthetic set, or find it; return its folder."""
    sets = ("--set", f"synth.shape={shape}", "--set", f"synth.fraction={fraction}")
    return str(command("synth", "demo", "--root", str(root), *sets)["paths"]["raw"])


def epochs_of_a_task(ratings: float) -> int:
    """Return how many epochs over so many ratings one task of a worker goes through (tasks/training/sgd_epochs.py)."""
    return epochs_at_once(ratings)


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


@dataclass(frozen=True)
class Made:
    """Folders of what ours makes of a raw set before training; their names hold a hash of content and format."""

    dataset: str
    split: str
    grid: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def make_blocks(raw: str, root: Path) -> Made:
    """Take the raw set to its blocks on disk under `root`, or find them there."""
    paths = command("grid", *on_probe(raw), "--root", str(root))["paths"]
    return Made(paths["dataset"], paths["split"], paths["grid"])


def dense_ratings(raw: str, made: Made) -> Dense:
    """Return the ratings of the raw set as arrays."""
    dataset = Path(made.dataset)
    training, probe = (_three(columns) for columns in split_columns(made, ("user", "item", "rating")))
    about = json.loads((dataset / "manifest.json").read_bytes())
    return Dense(training, probe, about["users"], about["items"], _truth_rmse(raw, dataset, probe))


def split_columns(made: Made, names: Sequence[str]) -> tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]]]:
    """Return columns of the training and of the validation ratings that lie in the dataset, each (n,) in its order.

    Raises
    ------
    Failed
        The dataset lacks a column.
    """
    dataset, split = Path(made.dataset), Path(made.split)
    about, held_out = (json.loads((folder / "manifest.json").read_bytes()) for folder in (dataset, split))
    training, probe = [], []
    for part, validation in zip(about["parts"], held_out["validation"]["parts"], strict=True):
        file = pq.ParquetFile(dataset / part["path"])
        if missing := [name for name in names if name not in file.schema_arrow.names]:
            raise Failed(f"these ratings have no {missing[0]}")
        table = file.read(columns=list(names))
        columns = [table[name].to_numpy() for name in names]
        rows = pq.read_table(split / validation["path"])["row"].to_numpy()
        kept = np.ones(table.num_rows, dtype=np.bool_)
        kept[rows[rows >= 0]] = False
        training.append([column[kept] for column in columns])
        probe.append([column[rows[rows >= 0]] for column in columns])
    return _joined(training), _joined(probe)


def _joined(parts: list[list[npt.NDArray[Any]]]) -> list[npt.NDArray[Any]]:
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _three(columns: list[npt.NDArray[Any]]) -> Columns:
    users, items, ratings = columns
    return users, items, ratings


def _truth_rmse(raw: str, dataset: Path, probe: Columns) -> float:
    names = [pq.read_table(dataset / f"{side}.parquet")["raw_id"].to_numpy() for side in ("users", "items")]
    predicted = Model.load(f"{raw}/truth").predict(names[0][probe[0]], names[1][probe[1]])
    return float(np.sqrt(np.mean((probe[2] - predicted) ** 2)))


def run_job(raw: str, root: Path, rank: int) -> dict[str, Any]:
    """Go from raw text to a validated and saved model under an empty root; return what `funkflow export --json` says.

    Of it the benchmarks read rmse, epochs, peak_memory_bytes, and seconds and memory_bytes by stage.
    """
    shutil.rmtree(root, ignore_errors=True)
    sets = ("--set", f"train.rank={rank}", "--set", f"cluster.threads={THREADS}")
    return command("export", *on_probe(raw), "--root", str(root), *sets)


def predicted_memory_bytes(raw: str, root: Path, rank: int) -> int:
    """Return what `funkflow plan` says that the job needs."""
    sets = ("--set", f"train.rank={rank}", "--set", f"cluster.threads={THREADS}")
    return int(command("plan", *on_probe(raw), "--root", str(root), *sets)["memory_bytes"])


@dataclass(frozen=True)
class PlainLoop:
    """The same blocks without Dask. `predict` takes dense user and item ids and returns ratings, unclipped."""

    load_seconds: float
    epoch_seconds: list[float]
    predict: Callable[[npt.NDArray[np.int32], npt.NDArray[np.int32]], npt.NDArray[np.float32]]


def _published_grid(folder: Path | str) -> Grid:
    grid = Grid.published(str(folder))
    assert grid is not None, f"{folder}: no grid"
    return grid


def train_in_plain_loop(grid_folder: Path, rank: int, threads: int, epochs: int) -> PlainLoop:
    """Read all blocks, then descend over them stratum by stratum on so many threads, all in this process.

    In place: nothing is copied, so what Dask's pure tasks copy counts as their cost.
    """
    began = time.monotonic()
    grid = _published_grid(grid_folder)
    shards, seed = grid.shards, 0
    checksums = [block.checksum for block in grid.blocks]
    shapes = [(shard_rows(grid.users, shards, a), shard_rows(grid.items, shards, b))
              for a in range(shards) for b in range(shards)]  # fmt: skip
    folder = str(grid_folder.parent.parent / "blocks")
    steps = step_sizes(grid, TrainSettings(rank=rank))
    with ThreadPoolExecutor(threads) as pool:
        blocks = list(pool.map(lambda checksum, shape: read_block(folder, checksum, shape), checksums, shapes))
        rows = [tuple(blocks[a * shards : (a + 1) * shards]) for a in range(shards)]
        seen = [rows_with_ratings(row) for row in rows]
        rated = [np.logical_or.reduce([columns[b] for _, columns in seen]) for b in range(shards)]
        users = [initial_shard(mine, ShardStart(rank, seed, shards), "user", a) for a, (mine, _) in enumerate(seen)]
        items = [initial_shard(any_row, ShardStart(rank, seed, shards), "item", b) for b, any_row in enumerate(rated)]
        users, items = ([shard.copy() for shard in side] for side in (users, items))
        load_seconds, epoch_seconds = time.monotonic() - began, []
        for epoch in range(1, epochs + 1):
            began = time.monotonic()
            for columns in strata_of_epoch(seed, epoch, shards):
                cells, met = [rows[a][b] for a, b in enumerate(columns)], [items[b] for b in columns]
                list(pool.map(descend_in_place, cells, users, met, [steps] * shards))
            epoch_seconds.append(time.monotonic() - began)
    return PlainLoop(load_seconds, epoch_seconds, _predictor(users, items, steps.mean, steps.deviation))


def _predictor(
    users: list[FactorShard], items: list[FactorShard], mean: float, deviation: float
) -> Callable[[npt.NDArray[np.int32], npt.NDArray[np.int32]], npt.NDArray[np.float32]]:
    shards = len(users)

    def predict(user_ids: npt.NDArray[np.int32], item_ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        scores = np.empty(len(user_ids), dtype=np.float32)
        for a in range(shards):
            for b in range(shards):
                chosen = np.flatnonzero((user_ids % shards == a) & (item_ids % shards == b))
                u, v = user_ids[chosen] // shards, item_ids[chosen] // shards
                scores[chosen] = np.einsum("nk,nk->n", users[a].factors[u], items[b].factors[v])
                scores[chosen] += users[a].biases[u] + items[b].biases[v]
        return (mean + deviation * scores).astype(np.float32)

    return predict


def bytes_between_workers(raw: str, root: Path, rank: int) -> tuple[int, int]:
    """Return the bytes that moved between two worker processes in an epoch, and P times the bytes of V.

    What six epochs moved less what two did, by four: what is moved before the first epoch is not an epoch's.
    """
    made = make_blocks(raw, root)
    grid, dataset = _published_grid(made.grid), Dataset.published(made.dataset)
    assert dataset is not None
    moved = []
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        for epochs in (2, 6):
            before = _outgoing(client)
            settings = TrainSettings(rank=rank, epochs=epochs, checkpoint_epochs=epochs, stop_on="nothing")
            run_folder = root / "moved"
            shutil.rmtree(run_folder, ignore_errors=True)
            context = Context(client, Store(str(root)), lambda _event: None, f"moved-{epochs}")
            train(TrainingJob(context, grid, dataset.bounds, settings, str(run_folder)))
            moved.append(_outgoing(client) - before)
        shutil.rmtree(run_folder)
    return (moved[1] - moved[0]) // 4, grid.shards * grid.items * row_bytes(rank)


def _outgoing(client: Client) -> int:
    """Return the bytes that all workers have sent to others so far."""
    return int(sum(client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total).values()))
