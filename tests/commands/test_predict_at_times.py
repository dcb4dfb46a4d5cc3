"""Effects of time from the files to predictions: the measured errors are those that anybody gets from the model.

Covers: train.time for sgd and bayes, `predict` with a column of times, `Model.predict` and `Model.intervals` at times,
refusals. Does not cover: the effects themselves (tests/unit/test_times.py), bits (tests/cluster/test_train.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from distributed import Client
from growing_ratings import address_of
from program import funkflow
from ungated import UNGATED_SECTION

from funkflow import Model, RunResult, Settings, run
from funkflow.tasks.errors import SettingsError

USERS, ITEMS, DAYS = 80, 40, 6
METHODS = ("sgd", "bayes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratings that depend on the mood of a user on a day, with a tenth for validation in a file of its own."""
    folder, rng = tmp_path_factory.mktemp("times"), np.random.default_rng(1)
    u, i = np.divmod(np.sort(rng.choice(USERS * ITEMS, 2400, replace=False)), ITEMS)
    when = rng.integers(0, DAYS, len(u))
    scores = 3.0 + 0.6 * rng.normal(size=(USERS, DAYS))[u, when] + 0.4 * rng.normal(size=ITEMS)[i]
    ratings = np.clip(np.round(scores + 0.3 * rng.normal(size=len(u)), 1), 1, 5)
    dates = (np.datetime64("2020-01-01") + 10 * when).astype("M8[s]").astype(str)
    table = pd.DataFrame({"user": 100 + u, "item": 500 + i, "rating": ratings, "timestamp": dates})
    table.to_csv(folder / "ratings.csv", index=False)
    chosen = rng.random(len(u)) < 0.1
    table[chosen][["user", "item"]].to_csv(folder / "probe.csv", index=False)
    table[chosen].to_csv(folder / "truth.csv", index=False)
    return folder


def settings_of(folder: Path, client: Client, method: str, ratings: str = "ratings.csv", **train: Any) -> Settings:
    bayes = {"burn_in": 4, "draws": 12, "chains": 2}
    return Settings.build(
        {
            "root": str(folder / "root"), "cluster": {"scheduler": address_of(client)}, "gate": UNGATED_SECTION,
            "ingest": {"ratings": str(folder / ratings)}, "grid": {"shards": 3}, "report": {"write": False},
            "split": {"kind": "file", "file": str(folder / "probe.csv")}, "ranking": {"count": 0},
            "train": {"rank": 4, "method": method, **({"bayes": bayes} if method == "bayes" else {}), **train},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(folder: Path, client: Client) -> dict[str, RunResult]:
    return {method: run(settings_of(folder, client, method), client=client) for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_the_measured_error_is_that_of_the_model_at_the_times(
    folder: Path, client: Client, results: dict[str, RunResult], method: str
) -> None:
    truth, result = pd.read_csv(folder / "truth.csv"), results[method]
    model = Model.load(result.paths["model"])
    assert model.about["times"]["effects"] == ["user_days"]
    predicted = model.predict(truth.user, truth.item, times=truth.timestamp)
    assert rmse(predicted, truth) == pytest.approx(result.rmse, rel=1e-4)
    assert rmse(model.predict(truth.user, truth.item), truth) > 1.2 * rmse(predicted, truth)
    without = run(settings_of(folder, client, method, time="none"), client=client)
    assert without.rmse is not None
    assert result.rmse is not None
    assert result.rmse < 0.8 * without.rmse
    assert "times" not in Model.load(without.paths["model"]).about


def rmse(predicted: Any, truth: pd.DataFrame) -> float:
    return float(np.sqrt(np.mean((predicted - truth.rating) ** 2)))


def test_without_a_time_it_is_the_last_day_of_the_user(results: dict[str, RunResult], folder: Path) -> None:
    ratings, model = pd.read_csv(folder / "ratings.csv"), Model.load(results["sgd"].paths["model"])
    held_out = pd.read_csv(folder / "truth.csv")
    training = ratings.merge(held_out[["user", "item"]], how="left", indicator=True)
    last = training[training["_merge"] == "left_only"].groupby("user").timestamp.max()
    users = last.index.to_numpy()
    at_last = model.predict(users, np.full(len(users), 500), times=last.to_numpy())
    np.testing.assert_allclose(model.predict(users, np.full(len(users), 500)), at_last, atol=1e-5)
    missing = model.predict(users[:2], [500, 500], times=[None, last.iloc[1]])
    np.testing.assert_allclose(missing, at_last[:2], atol=1e-5)
    assert model.predict([100], [500], times=1_577_836_800) == model.predict([100], [500], times="2020-01-01")


def test_predict_takes_a_column_of_times(results: dict[str, RunResult], folder: Path, tmp_path: Path) -> None:
    truth, model = pd.read_csv(folder / "truth.csv"), results["bayes"].paths["model"]
    out = tmp_path / "out"
    pairs = truth[["user", "item", "timestamp"]].rename(columns={"timestamp": "date"})
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    funkflow("predict", "--model", model, "--pairs", str(tmp_path / "pairs.csv"), "--out", str(out), "--intervals")
    found = pd.read_parquet(out / "predictions.parquet")
    loaded = Model.load(model)
    expected = loaded.predict(truth.user, truth.item, times=truth.timestamp)
    np.testing.assert_allclose(found.prediction, expected, atol=1e-5)
    intervals = loaded.intervals(truth.user, truth.item, times=truth.timestamp)
    np.testing.assert_allclose(found.lower_80, intervals.lower_80, atol=1e-4)
    inside = (truth.rating >= intervals.lower_80) & (truth.rating <= intervals.upper_80)
    assert 0.65 < inside.mean() < 0.92
    calibration = json.loads(Path(results["bayes"].paths["run"], "calibration", "manifest.json").read_text())
    assert calibration["coverage"][1] == pytest.approx(inside.mean(), abs=0.06)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"method": "sgd", "time": "item_bins"}, "users alone have effects of time; leave item_bins out"),
        ({"method": "sgd", "time": "drift", "biases": False}, "'drift' needs biases: leave it out"),
        ({"method": "sgd", "time": "weekdays"}, "not auto, none or some of user_days, drift, item_bins"),
    ],
)
def test_effects_that_a_method_does_not_have(folder: Path, client: Client, train: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        run(settings_of(folder, client, **train), client=client)


def test_ratings_without_times(folder: Path, client: Client) -> None:
    pd.read_csv(folder / "ratings.csv").drop(columns="timestamp").to_csv(folder / "undated.csv", index=False)
    chosen = settings_of(folder, client, "bayes", "undated.csv", time="user_days,drift,item_bins")
    with pytest.raises(SettingsError, match="needs the time of each rating, and the ratings have none"):
        run(chosen, client=client)


def test_all_effects_together(folder: Path, client: Client) -> None:
    result = run(settings_of(folder, client, "bayes", time="user_days,drift,item_bins"), client=client)
    truth, model = pd.read_csv(folder / "truth.csv"), Model.load(result.paths["model"])
    assert len(model.about["times"]["edges"]) >= 1
    predicted = model.predict(truth.user, truth.item, times=truth.timestamp)
    assert rmse(predicted, truth) == pytest.approx(result.rmse, rel=1e-4)
