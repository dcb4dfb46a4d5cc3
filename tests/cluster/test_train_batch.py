"""Full-batch descent on a cluster is descent in NumPy, to 1e-10, and one result whatever the workers are.

Covers: the whole method against a reference of a few lines, grids and workers, faults, stopping, divergence.
Does not cover: a block's part (test_batch.py), the rule by itself (test_follow_gradient.py), how good it gets
(test_eckart_young.py, test_quality.py).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Heard, Ratings, made_ratings, publish_ratings
from distributed import Client
from losing_workers import KillAfter
from rich.console import Console
from sessions import only_long
from ungated import UNGATED

from funkflow import run
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed, RunBegan
from funkflow.pipeline.results.tables import result_table
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings, GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.batch import train_batch
from funkflow.tasks.errors import BadInput, Diverged
from funkflow.tasks.grid.factor_shard import ShardStart, shard_rows
from funkflow.tasks.storage import files
from funkflow.tasks.training import batch
from funkflow.tasks.training.objective import Observed, Point, gradients

RANK, STEPS = 4, 8
Bits = dict[str, bytes]


def batch_settings(**of_batch: Any) -> TrainSettings:
    chosen = {"steps": STEPS, "checkpoint_steps": 3, "patience": STEPS, **of_batch}
    return TrainSettings.model_validate({"method": "batch", "rank": RANK, "seed": 3, "batch": chosen})


def trained(
    context: Context, settings: TrainSettings, shards: int = 2, ratings: Ratings | None = None, streamed: bool = False
) -> tuple[Training, Bits]:
    """Train; return the manifest, and every kept shard and the last point as bytes."""
    blocks = grid(context, *publish_ratings(context, ratings or made_ratings()), GridSettings(shards=shards))
    folder = context.store.run("run")
    manifest = train_batch(TrainingJob(context, blocks, (1.0, 5.0), settings, folder, streamed))
    place = Path(checkpoint.folder_of(folder))
    last = json.loads((place / f"epoch-{manifest.epochs:05d}.json").read_bytes())
    entries = [
        each for kept in (manifest.content()["shards"], last["current"]) for side in SIDES for each in kept[side]
    ]
    return manifest, {entry["path"]: files.read_bytes(str(place / entry["path"])) for entry in entries}


SIDES = ("users", "items")


def last_rows(context: Context, manifest: Training, shape: tuple[int, int], shards: int) -> list[batch.Rows]:
    """Return the last point as two whole matrices of float64."""
    place = Path(checkpoint.folder_of(context.store.run("run")))
    current = json.loads((place / f"epoch-{manifest.epochs:05d}.json").read_bytes())["current"]
    whole = [np.empty((count, RANK + 1)) for count in shape]
    for rows, side in zip(whole, SIDES, strict=True):
        for shard, entry in enumerate(current[side]):
            rows[shard::shards] = batch.read_rows(str(place / entry["path"]), entry["checksum"], 0)
    return whole


def reference(made: Ratings, settings: TrainSettings, shards: int, manifest: Training) -> list[batch.Rows]:
    """The lecture's rule on whole matrices: U <- U + s (sum of e V - l2 n U), V likewise, from the same old values."""
    kept = ~made.is_validation
    users, items = made.users[kept].astype(np.int64), made.items[kept].astype(np.int64)
    steps = manifest.steps
    data = Observed(users, items, (made.ratings[kept].astype(np.float64) - steps.mean) / steps.deviation)
    whole = []
    for side, rows, count in (("user", users, made.shape[0]), ("item", items, made.shape[1])):
        counts = np.bincount(rows, minlength=count).astype(np.float64)
        start = np.empty((count, RANK + 1))
        for shard in range(shards):
            start[shard::shards] = batch.start_rows(
                counts[shard::shards], ShardStart(RANK, settings.seed, shards), side, shard
            )
        whole.append(start)
    u, v = whole
    moving: list[Any] = [0.0] * 4
    for _ in range(manifest.epochs):
        at = Point(u[:, :-1], v[:, :-1], u[:, -1], v[:, -1])
        slopes = vars(gradients(at, data, steps.l2)).values()
        moving = [slope + settings.batch.momentum * before for slope, before in zip(slopes, moving, strict=True)]
        change_u, change_v, change_b, change_d = (-steps.step / 2 * each for each in moving)
        u = u + np.column_stack([change_u, change_b if settings.biases else np.zeros(len(u))])
        v = v + np.column_stack([change_v, change_d if settings.biases else np.zeros(len(v))])
    return [u, v]


PURE = {"biases": False, "center": False, "l2": 0.0}


@pytest.mark.parametrize(
    ("shards", "momentum", "changes"),
    [(1, 0.0, {}), only_long(2, 0.7, {}), (3, 0.0, PURE), only_long(4, 0.5, {**PURE, "l2": 0.2})],
)
def test_it_is_descent_in_numpy(context: Context, shards: int, momentum: float, changes: dict[str, Any]) -> None:
    made = made_ratings()
    settings = batch_settings(step=0.02, momentum=momentum).model_copy(update={**changes, "stop_on": "nothing"})
    manifest, _ = trained(context, settings, shards, made)
    expected = reference(made, settings, shards, manifest)
    assert manifest.epochs == STEPS
    for found, rows in zip(last_rows(context, manifest, made.shape, shards), expected, strict=True):
        np.testing.assert_allclose(found, rows, rtol=0, atol=1e-10)
    assert abs(manifest.history[-1][0] / manifest.history[0][0] - 1) > 1e-4  # it went somewhere


def test_validation_is_scored_on_what_is_kept(context: Context) -> None:
    made = made_ratings()
    manifest, _ = trained(context, batch_settings(step=0.01), 2, made)
    u, v = (rows.astype(np.float32).astype(np.float64) for rows in reference(made, batch_settings(), 2, manifest))
    held = made.is_validation
    users, items = made.users[held], made.items[held]
    scores = np.einsum("nk,nk->n", u[users, :-1], v[items, :-1]) + u[users, -1] + v[items, -1]
    predicted = np.clip(manifest.steps.mean + manifest.steps.deviation * scores, 1.0, 5.0)
    rmse = float(np.sqrt(np.mean((made.ratings[held] - predicted) ** 2)))
    assert manifest.history[-1][1] == pytest.approx(rmse, rel=1e-5)


SEARCHED = batch_settings(momentum=0.3)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Bits:
    """What one worker with one thread makes, with a line search."""
    with open_client(ClusterSettings(workers=1, threads=1)) as client:
        return trained(
            Context(client, Store(str(tmp_path_factory.mktemp("root"))), lambda event: None, "one"), SEARCHED
        )[1]


def test_two_threads_give_the_same_bits(context: Context, expected: Bits) -> None:
    assert trained(context, SEARCHED)[1] == expected


def test_blocks_read_for_each_look_give_the_same_bits(context: Context, expected: Bits) -> None:
    assert trained(context, SEARCHED, streamed=True)[1] == expected


@pytest.mark.long
def test_two_workers_one_of_them_killed_give_the_same_bits(tmp_path: Path, expected: Bits) -> None:
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        plugin = KillAfter("moved-batch-two-00034-000", client.run(os.getpid))
        assert client.cluster is not None
        client.cluster.scheduler.add_plugin(plugin)
        bits = trained(Context(client, Store(str(tmp_path)), lambda event: None, "two"), SEARCHED)[1]
        lost = plugin.lost
    assert lost == 1
    assert bits == expected


def test_an_interrupted_run_goes_on_to_the_same_bits(client: Client, tmp_path: Path, expected: Bits) -> None:
    """Stopped in step 5 with a checkpoint at 3: steps 4 to 8 are taken, none before."""

    def stop_at_five(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 5:
            raise KeyboardInterrupt

    resumed = Heard(None)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        trained(Context(client, Store(str(tmp_path)), stop_at_five, "stopped"), SEARCHED)
    resumed.context = Context(client, Store(str(tmp_path)), resumed.events.append, "resumed")
    assert trained(resumed.context, SEARCHED)[1] == expected
    assert [event.epoch for event in resumed.events if isinstance(event, EpochFinished)] == list(range(4, STEPS + 1))
    assert Noticed("resuming after step 3") in resumed.events


def test_a_finished_run_is_not_run_again(heard: Heard) -> None:
    first = trained(heard.context, SEARCHED)
    heard.events.clear()
    assert trained(heard.context, SEARCHED) == first
    assert not any(isinstance(event, EpochFinished) for event in heard.events)


@pytest.mark.long
def test_validation_stops_it_and_the_best_step_is_kept(context: Context) -> None:
    """Made ratings without L2 are soon learnt by heart, so validation turns around."""
    settings = batch_settings(steps=200, patience=5, checkpoint_steps=4).model_copy(update={"l2": 0.0, "rank": RANK})
    manifest, bits = trained(context, settings, 3)
    rmses = [stopping for _, stopping in manifest.history]
    assert manifest.reason == "validation stopped improving"
    assert manifest.epochs == manifest.best_epoch + 5 < 200
    assert rmses[manifest.best_epoch - 1] == min(rmses)
    kept = {entry.path.split("/")[0] for side in SIDES for entry in manifest.shards[side]}
    assert kept == {f"shards-{manifest.best_epoch:05d}"}
    assert all(any(path.startswith(folder) for path in bits) for folder in kept)


@pytest.mark.long
def test_it_says_that_it_has_converged(context: Context) -> None:
    settings = batch_settings(steps=500, tolerance=0.02).model_copy(update={"stop_on": "nothing"})
    manifest, _ = trained(context, settings, 1)
    assert manifest.reason.startswith("converged")
    assert manifest.epochs < 500


def test_a_step_that_diverges_is_said_in_one_line(context: Context) -> None:
    with pytest.raises(Diverged, match=r"^step \d+: the objective rose from .* train.batch.step = 5; lower it .*$"):
        trained(context, batch_settings(step=5.0))


@pytest.mark.long
def test_rows_without_ratings_stay_zero(context: Context) -> None:
    made = made_ratings(count=300)
    lonely = int(made.users[0])
    made.is_validation[made.users == lonely] = True
    manifest, _ = trained(context, SEARCHED, 3, made)
    users, _ = last_rows(context, manifest, made.shape, 3)
    assert not users[lonely].any()
    assert users.any()
    assert shard_rows(made.shape[0], 3, lonely % 3) > lonely // 3


def test_a_matrix_of_zeros_is_refused_in_one_line(context: Context) -> None:
    made = made_ratings()
    made.ratings[:] = 0.0
    with pytest.raises(BadInput, match=r"^all 817 training ratings equal 0: nothing to learn; .*"):
        trained(context, SEARCHED, 2, made)


@pytest.mark.long
def test_a_whole_run_goes_by_the_setting(tmp_path: Path) -> None:
    small = [
        "synth.fraction=0.02",
        "train.rank=4",
        "train.method=batch",
        "train.batch.steps=8",
        UNGATED,
        f"root={tmp_path}",
    ]
    told: list[Event] = []
    result = run("demo", small, listeners=[told.append])
    (begun,) = (event for event in told if isinstance(event, RunBegan))
    assert (begun.epochs, begun.step, begun.l2) == (8, None, None)
    assert result.rmse is not None
    assert result.rmse < result.evaluation["mean"]["rmse"]
    assert (result.counted, result.epochs) == ("steps", 8)
    console = Console(width=200)
    with console.capture() as captured:
        console.print(result_table(result))
    assert f"rank 4, 8 steps, kept step {result.best_epoch}" in captured.get()
    model = json.loads(Path(result.paths["model"], "model.json").read_bytes())
    assert model["rmse"] == result.rmse
