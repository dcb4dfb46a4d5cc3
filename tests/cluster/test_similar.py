"""The similar items of a whole catalogue equal those of one item after another.

Covers: pipeline/stages/recommend.py, tasks/serving/similar_items.py, recommend.similar, `funkflow similar --all`.
Does not cover: the cosines of one item (tests/unit/test_recommender.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner
from ungated import UNGATED_SECTION

from funkflow import Model, RunResult, Settings, run
from funkflow.pipeline.cli import program

COUNT = 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("similar")
    rng = np.random.default_rng(7)
    users, items = (each.ravel() for each in np.indices((60, 25)))
    kept = rng.random(len(users)) < 0.3
    frame = pd.DataFrame({"user": users, "item": items, "rating": rng.integers(1, 6, len(users))})[kept]
    held = pd.DataFrame({"user": [0], "item": [99], "rating": [3]})  # item 99 has no training rating
    pd.concat([frame, held]).to_csv(folder / "ratings.csv", index=False)
    held.to_csv(folder / "held.csv", index=False)
    content = {
        "root": str(folder / "root"),
        "ingest": {"ratings": [str(folder / "ratings.csv")]},
        "split": {"file": str(folder / "held.csv")},
        "train": {"rank": 3, "epochs": 2},
        "gate": UNGATED_SECTION,
        "recommend": {"similar": COUNT},
    }
    return run(Settings.build(content), until="recommend")


def test_each_item_has_what_similar_finds_for_it(made: RunResult) -> None:
    model = Model.load(made.paths["model"])
    found = pd.read_parquet(Path(made.paths["similar"], "similar.parquet"))
    assert sorted(found["item"].unique()) == sorted(set(model.item_ids.tolist()) - {99})
    assert 99 not in set(found["similar"])
    for item, of_item in found.groupby("item"):
        expected = model.similar(item, COUNT)
        assert of_item["rank"].tolist() == [1, 2, 3, 4]
        assert of_item["similar"].tolist() == expected.items.tolist()
        np.testing.assert_allclose(of_item["cosine"], expected.cosines, atol=1e-5)


def test_the_command_writes_them_beside_a_saved_model(made: RunResult) -> None:
    words = ["similar", "--all", "--model", made.paths["model"], "--count", "2"]
    ended = CliRunner().invoke(program("similar"), words)
    assert ended.exit_code == 0, ended.output
    found = pd.read_parquet(Path(made.paths["similar"], "similar.parquet"))
    assert found.groupby("item").size().eq(2).all()
    assert "similar: name an item, or ask for --all" in str(
        CliRunner().invoke(program("similar"), ["similar"]).exception
    )
