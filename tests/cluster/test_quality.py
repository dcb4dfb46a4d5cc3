"""How good the models are with default settings: bands, not equalities; each names its split.

Covers: MovieLens 1M and 100K, and the demo against its planted truth. Does not cover: speed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sessions import only_long

from funkflow import RunResult, Settings, run


def run_preset(name: str, root: Path, **sections: dict[str, object]) -> RunResult:
    settings = Settings.load(name).model_dump()
    for section, values in sections.items():
        settings[section] |= values
    return run(Settings.build({**settings, "root": str(root)}))


@pytest.mark.long
def test_movielens_1m_by_a_tenth_of_hash(ratings_dir: Path, tmp_path: Path) -> None:
    result = run_preset("movielens-1m", tmp_path, ingest={"ratings": [str(ratings_dir / "ml-1m")]})
    assert result.split == "hash 10 % (seed 0)"
    assert result.rank == 64
    assert result.rmse is not None
    assert 0.825 < result.rmse < 0.842


@pytest.mark.long
def test_movielens_100k_over_the_published_folds(ratings_dir: Path, tmp_path: Path) -> None:
    folder = ratings_dir / "ml-100k"
    results = [
        run_preset(
            "movielens-100k",
            tmp_path,
            ingest={"ratings": [str(folder / "u.data")]},
            split={"kind": "file", "file": str(folder / f"u{fold}.test")},
        )
        for fold in range(1, 6)
    ]
    assert [result.split for result in results] == [f"u{fold}.test" for fold in range(1, 6)]
    assert [result.evaluation["ratings"] for result in results] == [20_000] * 5
    mean = sum(result.rmse or 9.0 for result in results) / 5
    assert 0.895 < mean < 0.910


@pytest.mark.long
def test_one_feature_after_another_comes_close_to_all_at_once(ratings_dir: Path, tmp_path: Path) -> None:
    folder = ratings_dir / "ml-100k"
    result = run_preset(
        "movielens-100k",
        tmp_path,
        ingest={"ratings": [str(folder / "u.data")]},
        split={"kind": "file", "file": str(folder / "u1.test")},
        train={"method": "funk"},
    )
    assert result.rmse is not None
    assert result.rmse < 0.97 * result.evaluation["biases"]["rmse"]
    assert 0.91 < result.rmse < 0.935


@pytest.mark.long
def test_pure_form_gets_past_the_saddle_where_its_first_factor_is_the_mean(ratings_dir: Path, tmp_path: Path) -> None:
    """At rank 8 validation stands still for three epochs at 0.966, worse than the bias baseline."""
    result = run_preset(
        "movielens-100k",
        tmp_path,
        ingest={"ratings": [str(ratings_dir / "ml-100k" / "u.data")]},
        split={"kind": "fraction", "file": "", "fraction": 0.1},
        train={"rank": 8, "biases": False, "center": False},
        gate={"beats_biases": False},
    )
    assert result.rmse is not None
    assert 0.93 < result.rmse < 0.955


def test_the_demo_comes_close_to_its_planted_truth(tmp_path: Path) -> None:
    result = run_preset("demo", tmp_path)
    floor = result.evaluation["truth"]["rmse"]
    assert floor < result.evaluation["model"]["rmse"] < 1.05 * floor
    assert result.evaluation["biases"]["rmse"] > 1.15 * floor
    rows = [block["rows"] for block in json.loads(Path(result.paths["grid"], "manifest.json").read_text())["blocks"]]
    assert max(rows) <= 1.1 * sum(rows) / len(rows)  # long tails, dense ids in a seeded order


@pytest.mark.long
def test_a_slice_of_training_serves_as_well_to_choose_the_epoch(ratings_dir: Path, tmp_path: Path) -> None:
    """Chosen on 5 % of the training ratings, so with less to train on and no peek at the validation ratings."""
    result = run_preset(
        "movielens-1m", tmp_path, ingest={"ratings": [str(ratings_dir / "ml-1m")]}, train={"stop_on": "slice"}
    )
    assert result.epoch_chosen_on == "a slice of the training ratings"
    assert result.rmse is not None
    assert 0.825 < result.rmse < 0.846


@pytest.mark.long
@pytest.mark.parametrize(
    ("least", "greatest", "step"),
    [
        only_long(0.5, 5.0, 0.5),
        only_long(1.0, 5.0, 1.0),
        only_long(1.0, 10.0, 1.0),
        (-10.0, 10.0, 0.0),
    ],
)
def test_defaults_suit_any_scale(tmp_path: Path, least: float, greatest: float, step: float) -> None:
    """The same planted ratings on four scales, the last not rounded: a fifth better than biases, near the noise."""
    rng = np.random.default_rng(8)
    users, items, rank = 1_500, 400, 4
    cells = rng.choice(users * items, 90_000, replace=False)
    u, i = cells // items, cells % items
    planted = np.einsum("nk,nk->n", rng.normal(size=(users, rank))[u], rng.normal(size=(items, rank))[i]) / rank**0.5
    middle, width = (least + greatest) / 2, (greatest - least) / 6
    scores = middle + width * (0.3 * rng.normal(size=items)[i] + planted + 0.3 * rng.normal(size=len(u)))
    ratings = np.clip(scores if not step else np.round(scores / step) * step, least, greatest)
    path = tmp_path / "ratings.csv"
    pd.DataFrame({"user": u, "item": i, "rating": ratings}).to_csv(path, index=False)
    result = run(Settings.build({"ingest": {"ratings": [str(path)]}, "root": str(tmp_path / "root")}))
    assert result.rmse is not None
    assert result.rmse < 0.8 * result.evaluation["biases"]["rmse"]
    noise = np.hypot(0.3 * width, step / 12**0.5)  # what was added, and what rounding adds
    assert 0.9 * noise < result.rmse < 1.35 * noise
