"""Items and users without ratings are predicted by their features.

Covers: ingest.item_features and ingest.user_features, from the files to the exported model, with --item-features.
Does not cover: tables of every form (tests/unit/test_row_features.py), draws (tests/unit/test_feature_draws.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from distributed import Client
from posterior_runs import posterior_settings
from program import funkflow

from funkflow import Model, RunResult, Settings, run
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.tasks.errors import BadInput

USERS, ITEMS, COLD, NOISE = 150, 60, 12, 0.3
GENRES = np.array(["crime", "drama", "war"])


@pytest.fixture(scope="module")
def planted() -> tuple[npt.NDArray[np.float64], pd.DataFrame]:
    """What every user would rate every item, and the features of these: the last items and the last user are cold."""
    rng = np.random.default_rng(5)
    genre, length = rng.integers(0, 3, ITEMS), rng.normal(size=ITEMS)
    tastes, patience = rng.normal(size=(USERS, 3)), rng.normal(size=USERS)
    truth = 3.0 + 0.8 * tastes[:, genre] + 0.4 * patience[:, None] * length + np.array([0.5, 0.0, -0.5])[genre]
    films = {"film": 5000 + np.arange(ITEMS), "genre": GENRES[genre], "length": length}
    return truth, pd.DataFrame(films)


@pytest.fixture(scope="module")
def folder(planted: tuple[Any, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("cold"), np.random.default_rng(6)
    truth, films = planted
    cells = np.sort(rng.choice(USERS * (ITEMS - COLD), 3000, replace=False))
    users, items = np.divmod(cells, ITEMS - COLD)
    ratings = truth[users, items] + NOISE * rng.normal(size=len(cells))
    pd.DataFrame({"user": 1000 + users, "film": 5000 + items, "rating": ratings.round(3)}).to_csv(
        folder / "ratings.csv", index=False
    )
    films.to_csv(folder / "films.csv", index=False)
    ages = {"user": 1000 + np.arange(USERS + 1), "age": rng.integers(20, 60, USERS + 1)}
    pd.DataFrame(ages).to_csv(folder / "users.csv", index=False)
    return folder


def settings_of(folder: Path, client: Client, **ingest: str) -> Settings:
    chosen = {name: str(folder / value) for name, value in ingest.items()}
    return posterior_settings(
        folder, client, ingest={"ratings": str(folder / "ratings.csv"), **chosen}, train={"rank": 4}
    )


@pytest.fixture(scope="module")
def ran(folder: Path, client: Client) -> tuple[RunResult, list[Event]]:
    heard: list[Event] = []
    chosen = settings_of(folder, client, item_features="films.csv", user_features="users.csv")
    return run(chosen, listeners=[heard.append]), heard


def test_cold_items_are_predicted_by_their_features(
    planted: tuple[npt.NDArray[np.float64], Any], ran: tuple[RunResult, Any]
) -> None:
    truth, model = planted[0][:, ITEMS - COLD :], Model.load(ran[0].paths["model"])
    users, items = np.divmod(np.arange(USERS * COLD), COLD)
    found = model.predict(1000 + users, 5000 + ITEMS - COLD + items).reshape(truth.shape)
    clipped = np.clip(truth, *(model.scale or (None, None)))
    by_user = np.sqrt(np.mean((clipped - clipped.mean(axis=1, keepdims=True)) ** 2))
    assert np.sqrt(np.mean((found - clipped) ** 2)) < 0.5 * by_user


def test_the_model_has_a_row_for_each_id_that_features_name(ran: tuple[RunResult, Any]) -> None:
    model = Model.load(ran[0].paths["model"])
    assert (len(model.user_ids), len(model.item_ids)) == (USERS + 1, ITEMS)
    assert np.isfinite(model.predict([1000 + USERS], [5000])).all()


def test_the_run_says_what_it_took_the_columns_for(ran: tuple[RunResult, list[Event]]) -> None:
    said = [event.message for event in ran[1] if isinstance(event, Noticed)]
    assert "features of items: 4 columns for 60 rows: 3 words: genre; numbers: length" in said
    assert "features of users: 1 columns for 151 rows: numbers: age" in said


def test_changed_features_make_another_dataset(folder: Path, client: Client, ran: tuple[RunResult, Any]) -> None:
    text = (folder / "films.csv").read_text(encoding="utf-8")
    (folder / "changed.csv").write_text(text.replace("war", "peace"), encoding="utf-8")
    (folder / "moved").mkdir()
    (folder / "moved" / "films.csv").write_text(text, encoding="utf-8")
    changed, moved = (
        run(settings_of(folder, client, item_features=name, user_features="users.csv"), until="ingest")
        for name in ("changed.csv", "moved/films.csv")
    )
    assert changed.paths["dataset"] != ran[0].paths["dataset"] == moved.paths["dataset"]


def test_tables_in_memory_make_the_same_model(
    folder: Path, client: Client, tmp_path: Path, ran: tuple[RunResult, Any]
) -> None:
    chosen = settings_of(folder, client).model_dump(exclude_unset=True) | {"root": str(tmp_path)}
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in ("ratings", "films", "users")}
    found = run(chosen, ratings=tables["ratings"], item_features=tables["films"], user_features=tables["users"])
    model, wanted = Model.load(found.paths["model"]), Model.load(ran[0].paths["model"])
    np.testing.assert_array_equal(model.item_ids, wanted.item_ids)
    np.testing.assert_array_equal(model.item_factors, wanted.item_factors)


def test_the_command_takes_features_and_draws_by_default(folder: Path, tmp_path: Path) -> None:
    options = ["--ratings", str(folder / "ratings.csv"), "--item-features", str(folder / "films.csv")]
    done = funkflow("plan", *options, "--root", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "bayes" in done.stdout


@pytest.mark.parametrize("method", ["sgd", "als"])
def test_every_method_predicts_items_without_ratings_by_their_features(
    folder: Path, client: Client, planted: tuple[Any, pd.DataFrame], method: str, tmp_path: Path
) -> None:
    truth, _ = planted
    content = settings_of(folder, client, item_features="films.csv", user_features="users.csv").model_dump(
        exclude_unset=True
    )
    content["train"] = {"rank": 4, "method": method}
    models = []
    for name, ingest in (("with", content["ingest"]), ("without", {"ratings": content["ingest"]["ratings"]})):
        result = run({**content, "ingest": ingest, "root": str(tmp_path / name)}, until="export")
        models.append(Model.load(result.paths["model"]))
    users, cold = np.divmod(np.arange(USERS * COLD), COLD)
    items = ITEMS - COLD + cold
    known, unknown = (
        np.sqrt(np.mean((each.predict(1000 + users, 5000 + items, clip=False) - truth[users, items]) ** 2))
        for each in models
    )
    assert known < 0.6 * unknown
    assert 1000 + USERS in models[0].user_ids


def test_ids_of_another_kind_are_one_line(folder: Path, client: Client) -> None:
    (folder / "letters.csv").write_text("film,year\na,1979\nb,1980\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"letters\.csv: the ids of the ratings are integers, these are not"):
        run(settings_of(folder, client, item_features="letters.csv"), until="ingest")
