"""What a model is for: `train.goal` sets the defaults, and the gate asks for the ranking of a model that recommends.

Covers: pipeline/settings/train.py, pipeline/stages/gate.py, pipeline/flow.py: defaults, what wins over them, a ranking
that passes, one that is refused, what recommendations of a model for ratings say.
Does not cover: the method (test_train_als.py), RMSE and the gate (test_usefulness.py, test_gate.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from grouped_ratings import GROUPS, ITEMS, USERS, of_groups, written
from pydantic import ValidationError
from sessions import only_long

from funkflow import Model, RunResult, Settings, run
from funkflow.pipeline.models.start_model import relevant
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.tasks.errors import ModelRefused, SettingsError
from funkflow.tasks.grid.default_rule import alpha_for, als_l2_for, toward_mean_for
from funkflow.tasks.model.about import read_about


def by_popularity(path: Path) -> Path:
    """All users draw from one distribution over items: what is most rated says all there is."""
    rng = np.random.default_rng(5)
    users, items = (each.ravel() for each in np.indices((USERS, ITEMS)))
    kept = rng.random(len(users)) < 0.6 / (1 + items)
    return written(path, users[kept], items[kept], rng.integers(4, 6, kept.sum()))


def ranked(ratings: Path, root: Path, events: list[Event] | None = None, **sections: dict[str, object]) -> RunResult:
    content = {
        "root": str(root),
        "ingest": {"ratings": [str(ratings)]},
        "train": {"goal": "ranking", "rank": 8},
        "split": {"fraction": 0.2},
        **sections,
    }
    return run(Settings.build(content), listeners=[events.append] if events is not None else [])


def test_a_ranking_beats_the_most_rated_items_and_is_promoted(tmp_path: Path) -> None:
    events: list[Event] = []
    chosen: dict[str, dict[str, object]] = {"recommend": {"count": 3}}
    result = ranked(of_groups(tmp_path / "ratings.csv"), tmp_path / "root", events, **chosen)
    assert result.ranking["ndcg"] > 1.5 * result.ranking["most_rated"]["ndcg"]
    assert (result.goal, result.warning) == ("ranking", "")
    assert (tmp_path / "root" / "current.json").exists()
    assert read_about(result.paths["model"])["goal"] == "ranking"
    assert not any("to predict ratings" in event.message for event in events if isinstance(event, Noticed))
    shown = pd.read_parquet(Path(result.paths["recommendations"], "recommendations.parquet"))
    mine = shown["user"] % GROUPS == shown["item"] % GROUPS
    assert mine[shown["rank"] == 1].mean() > 0.7  # of what is left unrated, a twentieth is of their group


@pytest.mark.parametrize("toward_mean", [only_long(None), 0.7])
def test_folding_in_a_user_again_gives_nearly_the_trained_row(tmp_path: Path, toward_mean: float | None) -> None:
    """Where training has ended, every row is the least of the objective with the others fixed."""
    ratings = of_groups(tmp_path / "ratings.csv")
    train: dict[str, object] = {"goal": "ranking", "rank": 8, "epochs": 80, "als": {"toward_mean": toward_mean}}
    result = ranked(ratings, tmp_path / "root", train=train, split={"kind": "none"})
    model, rows = Model.load(result.paths["model"]), pd.read_csv(ratings)
    assert model.about["alpha"] == pytest.approx(alpha_for(len(rows), USERS, ITEMS))
    for user in range(0, USERS, 20):
        own = rows[rows["user"] == user]
        folded = model.fold_in(dict(zip(own["item"].tolist(), own["rating"].tolist(), strict=True)))
        trained = model.user_factors[np.flatnonzero(model.user_ids == user)[0]]
        assert np.linalg.norm(folded.factors - trained) < 0.01 * np.linalg.norm(trained)
    liked = model.similar(int(model.item_ids[0]), 5).items
    assert (liked % GROUPS == model.item_ids[0] % GROUPS).all()


def test_one_that_ranks_no_better_is_refused_and_the_warning_says_so(tmp_path: Path) -> None:
    ratings = by_popularity(tmp_path / "ratings.csv")
    train: dict[str, object] = {"goal": "ranking", "rank": 30, "l2": 0.0}
    with pytest.raises(
        ModelRefused, match=r"validation NDCG@10 .* does not beat the most rated items' .* \(gate\.beats_most_rated\)"
    ):
        ranked(ratings, tmp_path / "root", train=train)
    assert not (tmp_path / "root" / "current.json").exists()
    result = ranked(ratings, tmp_path / "root", train=train, gate={"beats_most_rated": False})
    assert result.warning.startswith("the model is not useful: validation NDCG@10")
    assert (tmp_path / "root" / "current.json").exists()


def test_recommendations_of_a_model_for_ratings_say_what_recommends_better(tmp_path: Path) -> None:
    events: list[Event] = []
    train: dict[str, object] = {"rank": 2, "epochs": 1}
    gate: dict[str, object] = {"beats_biases": False}
    chosen: dict[str, dict[str, object]] = {"train": train, "gate": gate, "recommend": {"count": 3}}
    ranked(of_groups(tmp_path / "ratings.csv"), tmp_path / "root", events, **chosen)
    said = [event.message for event in events if isinstance(event, Noticed)]
    assert "this model was trained to predict ratings; to train one that recommends, set train.goal = ranking" in said


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"goal": "ratings", "method": "sgd", "epochs": 100, "biases": True}),
        ({"goal": "ranking"}, {"method": "als", "epochs": 24, "biases": False, "center": False}),
        ({"goal": "ranking", "stop_on": "nothing"}, {"method": "als", "epochs": 12}),
        ({"goal": "ranking", "epochs": 4}, {"method": "als", "epochs": 4}),
        ({"goal": "ranking", "method": "sgd"}, {"method": "sgd", "epochs": 100, "biases": True}),
        ({"goal": "ranking", "als": {"alpha": 0.0}}, {"method": "als", "biases": True}),
        ({"method": "als"}, {"goal": "ratings", "epochs": 100, "biases": True}),
        ({"method": "als", "als": {"alpha": 0.2}}, {"goal": "ranking", "epochs": 24, "biases": False}),
    ],
)
def test_a_goal_sets_defaults_and_what_is_set_wins(given: dict[str, Any], expected: dict[str, Any]) -> None:
    chosen = TrainSettings.model_validate(given)
    assert {name: getattr(chosen, name) for name in expected} == expected
    assert TrainSettings.model_validate(chosen.model_dump()) == chosen


def test_a_goal_is_part_of_what_decides_the_result_where_it_chooses_the_weight() -> None:
    """The same settings otherwise: one completes the ratings, one ranks."""
    pure = {"method": "als", "epochs": 12, "biases": False, "center": False}
    one, other = (TrainSettings.model_validate({**pure, "goal": goal}) for goal in ("ratings", "ranking"))
    assert relevant(one) != relevant(other)
    assert relevant(TrainSettings()) == relevant(TrainSettings.model_validate({"goal": "ranking", "method": "sgd"}))


def test_without_validation_a_ranking_trains_on_all_ratings() -> None:
    chosen = Settings.build({"train": {"goal": "ranking"}, "split": {"kind": "none"}})
    assert chosen.train.stop_on == "nothing"


def test_pairs_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"train\.als\.toward_mean = 0\.5 needs a weight for missing cells"):
        TrainSettings.model_validate({"method": "als", "als": {"toward_mean": 0.5}})
    with pytest.raises(ValidationError, match=r"predicts no ratings: leave it out, or set train\.goal = .ranking."):
        TrainSettings.model_validate({"goal": "ratings", "method": "als", "als": {"alpha": 0.1}})
    with pytest.raises(SettingsError, match=r"gate\.rmse_worse_by_at_most compares RMSEs"):
        Settings.build({"train": {"goal": "ranking"}, "gate": {"rmse_worse_by_at_most": 0.1}})


def test_the_weight_of_a_missing_cell_follows_the_part_that_is_rated() -> None:
    assert alpha_for(900_000, 1_000, 1_000) == pytest.approx(0.5)
    sparse = alpha_for(1_000_000, 100_000, 100_000)
    assert sparse / (1 - sparse) == pytest.approx(15 * 1e-4)


def test_below_seven_ratings_a_row_missing_cells_weigh_more() -> None:
    """Popular items come first only where missing cells outweigh the ratings of the most rated ones."""
    scarce = alpha_for(250_000, 100_000, 100_000)
    assert scarce / (1 - scarce) == pytest.approx(15 * 2.5e-5 * 2.8**0.75)


@pytest.mark.parametrize(
    ("density", "size", "part"),
    [(0.001, 10**4, 0.6), (0.0025, 10**4, 0.375), (0.005, 10**4, 0.0), (0.5, 10**4, 0.0), (0.0025, 1_400, 0.6875)],
)
def test_users_of_a_sparse_matrix_are_pulled_to_their_mean(density: float, size: int, part: float) -> None:
    """And the more the fewer ratings a row has, below 7."""
    assert toward_mean_for(int(density * size**2), size, size) == pytest.approx(part)


DENSE, SPARSE = 2_000, 2_000_000
"""Geometric means of users and items: with the first, 10 ratings a row are dense; with the second, 80 are sparse."""


@pytest.mark.parametrize(
    ("a_row", "size", "l2"),
    [
        (1.25, SPARSE, 0.034), (5, SPARSE, 0.034), (10, SPARSE, 0.017), (20, SPARSE, 0.0085), (80, SPARSE, 0.0085),
        (10, DENSE, 0.0323), (19, DENSE, 0.017), (38, DENSE, 0.0085), (80, DENSE, 0.0085), (320, DENSE, 0.00425),
    ],
)  # fmt: skip
def test_the_l2_of_a_ranking_follows_the_ratings_a_row_and_the_density(a_row: float, size: int, l2: float) -> None:
    assert als_l2_for(int(a_row * size), size // 2, 2 * size, alpha=0.5) == pytest.approx(l2)


def test_the_l2_of_a_ranking_of_few_items_follows_the_weight_of_a_users_row() -> None:
    assert als_l2_for(50 * 6_000, 6_000, 100, alpha=0.5) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("a_row", "size", "times"),
    [(10, 2_500, 1.0), (15, 3_000, 1.25), (60, 5_000, 1.6), (96, 5_000, 1.25), (190, 5_000, 1.0), (23, 35_000, 1.0)],
)
def test_the_l2_of_likes_is_higher_in_a_dense_matrix_below_120_a_row(a_row: int, size: int, times: float) -> None:
    of_likes, of_ratings = (
        als_l2_for(a_row * size, size // 2, 2 * size, alpha=0.5, likes=likes) for likes in (True, False)
    )
    assert of_likes == pytest.approx(times * of_ratings)
