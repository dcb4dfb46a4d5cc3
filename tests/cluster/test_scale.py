"""How long an epoch would take: the closed form beside the replayed epochs, and the replay beside a real run's tasks.

Covers: pipeline/planning/task_costs.py, pipeline/planning/epoch_time.py; epoch_replay.py. Does not
cover: the constants, and the plan that is made of it (test_scale_plan.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from conftest import made_ratings, publish_ratings
from descending import random_block
from distributed import Client
from distributed.diagnostics.plugin import SchedulerPlugin
from epoch_replay import simulate
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.planning.constants import Constants, RankConstants
from funkflow.pipeline.planning.epoch_time import moved_bytes, predict_epoch
from funkflow.pipeline.planning.task_costs import Block, Costs, Job, Matrix
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings, GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.sgd import train

CONSTANTS = Constants(
    ranks=(
        RankConstants(
            rank=64,
            seconds_per_rating=13e-9,
            seconds_per_swept_row=20e-9,
            seconds_per_single_row=60e-9,
            seconds_per_scored_rating=50e-9,
        ),
    ),
    thread_loss=0.02,
    copy_bytes_per_second=6e9,
    copy_thread_loss=0.3,
    dispatch_seconds=4e-5,
    scheduler_seconds_per_task=4e-4,
    client_seconds_per_task=1e-4,
    client_seconds_per_block=1e-6,
    hop_seconds=2e-3,
    bandwidth_bytes_per_second=1e9,
    transfer_seconds=2e-3,
    store_write_bytes_per_second=1e9,
    store_read_bytes_per_second=1e9,
)


def powers(least: int, most: int) -> st.SearchStrategy[float]:
    return st.floats(least, most).map(lambda exponent: 10.0**exponent)


ANY_CONSTANTS = st.builds(
    lambda **of: CONSTANTS.model_copy(update=of),
    bandwidth_bytes_per_second=powers(7, 10), scheduler_seconds_per_task=powers(-5, -2),
    client_seconds_per_task=powers(-6, -3), hop_seconds=powers(-5, -2), transfer_seconds=powers(-5, -2),
)  # fmt: skip
MATRICES = st.builds(
    lambda ratings, users, items, part: Matrix(ratings, users, items, 64, ratings * part),
    powers(6, 11), powers(3, 8), powers(3, 7), st.sampled_from([0.0, 0.1]),
)  # fmt: skip
JOBS = st.builds(Job, MATRICES, st.integers(1, 24), st.integers(1, 30), st.sampled_from([1, 2, 8]))


@settings(max_examples=examples(60), deadline=None)
@given(JOBS, ANY_CONSTANTS)
def test_closed_form_and_replay_agree(job: Job, constants: Constants) -> None:
    """Where each worker has one share closely; where some have more than others, the closed form is the longer."""
    replayed, predicted = simulate(job, constants, epochs=5), predict_epoch(job, constants)
    ratio = (predicted.seconds - predicted.parts["checkpoint"]) / replayed.epoch_seconds
    assert 0.75 < ratio < (1.45 if job.shares_a_worker == 1 else 1.75)


@settings(max_examples=examples(60), deadline=None)
@given(JOBS)
def test_replay_runs_each_task_once_and_moves_what_is_predicted(job: Job) -> None:
    epochs = 8
    replayed = simulate(job, CONSTANTS, epochs=epochs)
    assert len(set(replayed.order)) == len(replayed.order) == round(epochs * job.epochs_a_task * job.tasks_an_epoch)
    first_turn = job.shares  # an epoch's first turn is drawn anew, and the first epoch's finds its items anywhere
    moved = len(replayed.moves) / epochs * job.item_share_bytes
    assert moved == pytest.approx(moved_bytes(job), rel=0.25, abs=2 * first_turn * job.item_share_bytes)


@pytest.mark.parametrize("changed", ["bandwidth_bytes_per_second", "scheduler_seconds_per_task", "hop_seconds"])
def test_what_is_scarce_binds(changed: str) -> None:
    job = Job(Matrix(1e10, 1e6, 1e5, 64, 1e8), 16, 16, 4)
    scarce = {"bandwidth_bytes_per_second": 1e5, "scheduler_seconds_per_task": 1.0, "hop_seconds": 10.0}[changed]
    epoch = predict_epoch(job, CONSTANTS.model_copy(update={changed: scarce}))
    assert predict_epoch(job, CONSTANTS).binds == "kernel"
    assert epoch.binds == ("items" if changed.startswith("bandwidth") else "scheduler")
    assert epoch.seconds == pytest.approx(sum(epoch.parts.values()))


def test_a_block_has_the_runs_and_tiles_that_are_expected() -> None:
    """On random ratings, from those that leave most tiles empty to those that fill all groups of users."""
    rng = np.random.default_rng(0)
    for shape, count in (((40_000, 9_000), 300), ((40_000, 9_000), 60_000), ((3_000, 500), 60_000)):
        block = random_block(rng, np.arange(shape[0]), np.arange(shape[1]), count, shape)
        expected = Block.even(len(block), shape)
        assert expected.tiles == pytest.approx(len(block.tiles), rel=0.1)
        assert expected.runs == pytest.approx(len(block.runs), rel=0.05)
        a_run, a_tile = np.diff(block.run_starts), np.diff(block.run_starts[np.append(0, block.tiles[:, 2])])
        for alone in (True, False):
            runs, tiles = ((counts < width) == alone for counts, width in ((a_run, 32), (a_tile, 1_024)))
            visited = (a_run[runs].sum() + a_tile[tiles].sum()) if alone else 32 * runs.sum() + 1_024 * tiles.sum()
            assert (expected.single if alone else expected.swept) == pytest.approx(visited, rel=0.1, abs=0.1 * count)


def test_threads_within_a_block_wait_for_each_tile() -> None:
    """Where a share has fewer shards than threads, tiles are handed out one by one; enough shards avoid it."""
    matrix = Matrix(1e9, 1e8, 1e7, 64)
    few, many = (Costs.of(Job(matrix, shards, 8, 8), CONSTANTS) for shards in (8, 64))
    assert 8 * few.descend > 3 * 8 * many.descend


class Finished(SchedulerPlugin):
    """Notes all tasks that are done: Dask's own log keeps the last hundred transitions."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def transition(self, key: Any, start: str, finish: str, *args: Any, **rest: Any) -> None:
        if finish == "memory":
            self.keys.append(str(key))


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Client]:
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        yield client


@pytest.mark.parametrize("stop_on", ["validation", "nothing"])
def test_a_real_run_has_the_tasks_and_moves_of_the_replay(
    two_workers: Client, tmp_path: Path, stop_on: Literal["validation", "nothing"]
) -> None:
    context = Context(two_workers, Store(str(tmp_path)), lambda _event: None, stop_on)
    dataset, held_out = publish_ratings(context, made_ratings(users=400, items=800, count=9_000))
    blocks = grid(context, dataset, held_out, GridSettings(shards=4))
    chosen = TrainSettings(rank=8, epochs=2, seed=3, stop_on=stop_on, implicit="none")
    finished = Finished()
    assert two_workers.cluster is not None
    two_workers.cluster.scheduler.add_plugin(finished, name=stop_on)
    train(TrainingJob(context, blocks, (1.0, 5.0), chosen, str(tmp_path / "run")))

    matrix = Matrix(blocks.ratings, blocks.users, blocks.items, 8, float(stop_on == "validation"))
    job = Job(matrix, 4, 2, 1)
    replayed = simulate(job, CONSTANTS, seed=3, epochs=2)
    named = {key: f"{key[0]}-{stop_on}-{key[1]:04d}-{key[2]:03d}-{key[3]:03d}" for key in replayed.order}
    named |= {key: f"score-{stop_on}-{key[1]:04d}-{key[3]:03d}" for key in named if key[0] == "score"}
    kinds = tuple(f"{kind}-{stop_on}" for kind in ("descend", "items", "score"))
    ran = [_without_partner(key) for key in finished.keys if key.startswith(kinds)]
    assert sorted(ran) == sorted(named.values())

    logs = two_workers.run(lambda dask_worker: [entry["keys"] for entry in dask_worker.transfer_incoming_log])
    fetched = [
        (key, size) for log in logs.values() for keys in log for key, size in keys.items() if key.startswith(kinds[1])
    ]
    assert sorted(key for key, _ in fetched) == sorted(named[key] for key, _ in replayed.moves if key in named)
    assert sum(size for _, size in fetched) == pytest.approx(len(fetched) * job.item_share_bytes, rel=0.1)


def test_a_small_set_on_one_worker_goes_several_epochs_a_task(two_workers: Client, tmp_path: Path) -> None:
    """As many tasks as are predicted, which is a tenth of what they would be one by one."""
    name = "stretches"
    context = Context(two_workers, Store(str(tmp_path)), lambda _event: None, name)
    dataset, held_out = publish_ratings(context, made_ratings(users=400, items=800, count=9_000))
    blocks = grid(context, dataset, held_out, GridSettings(shards=1))
    finished = Finished()
    assert two_workers.cluster is not None
    two_workers.cluster.scheduler.add_plugin(finished, name=name)
    train(
        TrainingJob(
            context, blocks, (1.0, 5.0), TrainSettings(rank=8, epochs=20, stop_on="nothing"), str(tmp_path / "run")
        )
    )

    job = Job(Matrix(blocks.ratings, blocks.users, blocks.items, 8), 1, 2, 1)
    ran = [key for key in finished.keys if key.startswith((f"descend-{name}-", f"history-{name}-"))]
    assert (job.epochs_a_task, 20 * job.tasks_an_epoch) == (10, len(ran))
    one_by_one = predict_epoch(replace(job, checkpoint_epochs=1), CONSTANTS).parts["scheduler"]
    assert predict_epoch(job, CONSTANTS).parts["scheduler"] < one_by_one / 5


def _without_partner(key: str) -> str:
    """A task of descent also names the share that it meets."""
    return key.rpartition("-")[0] if key.startswith("descend") else key
