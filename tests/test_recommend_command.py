"""The words of recommend, similar and factors: what they print where, and how mistakes are told.

Covers: pipeline/commands/recommend.py, in processes of their own.
Does not cover: what is recommended (test_recommend.py, test_recommender.py).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from program import funkflow
from test_cli import SMALL

from pipeline import Model
from tasks import files


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    done = funkflow("export", "demo", "--root", str(root), *SMALL)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def model(root: Path) -> str:
    (folder,) = root.glob("runs/*/model")
    return str(folder)


def test_recommend_writes_parquet_for_all_and_says_where(root: Path) -> None:
    done = funkflow("recommend", "demo", "--count", "3", "--root", str(root), "--json", *SMALL)
    assert done.returncode == 0, done.stderr
    folder = Path(json.loads(done.stdout.splitlines()[-1])["paths"]["recommendations"])
    users = len(Model.load(str(folder.parent / "model")).user_ids)
    assert json.loads((folder / "manifest.json").read_text())["rows"] == 3 * users


def test_recommend_prints_a_chosen_user_with_titles(root: Path, model: str) -> None:
    user = str(Model.load(model).user_ids[0])
    done = funkflow("recommend", "demo", "--count", "3", "--user", user, "--root", str(root), *SMALL)
    assert done.returncode == 0, done.stderr
    assert f"for user {user}" in done.stdout
    assert "title" in done.stdout
    done = funkflow("recommend", "demo", "--count", "3", "--user", user, "--root", str(root), "--json", *SMALL)
    rows = json.loads(done.stdout.splitlines()[-1])["recommendations"]
    assert [row["rank"] for row in rows] == [1, 2, 3]


def test_a_saved_model_recommends_what_its_run_does(root: Path, model: str) -> None:
    """Beside the run, from whose dataset and split it knows what is seen; made anew, not found there."""
    user = str(Model.load(model).user_ids[1])
    words = ["--count", "4", "--user", user, "--json"]
    by_run = funkflow("recommend", "demo", "--root", str(root), *words, *SMALL)
    folder = Path(json.loads(by_run.stdout.splitlines()[-1])["paths"]["recommendations"])
    shutil.rmtree(folder)
    by_model = funkflow("recommend", "--model", model, *words)
    assert by_model.returncode == 0, by_model.stderr
    rows = json.loads(by_model.stdout.splitlines()[-1])["recommendations"]
    assert rows == json.loads(by_run.stdout.splitlines()[-1])["recommendations"]
    assert len(rows) == 4
    assert (folder / "manifest.json").exists()


def test_a_model_that_was_moved_does_not_know_what_is_seen(model: str, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "runs" / "other" / "model")
    done = funkflow("recommend", "--model", str(tmp_path / "runs" / "other" / "model"))
    assert done.returncode == 3
    assert "the ratings that this model was trained on are not beside it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_recommending_with_a_saved_model_is_refused_where_it_cannot_fit(root: Path, model: str, tmp_path: Path) -> None:
    """A dataset said to have ten thousand million users."""
    shutil.copytree(root, tmp_path / "root")
    (manifest,) = tmp_path.glob("root/datasets/*/manifest.json")
    content = files.without_seal(str(manifest), json.loads(manifest.read_text()))
    files.write_sealed(str(manifest), {**content, "users": 10**10})
    done = funkflow("recommend", "--model", str(tmp_path / "root" / Path(model).relative_to(root)))
    assert done.returncode == 4, done.stderr
    assert "of memory for recommending and has" in done.stderr


def test_similar_and_factors_name_titles(model: str) -> None:
    loaded = Model.load(model)
    item = str(loaded.item_ids[0])
    done = funkflow("similar", item, "--model", model, "--count", "4", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout.splitlines()[-1])["similar"]
    assert [row["item"] for row in listed] == loaded.similar(int(item), 4)[0].tolist()
    assert all(row["title"] for row in listed)
    done = funkflow("factors", "--model", model, "--item", item, "--count", "2", "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout.splitlines()[-1])["factors"]
    assert abs(first["loading"]) >= abs(second["loading"])
    assert len(first["high"]) == len(first["low"]) == 3
    done = funkflow("factors", "--model", model)
    assert "strongest factors" in done.stdout
    narrow = [line for line in funkflow("factors", "--model", model, COLUMNS="80").stdout.splitlines() if line.strip()]
    assert len(narrow) == 4 + 3 * min(10, Model.load(model).rank)
    assert max(map(len, narrow)) <= 80


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["recommend", "demo", "--count", "0"], 2, "--count 0: ask for at least one item a user"),
        (["recommend"], 2, "nothing to run"),
        (["similar", "99999", "--model", "MODEL"], 3, "item 99999: the model never met this id"),
        (["similar", "x", "--model", "MODEL"], 3, "there is no item 'x': this model's items are numbers"),
        (["similar", "demo", "1", "--model", "MODEL"], 2, "--model is all that is needed"),
        (["recommend", "--model", "MODEL", "--root", "elsewhere"], 2, "--model is all that is needed"),
        (["recommend", "--model", "MODEL", "--user", "0"], 3, "there is no user 0 in the data"),
        (["factors", "--model", "MODEL", "--set", "train.rank=3"], 2, "--set changes nothing beside --model"),
        (["similar", "1", "--model", "MODEL", "--count", "0"], 3, "similar: n = 0; ask for at least one"),
        (["factors", "--model", "MODEL", "--count", "0"], 2, "--count 0: ask for at least one factor"),
    ],
)
def test_mistakes_are_one_line_with_the_right_code(model: str, words: list[str], code: int, message: str) -> None:
    done = funkflow(*[model if word == "MODEL" else word for word in words])
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
