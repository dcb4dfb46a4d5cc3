"""`--goal both`: two models on one grid, each in use for what it is good at.

Covers: pipeline/commands/stages.py, the models in use by goal (pipeline/root/model_in_use.py), `--model current`.
Does not cover: what a goal sets (tests/cluster/test_goal.py), the rest of the pointer (tests/cluster/test_current.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from program import funkflow, overrides

from funkflow.pipeline.root.model_in_use import in_use, rollback

ITEMS, GROUPS = 30, 3
CHEAP = overrides("train.rank=4", "train.epochs=6", "report.write=false", "gate.beats_biases=false")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root after one command for both goals: users rate most items of their own group, and few others."""
    folder = tmp_path_factory.mktemp("both")
    rng = np.random.default_rng(2)
    users, items = (each.ravel() for each in np.indices((90, ITEMS)))
    kept = rng.random(len(users)) < np.where(users % GROUPS == items % GROUPS, 0.7, 0.05)
    frame = pd.DataFrame({"user": users, "item": items, "rating": rng.integers(3, 6, len(users))})[kept]
    frame.to_csv(folder / "ratings.csv", index=False)
    ended = funkflow(
        "run", "--ratings", f"{folder}/ratings.csv", "--root", f"{folder}/root", "--goal", "both", "--json", *CHEAP
    )
    assert ended.returncode == 0, ended.stderr
    (folder / "results.json").write_text(ended.stdout, encoding="utf-8")
    return folder / "root"


def test_both_models_are_on_one_grid_and_each_is_in_use_for_its_goal(root: Path) -> None:
    ratings, ranking = (json.loads(line) for line in (root.parent / "results.json").read_text().splitlines())
    assert [each["goal"] for each in (ratings, ranking)] == ["ratings", "ranking"]
    assert ratings["paths"]["grid"] == ranking["paths"]["grid"]
    now = in_use(str(root))
    assert now.used_for("ratings") == now.previous[0]
    assert [now.best_for(goal).run_id for goal in ("ratings", "ranking")] == [ratings["run_id"], ranking["run_id"]]


def test_commands_take_the_model_for_what_they_do(root: Path, tmp_path: Path) -> None:
    now = in_use(str(root))
    (tmp_path / "pairs.csv").write_text("user,item\n0,0\n1,2\n", encoding="utf-8")
    there = ("--model", "current", "--root", str(root))
    predicted = funkflow("predict", "--pairs", f"{tmp_path}/pairs.csv", "--out", f"{tmp_path}/out", *there)
    assert predicted.returncode == 0, predicted.stderr
    assert "trained to rank" not in predicted.stderr
    found = funkflow("recommend", "--user", "0", "--json", *there)
    assert json.loads(found.stdout)["paths"]["model"].endswith(f"{now.best_for('ranking').run_id}/model")
    assert "trained to predict ratings" not in found.stderr
    of_ratings = root / "runs" / now.best_for("ratings").run_id / "model"
    found = funkflow("recommend", "--user", "0", "--model", str(of_ratings))
    assert "trained to predict ratings; to train one that recommends, set train.goal = ranking" in found.stderr
    ranking = root / "runs" / now.best_for("ranking").run_id / "model"
    scores = funkflow(
        "predict", "--pairs", f"{tmp_path}/pairs.csv", "--out", f"{tmp_path}/two", "--model", str(ranking)
    )
    assert "this model was trained to rank: it predicts scores, not ratings" in scores.stderr


def test_a_rollback_takes_back_the_model_of_one_goal(root: Path) -> None:
    before = in_use(str(root))
    back, taken_back = rollback(str(root))
    assert taken_back == before.best_for("ranking").run_id
    assert back.used_for("ranking") is None
    assert back.best_for("ranking") == back.used_for("ratings") == back.use
