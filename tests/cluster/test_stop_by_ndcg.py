"""Training for a ranking ends by the NDCG of held-out ratings: measured after each epoch, and the best epoch is kept.

Covers: train.stop_by in pipeline/settings/train.py, pipeline/training/methods/als.py, its graphs and
pipeline/training/sample_rule.py: the measure beside that of the finished model, the same bits on any workers and
resumed, refusals, the report.
Does not cover: the lists of a sample (tests/unit/test_rank_sample.py), RMSE (test_train_als.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import Heard, made_ratings, publish_ratings
from distributed import Client
from grouped_ratings import of_groups

from funkflow import RunResult, Settings, run
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.models.start_model import relevant
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed
from funkflow.pipeline.results.plots import compare, learning_curve
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings, GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.als import train_als
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.grid import layout
from funkflow.tasks.serving.rank_sample import SampleRule

RULE = SampleRule(length=5, threshold=3.0, users=9, seed=0)


def trained(context: Context, streamed: bool = False, rule: SampleRule = RULE, **changes: Any) -> Training:
    chosen = {"goal": "ranking", "rank": 4, "epochs": 5, "patience": 5, "checkpoint_epochs": 2, **changes}
    blocks = grid(context, *publish_ratings(context, made_ratings()), GridSettings(shards=3))
    settings = TrainSettings.model_validate(chosen)
    return train_als(
        TrainingJob(context, blocks, (1.0, 5.0), settings, context.store.run("run"), streamed=streamed, ranked=rule)
    )


def ndcgs(training: Training) -> Sequence[float]:
    assert training.ranked is not None
    return training.ranked.ndcg


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """What one worker with one thread makes."""
    with open_client(ClusterSettings(workers=1, threads=1)) as client:
        return trained(Context(client, Store(str(tmp_path_factory.mktemp("root"))), lambda event: None, "one"))


@pytest.mark.parametrize("few_items", [True, False], ids=["few items", "many items"])
def test_two_threads_streamed_blocks_and_both_graphs_give_the_same_bits(
    context: Context, expected: Training, monkeypatch: pytest.MonkeyPatch, few_items: bool
) -> None:
    if not few_items:
        monkeypatch.setattr(layout, "FEW_ITEMS_BYTES", 0)
    found = trained(context, streamed=few_items)
    assert (found.ranked, found.shards) == (expected.ranked, expected.shards)
    assert found.ranked is not None
    assert found.ranked.users == RULE.users


def test_two_workers_give_the_same_bits(tmp_path: Path, expected: Training) -> None:
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        found = trained(Context(client, Store(str(tmp_path)), lambda event: None, "two"))
    assert (found.ranked, found.shards) == (expected.ranked, expected.shards)


def test_an_interrupted_run_goes_on_to_the_same_bits(client: Client, tmp_path: Path, expected: Training) -> None:
    def stop_at_three(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(Context(client, Store(str(tmp_path)), stop_at_three, "stopped"))
    resumed = Heard(None)  # type: ignore[arg-type]
    resumed.context = Context(client, Store(str(tmp_path)), resumed.events.append, "resumed")
    found = trained(resumed.context)
    assert (found.ranked, found.shards) == (expected.ranked, expected.shards)
    epochs = {event.epoch: event.stopping_ndcg for event in resumed.events if isinstance(event, EpochFinished)}
    assert epochs == dict(zip((3, 4, 5), ndcgs(expected)[2:], strict=True))


def test_it_ends_after_epochs_without_gain_and_keeps_the_best(context: Context) -> None:
    found = trained(context, epochs=60, patience=None)
    best = ndcgs(found)[found.best_epoch - 1]
    assert found.reason == "validation stopped improving"
    assert found.epochs < 60
    assert best == max(ndcgs(found))
    assert all(stopping is None for _, stopping in found.history)


def test_completed_ratings_can_be_stopped_by_their_ranking(context: Context) -> None:
    """With alpha = 0 rows have biases, which count in the order of items."""
    found = trained(context, als={"alpha": 0.0}, stop_by="ndcg")
    assert len(ndcgs(found)) == found.epochs
    assert all(0 < ndcg < 1 for ndcg in ndcgs(found))


def test_without_a_relevant_rating_it_runs_all_epochs_or_is_refused(heard: Heard) -> None:
    none = SampleRule(length=5, threshold=6.0, users=24, seed=0)
    with pytest.raises(
        SettingsError,
        match=r'train\.stop_by = "ndcg" needs a relevant rating, and train\.stop_on = "validation" has none',
    ):
        trained(heard.context, rule=none, stop_by="ndcg")
    found = trained(heard.context, rule=none, epochs=4)
    assert (found.epochs, found.best_epoch, found.ranked) == (4, 4, None)
    assert Noticed("no early-stopping rating is relevant, so training runs all 4 epochs") in heard.events


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("whole")
    content: dict[str, Any] = {
        "root": str(folder / "root"),
        "ingest": {"ratings": [str(of_groups(folder / "ratings.csv"))]},
        "train": {"goal": "ranking", "rank": 8},
        "split": {"fraction": 0.2},
    }
    return run(Settings.build(content))


def test_the_kept_epoch_has_the_ndcg_of_the_finished_model(result: RunResult) -> None:
    """All its users are in the sample."""
    training = Training.published(f"{result.paths['run']}/training")
    assert training is not None
    assert training.ranked is not None
    assert (training.ranked.users, training.ranked.places) == (result.ranking["users"], 10)
    assert ndcgs(training)[training.best_epoch - 1] == pytest.approx(result.ranking["ndcg"], abs=1e-6)
    assert result.epoch_chosen_on == "hash 20 % (seed 0), by NDCG@10"


def test_the_report_and_the_plots_show_the_curve(result: RunResult) -> None:
    page = Path(result.paths["report"]).read_text(encoding="utf-8")
    assert "NDCG@10 by epoch" in page
    assert f"kept epoch {result.best_epoch}, best NDCG@10 on the validation ratings" in page
    for plot in (learning_curve(result), compare([result])):
        assert str(plot.title.text).startswith("NDCG")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.stop_by=ndcg"], 'train.stop_by = "ndcg" needs train.method = "als", as sgd measures no rankings'),
        (["train.goal=ranking", "train.stop_by=rmse"], 'has no RMSE: leave out train.stop_by, or set it to "ndcg"'),
        (["train.goal=ranking", "train.stop_by=ndcg", "train.stop_on=nothing"], "has no ratings for train.stop_by"),
        (["train.goal=ranking", "train.stop_by=ndcg", "ranking.count=0"], "set ranking.count above 0"),
    ],
)
def test_what_cannot_go_together_is_refused_in_one_line(words: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.build({}, words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("rmse", 100, 1e-4)),
        (["train.goal=ranking"], ("ndcg", 24, 1e-3)),
        (["train.goal=ranking", "split.kind=none"], (None, 12, 1e-4)),
        (["train.goal=ranking", "split.kind=users"], (None, 12, 1e-4)),
        (["train.goal=ranking", "split.kind=none", "train.stop_by=ndcg"], ("ndcg", 24, 1e-3)),
        (["train.goal=ranking", "ranking.count=0"], (None, 12, 1e-4)),
        (["train.goal=ranking", "train.epochs=7", "train.minimum_gain=0.001"], ("ndcg", 7, 1e-3)),
        (["train.goal=ranking", "train.method=sgd"], ("rmse", 100, 1e-4)),
        (["train.method=als", "train.stop_by=ndcg"], ("ndcg", 100, 1e-3)),
        (["train.method=lanczos"], (None, 100, 1e-4)),
    ],
)
def test_the_goal_chooses_the_measure_and_what_is_set_wins(words: list[str], expected: tuple[Any, ...]) -> None:
    train = Settings.build({}, words).train
    assert (train.stops_by, train.epochs, train.minimum_gain) == expected
    assert TrainSettings.model_validate(train.model_dump()).stops_by == expected[0]


def test_ids_of_runs_for_ratings_are_those_from_before_the_setting() -> None:
    assert "stop_by" not in TrainSettings().model_dump()
    assert relevant(TrainSettings(stop_by="rmse")) == relevant(TrainSettings())
