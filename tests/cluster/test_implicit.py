"""Training with second factors is one result, whatever the workers are and whatever happens to them: the same bits.

Covers: train.implicit with sgd on one worker and two, with two threads, a worker killed, interrupted, streamed, in one
task and as a graph of tasks; each of its values; what is left of it where auto says no.
Does not cover: a step (test_second_factors.py), the same without second factors (test_train.py), quality.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from conftest import made_ratings, publish_ratings
from distributed import Client
from losing_workers import KillBetween
from training import RANK, SETTINGS, SHARDS, Bits, trained

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.events import EpochFinished, Event
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings, GridSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods import sgd
from funkflow.pipeline.training.methods.sgd import train
from funkflow.tasks.grid.factor_shard import RowMeans

BOTH = SETTINGS.model_copy(update={"implicit": "both"})


@pytest.fixture(scope="module")
def expected(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Bits:
    """What one worker makes in few tasks of several epochs."""
    return trained(quiet(client, tmp_path_factory.mktemp("root"), "one-means"), BOTH)[1]


def quiet(client: Client, folder: Path, name: str) -> Context:
    return Context(client, Store(str(folder)), lambda event: None, name)


def shape_of(bits: Bits) -> tuple[int, int]:
    header = bits["user-00000.npy"][:128].decode("latin-1")
    rows, width = header.split("(")[1].split(")")[0].split(",")[:2]
    return int(rows), int(width)


def test_an_epoch_as_a_graph_gives_the_same_bits(
    client: Client, tmp_path: Path, expected: Bits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sgd, "epochs_at_once", lambda *about: 1)
    assert trained(quiet(client, tmp_path, "graph-means"), BOTH)[1] == expected


def test_two_workers_give_the_same_bits(tmp_path: Path, expected: Bits, two_workers: Client) -> None:
    assert trained(quiet(two_workers, tmp_path, "two-means"), BOTH)[1] == expected


def test_streamed_blocks_give_the_same_bits(two_workers: Client, tmp_path: Path, expected: Bits) -> None:
    context = quiet(two_workers, tmp_path, "streamed-means")
    dataset, split = publish_ratings(context, made_ratings().with_days())
    blocks, run = grid(context, dataset, split, GridSettings(shards=SHARDS), days=True), context.store.run("run")
    train(TrainingJob(context, blocks, (1.0, 5.0), BOTH, run, streamed=True, times="user_days,drift"))
    assert trained(context, BOTH)[1] == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("user-residuals-killed-means-0005-001", "direct-items-killed-means-0005"),
        ("direct-users-killed-means-0003-000", "settle-items-killed-means-0003"),
    ],
)
def test_a_worker_killed_within_a_step_changes_no_bit(tmp_path: Path, expected: Bits, first: str, second: str) -> None:
    """In a step for users, and in one for items, where second factors of users lie on the lost worker."""
    with open_client(ClusterSettings(workers=2, threads=1, processes="several")) as client:
        plugin = KillBetween(first, second, client.run(os.getpid))
        assert client.cluster is not None
        client.cluster.scheduler.add_plugin(plugin)
        bits = trained(Context(client, Store(str(tmp_path)), lambda event: None, "killed-means"), BOTH)[1]
    assert plugin.seen[:2] == ["first", "killed"]
    assert "lost" in plugin.seen
    assert bits == expected


def test_an_interrupted_run_ends_at_the_same_bits(client: Client, tmp_path: Path, expected: Bits) -> None:
    def stop_at_five(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(Context(client, Store(str(tmp_path)), stop_at_five, "stopped-means"), BOTH)
    assert trained(quiet(client, tmp_path, "resumed-means"), BOTH)[1] == expected


@pytest.mark.parametrize("implicit", ["items", "users"])
def test_each_side_alone_is_another_training(client: Client, tmp_path: Path, expected: Bits, implicit: Any) -> None:
    alone = trained(quiet(client, tmp_path, f"{implicit}-means"), SETTINGS.model_copy(update={"implicit": implicit}))[1]
    assert shape_of(alone)[1] == RANK + 3 + RowMeans.width(RANK)
    assert alone != expected


def test_auto_leaves_ratings_alone_whose_pairs_say_nothing(client: Client, tmp_path: Path) -> None:
    """Made ratings are at random places: every epoch is that of a training without second factors."""
    auto, none = (
        trained(quiet(client, tmp_path / each, f"{each}-means"), SETTINGS.model_copy(update={"implicit": each}))
        for each in ("auto", "none")
    )
    assert auto[0].history == none[0].history
