"""Simon Funk's form on a cluster is his rule in NumPy, and one result whatever the workers are.

Covers: the whole method against a reference of a few lines, workers, faults, stopping, singular values.
Does not cover: a block's part (test_funk.py), how good it gets (test_quality.py).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import Heard, Ratings, made_ratings, publish_ratings
from distributed import Client
from fully_observed import PURE, factorised
from losing_workers import KillAfter
from sessions import only_long
from ungated import UNGATED

from funkflow import run
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings, GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.funk import train_funk
from funkflow.tasks.errors import BadInput, Diverged, SettingsError
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.default_rule import FUNK_INITIAL
from funkflow.tasks.grid.factor_shard import read_shard
from funkflow.tasks.grid.visit_order import strata_of_shares
from funkflow.tasks.storage import files

SHARDS, RANK = 4, 6
SIDES = ("users", "items")
Bits = dict[str, bytes]
SETTINGS = TrainSettings(method="funk", rank=RANK, seed=3, epochs=60, l2=0.02)


def trained(
    context: Context, settings: TrainSettings = SETTINGS, ratings: Ratings | None = None, streamed: bool = False,
    shards: int = SHARDS,
) -> tuple[Training, Bits]:  # fmt: skip
    """Train; return the manifest, and every shard as bytes."""
    blocks = grid(context, *publish_ratings(context, ratings or made_ratings(rank=2)), GridSettings(shards=shards))
    folder = context.store.run("run")
    manifest = train_funk(TrainingJob(context, blocks, (1.0, 5.0), settings, folder, streamed))
    place = Path(checkpoint.folder_of(folder))
    entries = [each for side in SIDES for each in manifest.shards[side]]
    return manifest, {entry.path: files.read_bytes(str(place / entry.path)) for entry in entries}


def test_it_is_funks_rule_in_numpy(context: Context) -> None:
    """One shard a side, in the pure form without stopping; ratings in the order in which a block has them."""
    made = made_ratings(users=30, items=20, count=200)
    made.is_validation[:] = False
    settings = TrainSettings(
        method="funk", rank=2, epochs=12, l2=0.1, step=0.02, biases=False, center=False, stop_on="nothing"
    )
    manifest, _ = trained(context, settings, made, shards=1)
    block = RatingBlock.of(made.users, made.items, made.ratings, made.shape)
    places = list(zip(block.user_rows.tolist(), block.item_rows.tolist(), strict=True))
    left = block.ratings.astype(np.float64) / manifest.steps.deviation
    for feature in range(2):
        vectors = [
            np.where(np.isin(np.arange(count), rows), FUNK_INITIAL, 0.0)
            for count, rows in zip(made.shape, (made.users, made.items), strict=True)
        ]
        for _ in range(settings.epochs):
            for (a, b), residual in zip(places, left, strict=True):
                u, v = vectors[0][a], vectors[1][b]
                error = residual - u * v
                vectors[0][a] += 0.02 * (error * v - 0.1 * u)
                vectors[1][b] += 0.02 * (error * u - 0.1 * v)
        left = left - np.array([vectors[0][a] * vectors[1][b] for a, b in places])
        folder = Path(checkpoint.folder_of(context.store.run("run")))
        for side, expected in zip(SIDES, vectors, strict=True):
            entry = manifest.shards[side][0]
            found = read_shard(str(folder / entry.path), entry.checksum, 2).factors[:, feature]
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4)
    assert (manifest.epochs, manifest.counted, manifest.passes) == (24, "passes", (12, 12))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Bits:
    """What one worker with one thread makes."""
    with open_client(ClusterSettings(workers=1, threads=1)) as client:
        root = str(tmp_path_factory.mktemp("root"))
        return trained(Context(client, Store(root), lambda event: None, "one"))[1]


@pytest.mark.parametrize("streamed", [False, only_long(True)])
def test_threads_and_streamed_blocks_give_the_same_bits(context: Context, expected: Bits, streamed: bool) -> None:
    assert trained(context, streamed=streamed)[1] == expected


@pytest.mark.long
def test_two_workers_one_of_them_killed_give_the_same_bits(tmp_path: Path, expected: Bits) -> None:
    """Killed as it has taken a turn of the second feature: what the first leaves is made anew."""
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        partner = strata_of_shares(SETTINGS.seed, 12, SHARDS, 2)[1].partners[0]
        plugin = KillAfter(f"passes-two-001.00012-0003-000-{partner:03d}of2", client.run(os.getpid))
        assert client.cluster is not None
        client.cluster.scheduler.add_plugin(plugin)
        bits = trained(Context(client, Store(str(tmp_path)), lambda event: None, "two"))[1]
        lost = plugin.lost
    assert lost == 1
    assert bits == expected


def test_an_interrupted_run_goes_on_to_the_same_bits(client: Client, tmp_path: Path, expected: Bits) -> None:
    """Stopped as the second feature is told of, before its checkpoint: it is found again, the first is not."""

    def stop_at_two(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(Context(client, Store(str(tmp_path)), stop_at_two, "stopped"))
    resumed = Heard(None)  # type: ignore[arg-type]
    resumed.context = Context(client, Store(str(tmp_path)), resumed.events.append, "resumed")
    manifest, bits = trained(resumed.context)
    assert bits == expected
    found = [event.epoch for event in resumed.events if isinstance(event, EpochFinished)]
    assert found == list(range(2, len(manifest.passes) + 1))
    assert Noticed("resuming after feature 1") in resumed.events


def test_a_feature_that_gains_nothing_is_dropped_and_ends_the_run(context: Context) -> None:
    """Planted rank 2, few ratings: held-out ratings soon have nothing to gain from one more feature."""
    manifest, _ = trained(context, SETTINGS.model_copy(update={"rank": 40}))
    kept, rmses = manifest.best_epoch, [stopping for _, stopping in manifest.history]
    assert manifest.reason == f"feature {kept + 1} gained nothing"
    assert 1 <= kept == len(rmses) == len(manifest.passes) - 1 < 39
    assert rmses == sorted(rmses, reverse=True)
    folder = Path(checkpoint.folder_of(context.store.run("run")))
    entry = manifest.shards["users"][0]
    factors = read_shard(str(folder / entry.path), entry.checksum, 40).factors
    assert np.any(factors, axis=0).tolist() == [True] * kept + [False] * (40 - kept)


@pytest.mark.long
def test_features_of_a_matrix_without_gaps_are_its_singular_triplets(heard: Heard) -> None:
    """The first and greatest first, each to within a percent: fixed steps, one cell after another, end that close."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(rows, 4)))[0] for rows in (40, 30))
    matrix = left * np.array([40.0, 20.0, 10.0, 5.0]) @ right.T
    settings = TrainSettings(method="funk", rank=3, epochs=400, **PURE)
    found, _ = factorised(heard.context, matrix, settings, train_funk)
    np.testing.assert_allclose(np.linalg.svd(found, compute_uv=False)[:3], [40.0, 20.0, 10.0], rtol=0.01)


def test_a_step_that_diverges_is_said_in_one_line(context: Context) -> None:
    with pytest.raises(Diverged, match=r"^feature 1: its values are no longer finite with step 9 .*; lower .*"):
        trained(context, SETTINGS.model_copy(update={"step": 9.0}))


def test_a_matrix_of_zeros_is_refused_in_one_line(context: Context) -> None:
    made = made_ratings()
    made.ratings[:] = 0.0
    with pytest.raises(BadInput, match=r"^all .* training ratings equal .*: nothing to learn; .*"):
        trained(context, SETTINGS, made)


def test_biases_without_a_mean_are_refused() -> None:
    with pytest.raises(ValueError, match=r"train\.method = .funk. removes mean and biases together"):
        TrainSettings(method="funk", center=False)


@pytest.mark.long
def test_a_whole_run_goes_by_the_setting(tmp_path: Path) -> None:
    small = ["synth.fraction=0.02", "train.rank=4", "train.method=funk", "train.epochs=30", UNGATED, f"root={tmp_path}"]
    result = run("demo", small)
    assert result.rmse is not None
    assert result.rmse <= result.evaluation["biases"]["rmse"]
    assert (result.counted, result.epoch_chosen_on) == ("passes", result.split)
    with pytest.raises(SettingsError, match=r"train\.minimum_gain has no effect with train.method = 'funk'"):
        run("demo", [*small, "train.minimum_gain=0.1"])
