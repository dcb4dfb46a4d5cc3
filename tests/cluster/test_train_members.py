"""The mean of several runs of sgd: which mean it is, and one result whatever the workers are.

Covers: `train.members` (pipeline/training/methods/members.py): the mean, workers, threads, faults, resuming, and
settings that do not go with it.
Does not cover: merging (tests/unit/test_posterior_mean.py), the loop that it shares
(tests/cluster/test_train_bayes.py), its memory (tests/unit/test_posterior_needs.py).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import Ratings, made_ratings, publish_ratings
from distributed import Client
from losing_workers import KillAfter

from funkflow import Settings
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.events import EpochFinished, Event
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings, GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods import sgd
from funkflow.pipeline.training.methods.members import train_members
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.grid.factor_shard import read_shard

RANK, SHARDS, MEMBERS, SCALE = 4, 3, 3, (1.0, 5.0)
Bits = dict[str, str]


def trained(context: Context, run: str = "run", **others: Any) -> Training:
    """Train with three members, each of few epochs, unless others are given."""
    chosen = {"rank": RANK, "seed": 3, "epochs": 4, "members": MEMBERS, "checkpoint_epochs": 2, **others}
    settings = TrainSettings.model_validate(chosen)
    blocks = grid(context, *publish_ratings(context, made_ratings()), GridSettings(shards=SHARDS))
    job = TrainingJob(context, blocks, SCALE, settings, context.store.run(run))
    return train_members(job) if settings.members > 1 else sgd.train(job)


def bits_of(training: Training) -> Bits:
    return {each.path: each.checksum for side in ("users", "items") for each in training.shards[side]}


def at(folder: Path, name: str, listener: Any = lambda event: None) -> Any:
    return lambda client: Context(client, Store(str(folder)), listener, name)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Bits:
    """What one worker with one thread makes."""
    with open_client(ClusterSettings(workers=1, threads=1)) as client:
        return bits_of(trained(at(tmp_path_factory.mktemp("root"), "one")(client)))


def predictions(context: Context, training: Training, rank: int, made: Ratings) -> npt.NDArray[np.float64]:
    """Predict all ratings by the shards of a model."""
    folder = checkpoint.folder_of(training.run_folder)
    sides = []
    for side, rows in (("users", made.users), ("items", made.items)):
        parts = [read_shard(*entry.place(folder), rank) for entry in training.shards[side]]
        factors = np.array([parts[row % SHARDS].factors[row // SHARDS] for row in rows], float)
        sides.append((factors, np.array([parts[row % SHARDS].biases[row // SHARDS] for row in rows], float)))
    (users, of_users), (items, of_items) = sides
    return np.asarray(np.sum(users * items, axis=1) + of_users + of_items)


def test_the_model_is_the_mean_of_runs_with_seeds_of_their_own(context: Context) -> None:
    """Three runs of rank 4 have a mean of rank 12, which is kept whole."""
    made = made_ratings()
    mean = trained(context)
    assert mean.posterior is not None
    assert (mean.posterior.rank, mean.posterior.chains, mean.counted) == (12, MEMBERS, "members")
    alone = [trained(context, f"run-{number}", members=1, seed=3 + 1_000_003 * number) for number in range(MEMBERS)]
    of_each = [predictions(context, each, RANK, made) for each in alone]
    assert np.std(of_each, axis=0).mean() > 1e-3  # they differ
    np.testing.assert_allclose(predictions(context, mean, 12, made), np.mean(of_each, axis=0), atol=1e-5)
    first = alone[0].history[alone[0].best_epoch - 1]
    assert mean.history[0] == pytest.approx(first, rel=1e-5)
    assert mean.posterior.rmse == mean.history[-1][1]


def test_two_threads_give_the_same_bits(context: Context, expected: Bits) -> None:
    assert bits_of(trained(context)) == expected


def test_two_workers_one_of_them_killed_give_the_same_bits(tmp_path: Path, expected: Bits) -> None:
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        plugin = KillAfter("predict-two-1-0001-001", client.run(os.getpid))
        assert client.cluster is not None
        client.cluster.scheduler.add_plugin(plugin)
        found = bits_of(trained(at(tmp_path, "two")(client)))
        lost = plugin.lost
    assert (found, lost) == (expected, 1)


@pytest.mark.parametrize("stopped", [1, 3])
def test_an_interrupted_run_resumes_to_the_same_bits(
    client: Client, tmp_path: Path, expected: Bits, stopped: int
) -> None:
    """A checkpoint comes after the second member; before it the first one is still there."""

    def stop(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.counted == "member" and event.epoch == stopped:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(at(tmp_path, "stopped", stop)(client))
    seen: list[Event] = []
    assert bits_of(trained(at(tmp_path, "resumed", seen.append)(client))) == expected
    numbers = [each.epoch for each in seen if isinstance(each, EpochFinished)]
    assert numbers == ([1, 2, 3] if stopped == 1 else [3])


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["train.method=als"], "train.members has no effect with train.method = 'als'; leave it out"),
        (["train.method=bayes"], "train.members has no effect with train.method = 'bayes'; leave it out"),
        (["train.method=lanczos"], "train.members has no effect with train.method = 'lanczos'; leave it out"),
        (["train.warm_start=true"], "train.warm_start has no effect with train.members = 8; leave it out"),
    ],
)
def test_settings_that_do_not_go_with_it_are_refused_by_name(words: list[str], refusal: str) -> None:
    chosen = Settings.build({}, ["train.members=8", *words]).train
    with pytest.raises(SettingsError) as refused:
        chosen.refuse_idle_settings()
    assert refused.value.message == refusal


def test_one_run_has_the_settings_and_so_the_id_that_it_had() -> None:
    assert "members" not in TrainSettings().model_dump()
    assert TrainSettings(members=2).model_dump()["members"] == 2
