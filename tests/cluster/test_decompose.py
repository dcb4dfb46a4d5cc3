"""The standard methods in the place of training: on a grid, on workers, as a model.

Covers: pipeline/training/methods/standard_svd.py and pipeline/training/methods/sparse_operator.py against the SVD of
the dense matrix with zeros, the same bits on any workers, and errors for methods and settings that do not fit.
Does not cover: the methods on matrices of other kinds (test_standard_svd.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Heard, Ratings, made_ratings, publish_ratings
from distributed import Client
from sessions import only_long
from ungated import UNGATED

from funkflow import run
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import Noticed, StageFinished
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.sections import GridSettings, Settings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.standard_svd import decompose
from funkflow.tasks.errors import NotConverged, SettingsError
from funkflow.tasks.grid.bias_baseline import ITEM_DAMPING, USER_DAMPING
from funkflow.tasks.grid.factor_shard import read_shard
from funkflow.tasks.model.model import Model
from funkflow.tasks.storage import files

SHARDS = 4
STANDARD = [method.name for method in METHODS.values() if method.missing_as_zero]
FIRST_SHORT = [STANDARD[0], *(only_long(method) for method in STANDARD[1:])]
RANK = {"power": 2, "lanczos": 5, "arnoldi": 5, "randomized": 5}
"""Each iteration of the power method waits for the cluster some 15 ms, so it has less to do."""
TOLERANCE = {"randomized": 1e-3}
"""Of singular values, relative to the greatest: 1e-6 of the methods that iterate until they are there. The randomised
one goes through the matrix a fixed number of times, and the spectrum here falls slowly."""
NO_BASELINE = {"biases": False, "center": False}


def settings_for(method: str, **more: Any) -> TrainSettings:
    return TrainSettings.model_validate({"method": method, "rank": RANK[method], "seed": 3, **more})


def decomposed(context: Context, settings: TrainSettings, streamed: bool = False) -> tuple[Training, list[bytes]]:
    """Decompose made ratings; return the manifest and every shard as bytes."""
    dataset, split = publish_ratings(context, made_ratings())
    blocks = grid(context, dataset, split, GridSettings(shards=SHARDS))
    folder = context.store.run("run")
    manifest = decompose(TrainingJob(context, blocks, (1.0, 5.0), settings, folder, streamed))
    entries = [entry for side in ("users", "items") for entry in manifest.shards[side]]
    return manifest, [files.read_bytes(files.join(checkpoint.folder_of(folder), entry.path)) for entry in entries]


def baseline_and_rest(made: Ratings, removed: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The baseline at every cell, and the dense matrix of training ratings less it, with zeros elsewhere."""
    known = ~made.is_validation
    users, items, ratings = made.users[known], made.items[known], made.ratings[known].astype(np.float64)
    baseline = np.zeros(made.shape)
    if removed:
        mean = ratings.mean()
        counts = [np.bincount(rows, minlength=size) for rows, size in zip((users, items), made.shape, strict=True)]
        item_biases = np.bincount(items, ratings - mean, made.shape[1]) / (ITEM_DAMPING + counts[1])
        rest = ratings - mean - item_biases[items]
        user_biases = np.bincount(users, rest, made.shape[0]) / (USER_DAMPING + counts[0])
        baseline = mean + user_biases[:, None] + item_biases
    dense = np.zeros(made.shape)
    dense[users, items] = ratings - baseline[users, items]
    return baseline, dense


def predictions_of(manifest: Training, folder: str) -> np.ndarray[Any, Any]:
    """What the written shards predict for every cell, in rating units, not clipped."""
    steps, sides, rank = manifest.steps, [], RANK[manifest.method]
    for side in ("users", "items"):
        entries = manifest.shards[side]
        shards = [
            read_shard(files.join(checkpoint.folder_of(folder), each.path), each.checksum, rank) for each in entries
        ]
        count = sum(len(shard.factors) for shard in shards)
        factors, biases = np.empty((count, rank)), np.empty(count)
        for number, shard in enumerate(shards):
            factors[number::SHARDS], biases[number::SHARDS] = shard.factors, shard.biases
        sides.append((factors, biases))
    (left, of_users), (right, of_items) = sides
    return np.asarray(steps.mean + steps.deviation * (left @ right.T + of_users[:, None] + of_items))


@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize("method", STANDARD)
def test_it_is_the_svd_of_the_matrix_with_zeros(context: Context, method: str, removed: bool) -> None:
    manifest, _ = decomposed(context, settings_for(method, **({} if removed else NO_BASELINE)))
    made, rank, tolerance = made_ratings(), RANK[method], TOLERANCE.get(method, 1e-6)
    baseline, dense = baseline_and_rest(made, removed)
    left, values, right = np.linalg.svd(dense)
    assert np.abs(manifest.singular_values - values[:rank]).max() <= tolerance * values[0]
    assert manifest.norm == pytest.approx(np.linalg.norm(dense), rel=1e-6)
    predicted = predictions_of(manifest, context.store.run("run"))
    best = baseline + (left[:, :rank] * values[:rank]) @ right[:rank]
    if method != "randomized":
        assert np.abs(predicted - best).max() < 1e-3
    errors = made.ratings.astype(np.float64) - predicted[made.users, made.items]
    ((training, stopping),) = manifest.history
    assert training == pytest.approx(np.sqrt(np.mean(errors[~made.is_validation] ** 2)), rel=1e-4)
    clipped = np.clip(predicted[made.users, made.items], 1.0, 5.0) - made.ratings
    assert stopping == pytest.approx(np.sqrt(np.mean(clipped[made.is_validation] ** 2)), rel=1e-4)


@pytest.mark.parametrize("method", FIRST_SHORT)
def test_workers_threads_and_streaming_change_no_bit(
    context: Context, tmp_path: Path, two_workers: Client, method: str
) -> None:
    settings = settings_for(method, **({"iterations": 10} if method == "power" else {}))
    here = decomposed(context, settings)[1]
    there = Context(two_workers, Store(str(tmp_path / "there")), lambda event: None, f"two-{method}")
    streamed = Context(two_workers, Store(str(tmp_path / "streamed")), lambda event: None, f"streamed-{method}")
    assert decomposed(there, settings)[1] == here
    assert decomposed(streamed, settings, streamed=True)[1] == here


def test_a_finished_decomposition_is_not_repeated(heard: Heard) -> None:
    first = decomposed(heard.context, settings_for("lanczos"))
    heard.events.clear()
    assert decomposed(heard.context, settings_for("lanczos")) == first
    assert [event.reused for event in heard.events if isinstance(event, StageFinished)][-1]


def test_a_rank_that_cannot_be_found_is_one_line(context: Context) -> None:
    with pytest.raises(SettingsError, match=r"train.rank = 40: lanczos finds at most 39 .* 60 x 40; lower train.rank"):
        decomposed(context, settings_for("lanczos", rank=40))


def test_what_does_not_converge_leaves_nothing(context: Context) -> None:
    with pytest.raises(NotConverged, match="of 5 singular values converged to 1e-15 within 1 restarts"):
        decomposed(context, settings_for("lanczos", iterations=1, tolerance=1e-15))
    assert not files.exists(files.join(context.store.run("run"), "training", "manifest.json"))


def test_a_limit_reached_is_a_warning(heard: Heard) -> None:
    decomposed(heard.context, settings_for("power", iterations=1))
    warnings = [event.message for event in heard.events if isinstance(event, Noticed) and event.warning]
    assert len(warnings) == 1
    assert "train.method = power: 2 of 2 eigenvectors reached the limit of 1 iterations" in warnings[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"method": "lanczos", "l2": 0.1}, "train.l2 has no effect with train.method = 'lanczos'; leave it out"),
        ({"method": "power", "epochs": 5}, "train.epochs has no effect with train.method = 'power'"),
        (
            {"method": "randomized", "tolerance": 0.1},
            "train.tolerance has no effect with train.method = 'randomized'",
        ),
        ({"method": "sgd", "iterations": 5}, "train.iterations has no effect with train.method = 'sgd'"),
        (
            {"method": "arnoldi", "center": False},
            "removes mean and biases together, or neither: set train.biases = fal",
        ),
    ],
)
def test_a_setting_without_effect_is_refused(tmp_path: Path, words: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        run({"root": str(tmp_path), "train": words})
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_every_method_of_the_table_is_a_setting() -> None:
    assert set(METHODS) == set(Settings.model_json_schema()["$defs"]["TrainSettings"]["properties"]["method"]["enum"])


@pytest.mark.long
def test_a_whole_run_ends_in_a_model_that_predicts(tmp_path: Path) -> None:
    result = run("demo", ["synth.fraction=0.02", "train.rank=4", "train.method=lanczos", UNGATED, f"root={tmp_path}"])
    about = Model.load(result.paths["model"]).about
    assert (result.counted, result.epoch_chosen_on) == ("products", None)
    assert about["settings"]["train"]["method"] == "lanczos"
    assert result.rmse is not None
    assert result.rmse < result.evaluation["biases"]["rmse"] < result.evaluation["mean"]["rmse"]
