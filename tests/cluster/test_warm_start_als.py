"""Row solves that start from an earlier model, for ratings and for a ranking: the same bits whatever happens.

Covers: pipeline/training/methods/als.py with RowStartWriter (pipeline/training/warm_start.py), write_start_rows
(tasks/training/warm_rows.py), and the refusal of a model for something else (pipeline/models/start_model.py).
Does not cover: stochastic descent from a model, and the rows that the model has (test_warm_start.py); how many epochs
it saves (docs/models-in-use.md has what was measured).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from growing_ratings import Root, address_of, lines
from losing_workers import KillAfterPrefix
from sessions import only_long

from funkflow import Model, RunResult, run
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed, StageFinished
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.model_in_use import model_of, read_current
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.grid.factor_shard import ShardStart, initial_shard
from funkflow.tasks.model.about import read_about
from funkflow.tasks.storage import npy
from funkflow.tasks.training.warm_rows import WarmRows, write_start_rows

DAY_0, DAY_1 = lines(0, 2_500), lines(0, 2_700)
WARM = "train.warm_start=true"
GOALS = {
    "ratings": ("train.method=als",),
    "ranking": ("train.goal=ranking", "ranking.count=5", "gate.beats_most_rated=false"),
}
SAME_BITS = [only_long("ratings"), "ranking"]


@pytest.fixture(scope="module")
def grown(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[Root, dict[str, str]]:
    """A root with a model of the first day for each goal, that for ratings promoted last, and the ids of the runs."""
    root = Root(tmp_path_factory.mktemp("grown"), address_of(client))
    return root, {goal: str(root.run(DAY_0, *GOALS[goal]).run_id) for goal in ("ranking", "ratings")}


@pytest.fixture(scope="module")
def warm(
    grown: tuple[Root, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[RunResult, list[Event]]]:
    """Warm runs on the second day, for each goal, under roots of their own."""
    made = {}
    for goal, words in GOALS.items():
        events: list[Event] = []
        root = grown[0].copy(tmp_path_factory.mktemp("warm") / "root")
        made[goal] = root.run(DAY_1, WARM, *words, listeners=[events.append]), events
    return made


def bits(result: RunResult) -> list[Any]:
    about = read_about(result.paths["model"])
    return [part["checksum"] for side in ("user", "item") for part in about["parts"][side]]


def training_of(run_folder: str) -> Training:
    found = Training.published(f"{run_folder}/training")
    assert found is not None
    return found


def said(events: list[Event]) -> str:
    return "\n".join(event.message for event in events if isinstance(event, Noticed))


@pytest.mark.parametrize("goal", GOALS)
def test_it_starts_from_the_model_in_use_for_its_goal(
    grown: tuple[Root, dict[str, str]], warm: dict[str, tuple[RunResult, list[Event]]], goal: str
) -> None:
    root, first = grown
    now = read_current(str(root.folder / "data"))
    assert now is not None
    assert now.run_id == first["ratings"]
    result, events = warm[goal]
    assert f"training starts from run {first[goal]}, which has" in said(events)
    assert f"; validation {'RMSE' if goal == 'ratings' else 'NDCG@5'} " in said(events)
    assert read_about(result.paths["model"])["start"]["model"] == f"runs/{first[goal]}/model"


@pytest.mark.parametrize("goal", GOALS)
def test_the_first_epoch_solves_new_rows_too_and_gets_where_a_cold_run_needs_more(
    grown: tuple[Root, dict[str, str]], tmp_path: Path, goal: str
) -> None:
    """By the loss on training ratings, which both goals have; rows of new users and items are among them."""
    first: dict[str, float] = {}
    for name, words in (("warm", [WARM]), ("cold", [])):
        events: list[Event] = []
        root = grown[0].copy(tmp_path / name)
        result = root.run(DAY_1, *words, *GOALS[goal], "train.epochs=1", listeners=[events.append])
        first[name] = next(event.training_rmse for event in events if isinstance(event, EpochFinished))
        old = Model.load(model_of(str(root.folder / "data"), grown[1][goal]))
        new = Model.load(result.paths["model"])
        assert len(new.user_ids) > len(old.user_ids)
        fresh = ~np.isin(new.user_ids, old.user_ids)
        assert np.all(np.linalg.norm(new.user_factors[fresh], axis=1) > 1e-3)
    assert first["warm"] < 0.97 * first["cold"]


@pytest.mark.parametrize("goal", SAME_BITS)
def test_two_workers_give_the_same_bits(
    grown: tuple[Root, dict[str, str]], warm: dict[str, tuple[RunResult, list[Event]]], tmp_path: Path,
    two_workers: Client, goal: str,
) -> None:  # fmt: skip
    result = grown[0].copy(tmp_path / "two", address_of(two_workers)).run(DAY_1, WARM, *GOALS[goal])
    assert (result.run_id, bits(result)) == (warm[goal][0].run_id, bits(warm[goal][0]))


@pytest.mark.parametrize("doing", ["hold-back-items-{}-1", only_long("save-rows-users-{}-1")])
def test_a_killed_worker_changes_no_bit(
    grown: tuple[Root, dict[str, str]], warm: dict[str, tuple[RunResult, list[Event]]], tmp_path: Path, doing: str
) -> None:
    """Killed while the start is made, and while the first checkpoint after it is."""
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        killer = KillAfterPrefix(doing.split("{}"), client.run(os.getpid))
        client.register_plugin(killer)
        result = grown[0].copy(tmp_path / "killed", address_of(client)).run(DAY_1, WARM, *GOALS["ratings"])
        assert client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.plugins["kill-after"].lost) == 1
    assert (result.run_id, bits(result)) == (warm["ratings"][0].run_id, bits(warm["ratings"][0]))


@pytest.mark.parametrize("goal", SAME_BITS)
@pytest.mark.parametrize("epoch", [1, 3])
def test_an_interrupted_run_goes_on_to_the_same_bits(
    grown: tuple[Root, dict[str, str]], warm: dict[str, tuple[RunResult, list[Event]]], tmp_path: Path, goal: str,
    epoch: int,
) -> None:  # fmt: skip
    """From the start's own checkpoint, and from that of epoch 2."""
    root = grown[0].copy(tmp_path / "interrupted")

    def interrupt(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        root.run(DAY_1, WARM, *GOALS[goal], listeners=[interrupt])
    events: list[Event] = []
    again = root.run(DAY_1, WARM, *GOALS[goal], listeners=[events.append])
    assert ("resuming after epoch 2" in said(events)) == (epoch == 3)
    assert "training starts from" not in said(events)
    assert bits(again) == bits(warm[goal][0])


def test_a_start_that_nothing_improves_is_kept(grown: tuple[Root, dict[str, str]], tmp_path: Path) -> None:
    """An L2 term that leaves next to nothing: epoch 0 is the best, and predicts what the model does."""
    events: list[Event] = []
    root = grown[0].copy(tmp_path / "kept")
    kept = root.run(DAY_1, WARM, *GOALS["ratings"], "train.l2=1e6", listeners=[events.append])
    assert kept.best_epoch == 0
    before = Model.load(model_of(str(root.folder / "data"), grown[1]["ratings"]))
    after = Model.load(kept.paths["model"])
    users, items, _ = zip(*DAY_0, strict=True)
    np.testing.assert_allclose(after.predict(users, items), before.predict(users, items), atol=2e-6)
    assert f"; validation RMSE {kept.rmse:.4f}" in said(events)


def test_a_ranking_that_nothing_improves_is_kept(grown: tuple[Root, dict[str, str]], tmp_path: Path) -> None:
    """On the ratings that the start model was trained on: its NDCG is what it was, and an L2 term spoils all epochs.

    With terms far above 10 all scores are rounding, whose order depends on the machine.
    """
    events: list[Event] = []
    root = grown[0].copy(tmp_path / "kept")
    first = model_of(str(root.folder / "data"), grown[1]["ranking"])
    chosen = root.settings(DAY_0, WARM, *GOALS["ranking"], "train.l2=10", "train.patience=2")
    kept = run(chosen, listeners=[events.append])
    before, after = training_of(first.removesuffix("/model")), training_of(kept.paths["run"])
    assert before.ranked is not None
    assert after.ranked is not None
    assert after.start is not None
    assert (kept.best_epoch, after.ranked.users) == (0, before.ranked.users)
    assert after.start == pytest.approx(before.ranked.ndcg[before.best_epoch - 1], abs=1e-6)
    assert max(after.ranked.ndcg) < after.start
    assert f"; validation NDCG@5 {after.start:.4f}" in said(events)
    summaries = "\n".join(event.summary for event in events if isinstance(event, StageFinished))
    assert f"best 0, validation NDCG@5 {after.start:.4f}" in summaries
    np.testing.assert_allclose(Model.load(kept.paths["model"]).user_factors, Model.load(first).user_factors, atol=1e-6)
    report = Path(kept.paths["report"]).read_text(encoding="utf-8")
    assert "Kept the start model: " in report
    assert f"start model {after.start:.4f}" in report


@pytest.mark.parametrize(
    ("of", "words", "message"),
    [
        (
            "ratings",
            GOALS["ranking"],
            "train.goal = ranking, but the start model, run .*, was trained for ratings: set train.goal to",
        ),
        (
            "ranking",
            GOALS["ratings"],
            "train.goal = ratings, but the start model, run .*, was trained for a ranking: .* name another",
        ),
        ("ranking", (*GOALS["ranking"], "train.method=sgd"), "did count missing cells as 0, and this one does not"),
    ],
)
def test_a_model_for_something_else_is_refused(
    grown: tuple[Root, dict[str, str]], of: str, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        grown[0].run(DAY_1, *words, f"train.warm_from={grown[1][of]!r}")
    assert "\n" not in str(refused.value)


def test_a_model_of_ratings_is_no_start_for_likes(grown: tuple[Root, dict[str, str]], tmp_path: Path) -> None:
    root, first = grown
    folder = model_of(str(root.folder / "data"), first["ranking"])
    likes = Root(tmp_path, root.scheduler)
    words = [*GOALS["ranking"], 'ingest.columns.rating="none"']
    with pytest.raises(SettingsError, match="was trained on ratings, and these are counts or likes"):
        likes.run(DAY_1, *words, f'train.warm_from="{folder}"')
    one = likes.run(DAY_0, *words, "train.epochs=2")
    events: list[Event] = []
    likes.run(DAY_1, *words, "train.epochs=2", WARM, listeners=[events.append])
    assert f"training starts from run {one.run_id}" in said(events)


def test_rows_of_the_model_are_shrunk_and_new_ones_start_as_in_a_cold_run(tmp_path: Path) -> None:
    shard = initial_shard(np.ones(3, bool), ShardStart(2, 1, 1), "user", 0)
    shard.states[:, 0] = [0.5, 0.0, -1.0]
    cold = shard.factors.copy()
    rows = WarmRows(shard, np.array([True, False, True]), np.ones(3))
    factors = cold * np.array([[0.3], [1.0], [0.3]], np.float32)
    ones = np.ones((3, 1), np.float32)
    for side, columns in (("user", [shard.biases[:, None], ones]), ("item", [ones, shard.biases[:, None]])):
        url = str(tmp_path / f"{side}.npy")
        checksum, _ = write_start_rows(rows, url, side, biases=True, number="f4", shrink=0.3)
        np.testing.assert_array_equal(npy.read_array(url, checksum), np.hstack([factors, *columns]))
    np.testing.assert_array_equal(shard.factors, cold)
