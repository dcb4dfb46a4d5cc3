"""Alternating row solves on a cluster: conjugate gradients in NumPy, the SVD, and one result whatever the workers are.

Covers: the loop (pipeline/training/methods/als.py) and its graphs for many items
(pipeline/training/methods/als_graph.py) and for few (pipeline/training/methods/als_all_items_graph.py): the whole
method against whole matrices, workers, threads, faults, resuming, stopping, the number of tasks, settings that cannot
go together.
Does not cover: the tasks (tests/unit/test_als.py), how good it gets (test_quality.py).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import Heard, Ratings, made_ratings, publish_ratings
from dense_als import Dense
from distributed import Client
from distributed.diagnostics.task_stream import get_task_stream
from losing_workers import KillAfter
from pydantic import ValidationError
from sessions import only_long
from ungated import UNGATED

from funkflow import Model, run
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings, GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods import als_all_items_graph, als_graph
from funkflow.pipeline.training.methods.als import objective_of, train_als
from funkflow.pipeline.training.methods.batch import train_batch
from funkflow.tasks.grid import layout, solved_rows
from funkflow.tasks.grid.factor_shard import ShardStart, read_shard
from funkflow.tasks.storage import files, npy

RANK, EPOCHS, SHARDS = 4, 5, 3
SCALE = (1.0, 5.0)
SIDES = ("users", "items")
Bits = dict[str, bytes]
Matrix = npt.NDArray[np.float64]


def als_settings(alpha: float = 0.0, **others: Any) -> TrainSettings:
    chosen = {"method": "als", "rank": RANK, "seed": 3, "epochs": EPOCHS, "patience": EPOCHS, "checkpoint_epochs": 2}
    pulled = 0.6 if 0 < alpha < 1 else None
    return TrainSettings.model_validate({**chosen, "als": {"alpha": alpha, "toward_mean": pulled}, **others})


def trained(
    context: Context, settings: TrainSettings, shards: int = SHARDS, ratings: Ratings | None = None,
    streamed: bool = False,
) -> tuple[Training, Bits]:  # fmt: skip
    """Train; return the manifest, and every kept shard and the last rows as bytes."""
    blocks = grid(context, *publish_ratings(context, ratings or made_ratings()), GridSettings(shards=shards))
    folder = context.store.run("run")
    manifest = train_als(TrainingJob(context, blocks, SCALE, settings, folder, streamed))
    place = Path(checkpoint.folder_of(folder))
    last = files.read_json(str(place / f"epoch-{manifest.epochs:05d}.json"))["current"]
    paths = [entry.path for side in SIDES for entry in manifest.shards[side]]
    paths += [entry["path"] for side in SIDES for entry in last[side]]
    return manifest, {path: files.read_bytes(str(place / path)) for path in paths}


def last_rows(context: Context, manifest: Training, shape: tuple[int, int], shards: int) -> list[Matrix]:
    """Return the last rows as two whole matrices."""
    place = Path(checkpoint.folder_of(context.store.run("run")))
    current = files.read_json(str(place / f"epoch-{manifest.epochs:05d}.json"))["current"]
    whole = []
    for count, side in zip(shape, SIDES, strict=True):
        parts = [npy.read_array(str(place / entry["path"])) for entry in current[side]]
        rows = np.empty((count, parts[0].shape[1]))
        for shard, part in enumerate(parts):
            rows[shard::shards] = part
        whole.append(rows)
    return whole


def reference(made: Ratings, settings: TrainSettings, shards: int, context: Context) -> tuple[list[Matrix], Dense]:
    """Epochs on whole matrices, from the same initial rows."""
    blocks = grid(context, *publish_ratings(context, made), GridSettings(shards=shards))
    objective = objective_of(blocks, SCALE, settings)
    kept = ~made.is_validation
    targets = np.full(made.shape, np.nan)
    scaled = (made.ratings[kept].astype(np.float64) - objective.scaling.mean) / objective.scaling.deviation
    targets[made.users[kept], made.items[kept]] = scaled
    dense = Dense(targets, objective.alpha, objective.l2, toward_mean=objective.toward_mean)
    whole = []
    for side, count, axis in (("user", made.shape[0], 1), ("item", made.shape[1], 0)):
        counts = np.sum(~np.isnan(targets), axis=axis).astype(np.float64)
        parts = [
            solved_rows.start_rows(
                counts[shard::shards], ShardStart(RANK, settings.seed, shards), side, shard, "f8", objective.biases
            )
            for shard in range(shards)
        ]
        rows = np.empty((count, parts[0].shape[1]))
        for shard, part in enumerate(parts):
            rows[shard::shards] = part
        whole.append(rows)
    left, right = whole
    for _ in range(settings.epochs):
        dense = dense.pulled(left)
        left = dense.solved(left, right, settings.als.steps, RANK + 1 if objective.biases else None)
        right = dense.transposed.solved(right, left, settings.als.steps, RANK if objective.biases else None)
    return [left, right], dense


@pytest.fixture
def in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(als_graph, "NUMBER", "f8")


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize(
    ("shards", "alpha", "changes"),
    [
        (1, 0.0, {}),
        (3, 0.0, {"biases": False, "center": False, "l2": 0.02}),
        (2, 0.3, {}),
        (2, 0.3, {"als": {"alpha": 0.3}}),
        (3, 1.0, {"l2": 0.0, "als": {"alpha": 1.0, "steps": 2}}),
    ],
)
def test_it_is_conjugate_gradients_in_numpy(
    context: Context, shards: int, alpha: float, changes: dict[str, Any]
) -> None:
    made = made_ratings()
    settings = als_settings(alpha, **{"stop_on": "nothing", **changes})
    manifest, _ = trained(context, settings, shards, made)
    expected, _ = reference(made, settings, shards, context)
    assert manifest.epochs == EPOCHS
    for found, rows in zip(last_rows(context, manifest, made.shape, shards), expected, strict=True):
        np.testing.assert_allclose(found, rows, rtol=0, atol=1e-10)


@pytest.mark.usefixtures("in_double")
def test_with_a_weight_of_1_it_is_the_svd_of_the_matrix_with_zeros(context: Context) -> None:
    """To 1e-6 of the matrix's norm, where the next singular value is at most 0.9 of the last that is kept."""
    made = made_ratings(users=60, items=20, count=700, rank=2, seed=4)
    made.is_validation[:] = False
    chosen = {"als": {"alpha": 1.0, "tolerance": 1e-9}, "l2": 0.0, "stop_on": "nothing"}
    settings = als_settings(1.0, rank=2, epochs=200, patience=200, checkpoint_epochs=100, **chosen)
    manifest, _ = trained(context, settings, 2, made)
    _, dense = reference(made, settings.model_copy(update={"epochs": 0, "rank": RANK}), 2, context)
    left, values, right = np.linalg.svd(dense.zero_filled)
    assert values[2] <= 0.9 * values[1]
    users, items = last_rows(context, manifest, made.shape, 2)
    best = (left[:, :2] * values[:2]) @ right[:2]
    assert np.linalg.norm(users @ items.T - best) <= 1e-6 * np.linalg.norm(dense.zero_filled)


@pytest.mark.long
@pytest.mark.usefixtures("in_double")
def test_the_gradient_vanishes_and_the_objective_ends_where_batch_descent_does(context: Context) -> None:
    made, pure = made_ratings(), {"biases": False, "center": True, "l2": 0.1, "stop_on": "nothing"}
    settings = als_settings(0.0, rank=2, epochs=2000, patience=2000, checkpoint_epochs=1000, **pure)
    manifest, _ = trained(context, settings, 2, made)
    assert manifest.reason == "the gradient vanished"
    _, dense = reference(made, settings.model_copy(update={"epochs": 0, "rank": RANK}), 2, context)
    found = dense.objective(*last_rows(context, manifest, made.shape, 2))
    blocks = grid(context, *publish_ratings(context, made), GridSettings(shards=2))
    chosen = TrainSettings.model_validate({"method": "batch", "rank": 2, "seed": 3, "batch": {"steps": 2000}, **pure})
    folder = context.store.run("batch")
    descended = train_batch(TrainingJob(context, blocks, SCALE, chosen, folder))
    sides = []
    for side, count in zip(SIDES, made.shape, strict=True):
        rows = np.empty((count, 2))
        for shard, entry in enumerate(descended.shards[side]):
            rows[shard::2] = read_shard(f"{checkpoint.folder_of(folder)}/{entry.path}", entry.checksum, 2).factors
        sides.append(rows)
    assert found <= 1.01 * dense.objective(*sides)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Bits]:
    """What one worker with one thread makes, of ratings and of a ranking."""
    with open_client(ClusterSettings(workers=1, threads=1)) as client:
        return {
            alpha: trained(
                Context(client, Store(str(tmp_path_factory.mktemp("root"))), lambda event: None, f"one-{alpha}"),
                als_settings(alpha),
            )[1]
            for alpha in (0.0, 0.3)
        }


@pytest.fixture
def many_items(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The graph for many items, where the parameter says so."""
    if request.param:
        monkeypatch.setattr(layout, "FEW_ITEMS_BYTES", 0)


@pytest.mark.usefixtures("many_items")
@pytest.mark.parametrize("many_items", [False, True], indirect=True, ids=["few items", "many items"])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_two_threads_streamed_blocks_and_both_graphs_give_the_same_bits(
    context: Context, expected: dict[float, Bits], alpha: float
) -> None:
    assert trained(context, als_settings(alpha), streamed=alpha > 0)[1] == expected[alpha]


def test_a_row_of_few_items_is_a_task_and_no_block_is(context: Context) -> None:
    """P users, in 2 passes P parts and an advance, what was seen, and P scores."""
    with get_task_stream(context.client) as stream:
        trained(context, als_settings())
    of_third = [task["key"] for task in stream.data if f"{context.attempt}-0003" in task["key"]]
    assert len(of_third) == SHARDS + 2 * (SHARDS + 1) + 1 + SHARDS, of_third


def test_training_ends_in_the_epoch_that_decides_though_the_next_one_is_submitted(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = als_settings(0.3, als={"alpha": 0.3, "tolerance": 0.3}, epochs=20, patience=20, checkpoint_epochs=20)
    manifest, _ = trained(context, settings)
    monkeypatch.setattr(als_all_items_graph.AllItemSolves, "in_flight", 1)
    one_at_a_time, _ = trained(Context(context.client, context.store, lambda event: None, "one-at-a-time"), settings)
    assert manifest.reason == one_at_a_time.reason == "the gradient vanished"
    assert manifest.history == one_at_a_time.history


@pytest.mark.usefixtures("many_items")
@pytest.mark.parametrize(
    ("many_items", "victim"),
    [
        only_long(False, "solve-users-two-0004-001"),
        (False, "solve-items-two-0003-01"),
        (True, "solve-items-two-0003-01-001"),
    ],
    indirect=["many_items"],
)
def test_two_workers_one_of_them_killed_give_the_same_bits(
    tmp_path: Path, expected: dict[float, Bits], victim: str
) -> None:
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        plugin = KillAfter(victim, client.run(os.getpid))
        assert client.cluster is not None
        client.cluster.scheduler.add_plugin(plugin)
        bits = trained(Context(client, Store(str(tmp_path)), lambda event: None, "two"), als_settings(0.3))[1]
        lost = plugin.lost
    assert lost == 1
    assert bits == expected[0.3]


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_an_interrupted_run_goes_on_to_the_same_bits(
    client: Client, tmp_path: Path, expected: dict[float, Bits], alpha: float
) -> None:
    """Stopped in epoch 3 with a checkpoint at 2: epochs 3 to 5 run again, none before."""

    def stop_at_three(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(Context(client, Store(str(tmp_path)), stop_at_three, f"stopped-{alpha}"), als_settings(alpha))
    resumed = Heard(None)  # type: ignore[arg-type]
    resumed.context = Context(client, Store(str(tmp_path)), resumed.events.append, f"resumed-{alpha}")
    assert trained(resumed.context, als_settings(alpha))[1] == expected[alpha]
    assert [event.epoch for event in resumed.events if isinstance(event, EpochFinished)] == [3, 4, 5]
    assert Noticed("resuming after epoch 2") in resumed.events


@pytest.mark.long
def test_validation_stops_it_and_the_best_epoch_is_kept(context: Context) -> None:
    manifest, bits = trained(context, als_settings(epochs=60, patience=None, checkpoint_epochs=4))
    rmses = [stopping for _, stopping in manifest.history]
    assert manifest.reason == "validation stopped improving"
    assert manifest.epochs < 60
    assert rmses[manifest.best_epoch - 1] == min(rmse for rmse in rmses if rmse)
    assert {path.split("/")[0] for path in bits if "rows" not in path} == {f"shards-{manifest.best_epoch:05d}"}


def test_what_cannot_go_together_is_refused_in_one_line() -> None:
    with pytest.raises(ValidationError, match=r"leaves no room for train\.biases = true: leave it out"):
        als_settings(0.5, biases=True)
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        als_settings(1.5)


@pytest.mark.long
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_a_whole_run_goes_by_the_setting(tmp_path: Path, alpha: float) -> None:
    small = ["synth.fraction=0.02", "train.rank=4", "train.method=als", "train.epochs=8", UNGATED, f"root={tmp_path}"]
    result = run("demo", [*small, f"train.als.alpha={alpha}", "gate.beats_most_rated=false"])
    assert result.counted == "epochs"
    assert result.rmse is not None
    if not alpha:
        assert result.rmse < result.evaluation["mean"]["rmse"]
    model = Model.load(result.paths["model"])
    assert bool(np.any(model.user_biases)) == (not alpha)
