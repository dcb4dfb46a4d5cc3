"""Users whom training does not see: held out whole, folded in after training, and ranked by what they find.

Covers: split.kind = "users": the split, grid and training without these users, their rows in the exported model,
ranking, RMSE, refusals, and the same bits for any number of workers.
Does not cover: the other kinds of split (test_split.py), the solution of a row (tests/unit/test_fold_in_ranking.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from grouped_ratings import ITEMS, USERS, of_groups
from ungated import UNGATED

from funkflow import Model, RunResult, Settings, run
from funkflow.tasks.errors import SettingsError

FRACTION, FOUND = 0.3, 0.25


def ran(folder: Path, *words: str, name: str = "root", **more: Any) -> RunResult:
    ratings = folder / "ratings.csv"
    if not ratings.exists():
        of_groups(ratings)
    chosen = [f"ingest.ratings={str(ratings)!r}", f"root={str(folder / name)!r}", "train.rank=8", "grid.shards=3"]
    split = ["split.kind=users", f"split.fraction={FRACTION}", f"split.found={FOUND}", "ingest.partition_ratings=1000"]
    return run({}, [*chosen, *split, UNGATED, *words], **more)


RANKING = "train.goal=ranking"


def held_out(result: RunResult, name: str) -> pd.DataFrame:
    """Return held-out ratings by raw ids."""
    table = pd.concat(pd.read_parquet(path) for path in sorted(Path(result.paths["split"], name).glob("*.parquet")))
    for side in ("user", "item"):
        raw_ids = pd.read_parquet(Path(result.paths["dataset"], f"{side}s.parquet"))["raw_id"].to_numpy()
        table[side] = raw_ids[table[side]]
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("users")


@pytest.fixture(scope="module")
def ranked(folder: Path) -> RunResult:
    return ran(folder, RANKING, "cluster.workers=1", "cluster.threads=1")


def test_users_are_held_out_whole_and_a_part_of_each_is_to_be_found(folder: Path, ranked: RunResult) -> None:
    validation, given = held_out(ranked, "validation"), held_out(ranked, "given")
    rows = pd.read_csv(folder / "ratings.csv")
    chosen = set(validation["user"]) | set(given["user"])
    assert 0.2 * USERS < len(chosen) < 0.4 * USERS
    own = rows[rows["user"].isin(chosen)]
    pairs = [tuple(pair) for each in (validation, given) for pair in each[["user", "item"]].to_numpy().tolist()]
    assert sorted(pairs) == sorted(map(tuple, own[["user", "item"]].to_numpy().tolist()))
    assert 0.18 < len(validation) / len(own) < 0.32
    manifest = pd.read_json(Path(ranked.paths["grid"], "manifest.json"), typ="series")
    assert manifest["ratings"] == len(rows) - len(own)
    assert ranked.split == "25 % of 30 % of the users (seed 0)"


def test_their_rows_in_the_model_are_those_that_fold_in_gives(ranked: RunResult) -> None:
    model, given = Model.load(ranked.paths["model"]), held_out(ranked, "given")
    for user, own in list(given.groupby("user"))[::7]:
        folded = model.fold_in(dict(zip(own["item"].tolist(), own["rating"].tolist(), strict=True)))
        row = model.user_factors[np.flatnonzero(model.user_ids == user)[0]]
        np.testing.assert_allclose(row, folded.factors, rtol=1e-4, atol=1e-6)
        assert not set(model.recommend(user, ITEMS).items) & set(own["item"])


def test_so_are_those_of_a_model_of_ratings(folder: Path) -> None:
    result = ran(folder, "train.implicit=both", name="ratings", until="export")
    model, given = Model.load(result.paths["model"]), held_out(result, "given")
    assert model.about["new_rows"]["second_factors"]
    for user, own in list(given.groupby("user"))[::7]:
        folded = model.fold_in(dict(zip(own["item"].tolist(), own["rating"].tolist(), strict=True)))
        place = np.flatnonzero(model.user_ids == user)[0]
        np.testing.assert_allclose(model.user_factors[place], folded.factors, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(model.user_biases[place], folded.bias, rtol=1e-3, atol=1e-5)


def test_what_they_find_is_ranked_far_above_what_is_most_rated(ranked: RunResult) -> None:
    users = held_out(ranked, "validation").query("rating == 5")["user"].nunique()  # ratings are 4 and 5
    assert ranked.ranking["users"] == users
    assert ranked.ranking["ndcg"] > 1.5 * ranked.ranking["most_rated"]["ndcg"]


def test_two_workers_give_the_same_bits_and_a_second_run_does_nothing_again(folder: Path, ranked: RunResult) -> None:
    other = ran(folder, RANKING, "cluster.workers=2", "cluster.threads=1", name="other")
    parts = [Model.load(each.paths["model"]).about["parts"] for each in (ranked, other)]
    assert parts[0] == parts[1]
    again = ran(folder, RANKING, "cluster.workers=1", "ranking.count=5")
    assert Model.load(again.paths["model"]).about["parts"] == parts[0]


@pytest.mark.parametrize("method", ["sgd", "als"])
def test_ratings_of_folded_users_are_predicted_better_than_by_items_alone(folder: Path, method: str) -> None:
    words = [f"train.method={method}", "train.epochs=30", "train.rank=4"]
    result = ran(folder, *words, until="export")
    model = Model.load(result.paths["model"])
    table = held_out(result, "validation")
    errors = model.predict(table["user"], table["item"]) - table["rating"]
    assert result.rmse == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)
    user, own = next(iter(held_out(result, "given").groupby("user")))
    folded = model.fold_in(dict(zip(own["item"].tolist(), own["rating"].tolist(), strict=True)))
    assert model.user_biases[model.user_ids == user][0] == pytest.approx(folded.bias, rel=1e-3, abs=1e-5)
    assert result.epoch_chosen_on == "a slice of the training ratings"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["train.method=lanczos"],
            "folds users in by the objective of training, which train.method = 'lanczos' has not",
        ),
        (["train.warm_start=true"], "a start model may have seen them"),
        (["train.stop_on=validation"], 'split.kind = "users" leaves no validation to stop on'),
    ],
)
def test_what_cannot_go_together_is_refused_in_one_line(words: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        Settings.build({"split": {"kind": "users"}}, words)
    assert "\n" not in str(caught.value)
