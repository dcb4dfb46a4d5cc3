"""Training that starts from an earlier model: the same predictions to begin with, the same bits whatever happens.

Covers: tasks/training/warm_rows.py, pipeline/training/warm_start.py, pipeline/datasets/parent.py and what training
makes of them.
Does not cover: validation ratings that the earlier model has seen (test_unseen.py), the gate (test_gate.py), how many
epochs a warm start saves (docs/models-in-use.md has what was measured).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from distributed import Client
from growing_ratings import Root, address_of, lines
from losing_workers import KillAfterPrefix
from sessions import only_long

from bench import daily, daily_training
from funkflow import Model, RunResult
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed, StageFinished
from funkflow.pipeline.root.model_in_use import model_of
from funkflow.pipeline.settings.sections import ClusterSettings, TrainSettings
from funkflow.tasks.dataset.matches import match_by_shard
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.grid.default_rule import WARM_SHRINK, WARM_SQUARES
from funkflow.tasks.grid.factor_shard import ShardStart, initial_shard
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.kernels.vector import BIAS_SQUARES, FACTOR_SQUARES
from funkflow.tasks.model.about import part_files, read_about
from funkflow.tasks.storage import files
from funkflow.tasks.training.early_stopping import Verdict, judge
from funkflow.tasks.training.warm_rows import ModelSide, shrink, warm_rows

DAY_0, DAY_1 = lines(0, 2_500), lines(0, 2_700)
WARM = "train.warm_start=true"


@pytest.fixture(scope="module")
def grown(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[Root, str]:
    """A root with a model of the first day, and the run's id."""
    root = Root(tmp_path_factory.mktemp("grown"), address_of(client))
    return root, str(root.run(DAY_0).run_id)


@pytest.fixture(scope="module")
def warm(grown: tuple[Root, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Root, RunResult, list[Event]]:
    """The same root after a warm run on the second day."""
    root = grown[0].copy(tmp_path_factory.mktemp("warm") / "root")
    events: list[Event] = []
    return root, root.run(DAY_1, WARM, listeners=[events.append]), events


def bits(result: RunResult) -> list[Any]:
    about = read_about(result.paths["model"])
    return [part["checksum"] for side in ("user", "item") for part in about["parts"][side]]


def said(events: list[Event]) -> str:
    return "\n".join(event.message for event in events if isinstance(event, Noticed))


def test_a_warm_run_says_where_it_starts_and_is_no_cold_one(
    warm: tuple[Root, RunResult, list[Event]], grown: tuple[Root, str], tmp_path: Path
) -> None:
    _, result, events = warm
    assert f"training starts from run {grown[1]}, which has" in said(events)
    assert read_about(result.paths["model"])["start"]["model"] == f"runs/{grown[1]}/model"
    cold = Root(tmp_path, grown[0].scheduler).run(DAY_1)
    assert cold.run_id != result.run_id
    assert bits(cold) != bits(result)


def test_two_workers_give_the_same_bits(
    grown: tuple[Root, str], warm: tuple[Root, RunResult, list[Event]], tmp_path: Path, two_workers: Client
) -> None:
    result = grown[0].copy(tmp_path / "two", address_of(two_workers)).run(DAY_1, WARM)
    assert (result.run_id, bits(result)) == (warm[1].run_id, bits(warm[1]))


@pytest.mark.parametrize(
    "doing", [only_long("warm-users-{}-2"), "save-users-{}-0002-0", only_long("hold-back-items-{}-1")]
)
def test_a_killed_worker_changes_no_bit(
    grown: tuple[Root, str], warm: tuple[Root, RunResult, list[Event]], tmp_path: Path, doing: str
) -> None:
    """Killed while the start is made, and while the first checkpoint after it is."""
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        process_ids = client.run(lambda: __import__("os").getpid())
        killer = KillAfterPrefix(doing.split("{}"), process_ids)
        client.register_plugin(killer)
        result = grown[0].copy(tmp_path / "killed", address_of(client)).run(DAY_1, WARM)
        assert client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.plugins["kill-after"].lost) == 1
    assert (result.run_id, bits(result)) == (warm[1].run_id, bits(warm[1]))


def test_an_interrupted_run_goes_on_to_the_same_bits(
    grown: tuple[Root, str], warm: tuple[Root, RunResult, list[Event]], tmp_path: Path
) -> None:
    root = grown[0].copy(tmp_path / "interrupted")

    def interrupt(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        root.run(DAY_1, WARM, "train.patience=8", listeners=[interrupt])
    events: list[Event] = []
    again = root.run(DAY_1, WARM, "train.patience=8", listeners=[events.append])
    assert "resuming after epoch 2" in said(events)
    undisturbed = grown[0].copy(tmp_path / "undisturbed").run(DAY_1, WARM, "train.patience=8")
    assert bits(again) == bits(undisturbed)


def test_the_same_again_is_the_same_run_and_not_one_more_on_top_of_it(
    warm: tuple[Root, RunResult, list[Event]],
) -> None:
    root, result, _ = warm
    events: list[Event] = []
    assert root.run(DAY_1, WARM, listeners=[events.append]).run_id == result.run_id
    assert all(event.reused for event in events if isinstance(event, StageFinished))


def test_a_start_that_nothing_improves_is_kept(grown: tuple[Root, str], tmp_path: Path) -> None:
    """Steps of no length: epoch 0 is the best, its predictions are those of the model that it comes from."""
    root, first = grown
    events: list[Event] = []
    root = root.copy(tmp_path / "kept")
    kept = root.run(DAY_1, WARM, "train.step=1e-30", listeners=[events.append])
    assert (kept.best_epoch, kept.epochs) == (0, 3)
    before, after = Model.load(model_of(str(root.folder / "data"), first)), Model.load(kept.paths["model"])
    users, items, _ = zip(*DAY_0, strict=True)
    np.testing.assert_allclose(after.predict(users, items), before.predict(users, items), atol=2e-6)
    assert len(after.user_ids) > len(before.user_ids)
    assert f"; validation RMSE {kept.rmse:.4f}" in said(events)


def test_a_root_without_a_model_starts_as_ever(grown: tuple[Root, str], tmp_path: Path) -> None:
    events: list[Event] = []
    assert Root(tmp_path, grown[0].scheduler).run(DAY_0, WARM, listeners=[events.append]).run_id == grown[1]
    assert "no model is in use yet" in said(events)


def test_a_model_of_choice_may_be_the_start(
    grown: tuple[Root, str], warm: tuple[Root, RunResult, list[Event]], tmp_path: Path
) -> None:
    """By its folder in another root, or as a run of this one: the content decides, so it is the same run."""
    folder = model_of(str(grown[0].folder / "data"), grown[1])
    elsewhere = Root(tmp_path, grown[0].scheduler).run(DAY_1, WARM, f'train.warm_from="{folder}"')
    here = warm[0].run(DAY_1, WARM, f"train.warm_from={grown[1][:10]!r}")
    assert elsewhere.run_id == here.run_id == warm[1].run_id
    assert bits(elsewhere) == bits(warm[1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([WARM, "train.rank=5"], "train.rank is 5, but 4 in the start model, run .*: set train.rank = 4"),
        (
            [WARM, "train.biases=false"],
            "train.biases is false, but true in the start model, run .*: set train.biases = true",
        ),
        ([WARM, 'ingest.id_type="string"'], "so no row would match"),
        ([WARM, 'train.warm_from="nowhere"'], "neither the folder of a saved model .* nor a run of"),
        (["train.warm_from=nowhere"], "neither the folder of a saved model .* nor a run of"),
    ],
)
def test_what_cannot_be_a_start_is_refused_by_name(
    warm: tuple[Root, RunResult, list[Event]], words: list[str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        warm[0].run(DAY_1, *words)


@pytest.mark.parametrize("method", ["batch", "funk", "lanczos"])
def test_methods_that_start_anew_refuse_it_by_name(method: Any) -> None:
    with pytest.raises(SettingsError, match=f"train.warm_start has no effect with train.method = '{method}'"):
        TrainSettings(method=method, warm_start=True).refuse_idle_settings()


def in_shard(raw: list[int], shard: int, shards: int) -> list[int]:
    """Return raw ids by dense id, of which these are the ones of a shard."""
    others = iter(range(1_000, 2_000))
    return [raw[dense // shards] if dense % shards == shard else next(others) for dense in range(shards * len(raw))]


def test_rows_are_found_by_raw_ids_and_new_ones_start_as_in_a_cold_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = {"user": np.array([5, 3, 9, 7]), "item": np.array([2, 4])}
    factors = {side: rng.normal(size=(len(each), 3)).astype(np.float32) for side, each in ids.items()}
    biases = {side: rng.normal(size=len(each)).astype(np.float32) for side, each in ids.items()}
    model = Model(3.5, None, ids["user"], ids["item"], biases["user"], biases["item"], factors["user"], factors["item"])
    model.save(str(tmp_path))
    steps = StepSizes(mean=3.25, deviation=1.25, l2=0.1, step=0.05, bias_step=0.05)
    raw = {"user": pa.array([7, 1, 5]), "item": pa.array([4, 2])}
    shards, first = {}, {}
    for side, shift in (("user", model.mean - steps.mean), ("item", 0.0)):
        parts = tuple(part_files(str(tmp_path), side, read_about(str(tmp_path))))
        table, match = str(tmp_path / f"{side}s.parquet"), str(tmp_path / f"{side}s.arrow")
        sum_ = files.write_table(table, pa.table({"raw_id": in_shard(raw[side].to_pylist(), 2, 4)}))
        match_by_shard((table, sum_), parts, 4, match)
        of_side = ModelSide(side, parts, (len(ids[side]),), match, shift)
        rows = warm_rows(np.ones(len(raw[side])), of_side, steps, ShardStart(3, 1, 4), 2)
        shards[side], first[side] = rows.shard, shrink(rows, 0.25)
        assert rows.known.tolist() == [each in ids[side] for each in raw[side].to_pylist()]
    users, items = shards["user"], shards["item"]
    cold = initial_shard(np.ones(3, bool), ShardStart(3, 1, 4), "user", 2)
    np.testing.assert_array_equal(users.factors[1], cold.factors[1])
    np.testing.assert_array_equal(users.states[1], cold.states[1])
    scores = users.biases[:, None] + items.biases[None] + users.factors @ items.factors.T
    predicted = model.predict([7, 7, 5, 5], [4, 2, 4, 2], clip=False)
    np.testing.assert_allclose((steps.mean + steps.deviation * scores[[0, 2]]).ravel(), predicted, rtol=1e-5)
    np.testing.assert_allclose(first["user"].factors[[0, 2]], WARM_SHRINK * users.factors[[0, 2]])
    np.testing.assert_array_equal(first["user"].biases, users.biases)
    np.testing.assert_array_equal(first["user"].factors[1], cold.factors[1])
    squares = np.array([[1 + 0.25 * WARM_SQUARES, 1 + WARM_SQUARES], [1.0, 1.0]], np.float32)
    np.testing.assert_array_equal(first["user"].states[:2][:, [FACTOR_SQUARES, BIAS_SQUARES]], squares)


def test_epoch_0_is_one_of_those_the_best_is_chosen_of() -> None:
    """When the best is chosen; the patience is that of the epochs, as the first may well be worse."""
    assert judge([0.9, 0.91, 0.92], 2, 1e-4, start=0.8) == Verdict(0, stop=True)
    assert judge([0.9, 0.85, 0.82], 2, 1e-4, start=0.8) == Verdict(0, stop=False)
    assert judge([0.79], 2, 1e-4, start=0.8) == Verdict(1, stop=False)
    assert judge([0.9], 2, 1e-4) == Verdict(1, stop=False)


def test_the_start_is_made_anew_where_its_checkpoint_is_damaged(
    grown: tuple[Root, str], warm: tuple[Root, RunResult, list[Event]], tmp_path: Path
) -> None:
    """Not a cold start under the name of a warm one."""
    root = grown[0].copy(tmp_path / "damaged")

    def interrupt(event: Event) -> None:
        if isinstance(event, EpochFinished):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        root.run(DAY_1, WARM, listeners=[interrupt])
    folder = root.folder / "data" / "runs" / str(warm[1].run_id) / "checkpoints"
    shard = folder / "shards-00000" / "user-00001.npy"
    shard.write_bytes(shard.read_bytes()[:-4])
    assert files.names(str(folder)) == ["epoch-00000.json", "shards-00000", "shards-00000-held-back"]
    assert bits(root.run(DAY_1, WARM)) == bits(warm[1])


@pytest.mark.long
def test_the_experiment_goes_through_its_days(tmp_path: Path) -> None:
    """One day, which has nothing to start from, so both runs are cold and come to the same."""
    text = "".join(f"{row % 70}::{row // 70}::{1 + row % 5}::{row}\n" for row in range(3000))
    (tmp_path / "ratings.dat").write_text(text)
    days = daily.cut_by_time(tmp_path / "ratings.dat", tmp_path / "days", later=1)
    (day,) = daily_training.go_through(days[:1], tmp_path, ["train.epochs=2", "train.rank=4"])
    assert (day.cold_epochs, day.warm_epochs) == (2, 2)
    assert day.cold_rmse == day.warm_rmse
    assert day.warm_epochs_to_cold in (1, 2)
    assert daily_training.table([day]).row_count == 1
