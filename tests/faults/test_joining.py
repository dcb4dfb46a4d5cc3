"""Workers that join or leave in the middle of training: used from the next checkpoint, nothing lost, the same bits.

Covers: real workers of one cluster, added to it and retired from it at a named epoch.
Does not cover: workers that die (test_train.py), or do not fit from the start (test_attach.py).
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import pytest
from conftest import made_ratings, publish_ratings
from dask_processes import CHECKOUT, worker
from distributed import Client, LocalCluster, SchedulerPlugin
from training import SETTINGS, Bits, trained

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.dask_settings import dask_settings
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.method_settings import BatchSettings
from funkflow.pipeline.settings.sections import GridSettings
from funkflow.pipeline.settings.train import TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.batch import train_batch
from funkflow.pipeline.training.methods.sgd import train

AT = 3
"""The epoch after which workers come or go; a checkpoint comes every second epoch, so that of epoch 4 is the next."""
Trained = Callable[[Context], Bits]


class Done(SchedulerPlugin):
    """Note each task that a worker finished, by key and worker."""

    name = "done"

    def __init__(self) -> None:
        self.tasks: list[tuple[str, str]] = []

    def transition(self, key: Any, start: str, finish: str, *args: Any, worker: str = "", **rest: Any) -> None:
        if (start, finish) == ("processing", "memory"):
            self.tasks.append((str(key), worker))

    def workers_of(self, part: str) -> set[str]:
        return {worker for key, worker in self.tasks if part in key}


@dataclass
class Cluster:
    """A cluster of our own with something that is done to it after an epoch, and what was seen."""

    client: Client
    change: Callable[[], None] = lambda: None
    done: Done = field(default_factory=Done)
    said: list[str] = field(default_factory=list)

    def context(self, root: Path) -> Context:
        return Context(self.client, Store(str(root)), self._hear, "at")

    def _hear(self, event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == AT:
            self.change()
        if isinstance(event, Noticed):
            self.said.append(event.message)

    def join(self) -> None:
        """Have one more worker come."""
        assert self.client.cluster is not None
        self.client.cluster.scale(2)
        self.client.wait_for_workers(2, timeout=60)

    def addresses(self) -> list[str]:
        return sorted(self.client.scheduler_info(n_workers=-1)["workers"])


@contextmanager
def cluster_of(workers: int) -> Iterator[Cluster]:
    """Run a scheduler and workers that talk by TCP but share this process: they come in a moment."""
    local = LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    )  # fmt: skip
    with dask.config.set(dask_settings()), local, Client(local, set_as_default=False) as client:
        cluster = Cluster(client)
        assert local.scheduler is not None
        local.scheduler.add_plugin(cluster.done)
        yield cluster


@pytest.fixture
def expected(context: Context) -> Bits:
    return trained(context)[1]


def test_a_worker_that_joins_is_used_from_the_next_checkpoint(tmp_path: Path, expected: Bits) -> None:
    with cluster_of(1) as cluster:
        (old,) = cluster.addresses()
        cluster.change = cluster.join
        bits = trained(cluster.context(tmp_path))[1]
        (new,) = set(cluster.addresses()) - {old}
        done = cluster.done
    assert bits == expected
    assert cluster.said[-1] == "2 workers instead of 1 from epoch 5 on"
    for epoch in (2, 4, 5, 6):  # one worker goes on to a checkpoint in one task, named by its last epoch
        assert done.workers_of(f"descend-at-{epoch:04d}") == ({old} if epoch <= 4 else {old, new})
    again = [(key, worker) for key, worker in done.tasks if key.startswith("load-blocks-at-from-0004")]
    assert len(again) == 2, "two of four rows go to the new worker, the others stay where they are"
    assert {worker for _, worker in again} == {new}


def test_a_worker_that_leaves_loses_nothing(tmp_path: Path, expected: Bits) -> None:
    with cluster_of(2) as cluster:
        kept, leaving = cluster.addresses()
        cluster.change = lambda: cluster.client.retire_workers([leaving])
        bits = trained(cluster.context(tmp_path))[1]
        assert cluster.addresses() == [kept]
        done = cluster.done
    assert bits == expected
    assert cluster.said[-1] == "1 workers instead of 2 from epoch 5 on"
    assert done.workers_of("descend-at-0003") == {kept, leaving}
    assert done.workers_of("descend-at-0006") == {kept}
    # What was there when it left: tasks that were running then may be run again.
    whole = [key for key, _ in done.tasks if any(f"at-{epoch:04d}-" in key for epoch in range(1, AT + 1))]
    assert {key: times for key, times in Counter(whole).items() if times > 1} == {}


def test_a_worker_that_joins_with_another_funkflow_is_left_out(tmp_path: Path, expected: Bits) -> None:
    for package in ("conf", "funkflow", "pipeline", "tasks"):
        subprocess.run(["cp", "-a", str(CHECKOUT / package), str(tmp_path)], check=True)
    with open(tmp_path / "tasks" / "grid" / "default_rule.py", "a", encoding="utf-8") as file:
        file.write("# another line\n")
    with cluster_of(1) as cluster, ExitStack() as stack:
        (tmp_path / "scheduler.json").write_text(json.dumps({"address": cluster.client.scheduler_info()["address"]}))
        joined: list[str] = []

        def join() -> None:
            joined.append(stack.enter_context(worker(tmp_path / "scheduler.json", "other", str(tmp_path))))

        cluster.change = join
        assert trained(cluster.context(tmp_path / "mine"))[1] == expected
    assert [line for line in cluster.said if f"left out: worker {joined[0]}: runs another funkflow" in line]
    assert cluster.done.workers_of("-at-") & set(joined) == set()


@pytest.mark.long
def test_batch_descent_takes_joining_workers_likewise(context: Context, tmp_path: Path) -> None:
    settings = TrainSettings(
        method="batch", rank=3, stop_on="nothing", batch=BatchSettings(steps=6, checkpoint_steps=2)
    )

    def descended(context: Context) -> tuple[tuple[float, Any], ...]:
        blocks = grid(context, *publish_ratings(context, made_ratings()), GridSettings(shards=4))
        return train_batch(TrainingJob(context, blocks, (1.0, 5.0), settings, context.store.run("run"))).history

    with cluster_of(1) as cluster:
        (old,) = cluster.addresses()
        cluster.change = cluster.join
        history = descended(cluster.context(tmp_path))
        assert cluster.done.workers_of("slopes-at") > {old}
    assert cluster.said[-1] == "2 workers instead of 1 from step 5 on"
    assert history == descended(context)


def test_more_workers_than_blocks_can_use_is_said(tmp_path: Path) -> None:
    with cluster_of(2) as cluster:
        context = cluster.context(tmp_path)
        blocks = grid(context, *publish_ratings(context, made_ratings()), GridSettings(shards=1))
        train(
            TrainingJob(
                context, blocks, (1.0, 5.0), SETTINGS.model_copy(update={"epochs": 1}), context.store.run("run")
            )
        )
    assert cluster.said[0].startswith("a grid of 1 x 1 blocks keeps only 1 of 2 workers busy; set grid.shards")
