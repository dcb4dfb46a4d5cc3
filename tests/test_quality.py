"""How good the models are with default settings: bands, not equalities; each names its split.

Covers: MovieLens 1M and 100K, and the demo against its planted truth. Does not cover: speed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import RunResult, Settings, run

pytestmark = pytest.mark.slow


def run_preset(name: str, root: Path, **sections: dict[str, object]) -> RunResult:
    settings = Settings.load(name).model_dump()
    for section, values in sections.items():
        settings[section] |= values
    return run(Settings.build({**settings, "root": str(root)}))


def test_movielens_1m_by_a_tenth_of_hash(ratings_dir: Path, tmp_path: Path) -> None:
    result = run_preset("movielens-1m", tmp_path, ingest={"ratings": [str(ratings_dir / "ml-1m")]})
    assert result.split == "hash 10 % (seed 0)"
    assert result.rank == 64
    assert result.rmse is not None
    assert 0.825 < result.rmse < 0.842


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


def test_the_demo_comes_close_to_its_planted_truth(tmp_path: Path) -> None:
    result = run_preset("demo", tmp_path)
    floor = result.evaluation["truth"]["rmse"]
    assert floor < result.evaluation["model"]["rmse"] < 1.05 * floor
    assert result.evaluation["biases"]["rmse"] > 1.15 * floor
    rows = [block["rows"] for block in json.loads(Path(result.paths["grid"], "manifest.json").read_text())["blocks"]]
    assert max(rows) <= 1.1 * sum(rows) / len(rows)  # long tails, dense ids in a seeded order


def test_a_slice_of_training_serves_as_well_to_choose_the_epoch(ratings_dir: Path, tmp_path: Path) -> None:
    """Chosen on 5 % of the training ratings, so with less to train on and no peek at the validation ratings."""
    result = run_preset(
        "movielens-1m", tmp_path, ingest={"ratings": [str(ratings_dir / "ml-1m")]}, train={"stop_on": "slice"}
    )
    assert result.epoch_chosen_on == "a slice of the training ratings"
    assert result.rmse is not None
    assert 0.825 < result.rmse < 0.846
