"""The words of recommend, similar and factors: what they print where, and how mistakes are told.

Covers: pipeline/commands/recommend.py, in processes of their own.
Does not cover: what is recommended (test_recommend.py, test_recommender.py).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from program import SMALL, funkflow
from root_in_use import root as root

from funkflow import Model
from funkflow.tasks.model.about import About
from funkflow.tasks.storage import files


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


def test_recommend_prints_a_chosen_user_with_titles_and_writes_nothing(root: Path, model: str) -> None:
    """By the settings of a run that is there, or by its model; of two users in the order that is asked for."""
    before = sorted(root.glob("runs/*/*"))
    first, second = (str(user) for user in Model.load(model).user_ids[:2])
    words = ["--count", "3", "--user", second, "--user", first]
    done = funkflow("recommend", "demo", *words, "--root", str(root), *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index(f"for user {second}") < done.stdout.index(f"for user {first}")
    assert "title" in done.stdout
    assert "live page" not in done.stderr
    by_model = funkflow("recommend", "--model", model, *words, "--json")
    rows = json.loads(by_model.stdout.splitlines()[-1])["recommendations"]
    assert [(str(row["user"]), row["rank"]) for row in rows] == [
        (u, rank) for u in (second, first) for rank in (1, 2, 3)
    ]
    assert all(str(row["item"]) in done.stdout for row in rows)
    assert sorted(root.glob("runs/*/*")) == before


@pytest.mark.parametrize("goal", ["ratings", "ranking"])
def test_somebody_new_is_recommended_items_by_what_they_rated(
    root: Path, model: str, tmp_path: Path, goal: str
) -> None:
    """By settings or by a model, wherever it lies; an item without a rating counts as the greatest."""
    conf = ["demo", "--root", str(root), *SMALL]
    if goal == "ranking":
        conf += ["--set", "train.goal=ranking", "--set", "gate.beats_most_rated=false"]
        done = funkflow("export", *conf, "--json")
        model = json.loads(done.stdout.splitlines()[-1])["paths"]["model"]
    loaded = Model.load(model)
    first, second, third = loaded.item_ids[:3].tolist()
    done = funkflow("recommend", *conf, "--rated", f"{second}=4,{first}", "--rated", f"{third}=2.5", "--count", "3")
    assert done.returncode == 0, done.stderr
    assert "for somebody new" in done.stdout
    moved = shutil.copytree(model, tmp_path / "moved")
    words = ["--rated", f"{third}=2.5, {second}=4", "--rated", f"{first}=5", "--count", "3", "--json"]
    rows = json.loads(funkflow("recommend", "--model", str(moved), *words).stdout.splitlines()[-1])["recommendations"]
    expected = loaded.recommend(loaded.fold_in({first: 5.0, second: 4.0, third: 2.5}), 3)
    assert [row["item"] for row in rows] == expected.items.tolist()
    assert [row["user"] for row in rows] == [None] * 3
    assert all(str(row["item"]) in done.stdout for row in rows)


def test_ids_with_commas_and_equals_signs_are_whole_words(tmp_path: Path) -> None:
    """Raw ids are text of any kind."""
    ids = np.array(["a,b", "c=1", "d"], object)
    zeros = np.zeros(3, np.float32)
    factors = np.eye(3, dtype=np.float32)
    about: About = {"l2": 0.1, "deviation": 1.0}
    Model(3.0, (1.0, 5.0), ids, ids, zeros, zeros, factors, factors, about).save(str(tmp_path))
    words = ["--rated", "a,b=2", "--rated", "c=1"]
    done = funkflow("recommend", "--model", str(tmp_path), *words, "--json")
    assert done.returncode == 0, done.stderr
    assert [row["item"] for row in json.loads(done.stdout.splitlines()[-1])["recommendations"]] == ["d"]


def test_a_model_that_was_moved_does_not_know_what_is_seen(model: str, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "runs" / "other" / "model")
    done = funkflow("recommend", "--model", str(tmp_path / "runs" / "other" / "model"))
    assert done.returncode == 3
    assert "the trained-on ratings are not beside this model" in done.stderr
    assert done.stderr.count("\n") == 1
    done = funkflow("similar", "--all", "--model", str(tmp_path / "runs" / "other" / "model"))
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "similar items go into the folder of its run" in done.stderr


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
        (["similar", "99999", "--model", "MODEL"], 3, "item 99999: this id is not in the model"),
        (["similar", "x", "--model", "MODEL"], 3, "item 'x': the item ids of this model are integers"),
        (["similar", "demo", "1", "--model", "MODEL"], 2, "--model takes the place of CONF"),
        (["recommend", "--model", "MODEL", "--root", "elsewhere"], 2, "--model takes the place of CONF"),
        (["recommend", "--model", "MODEL", "--user", "0"], 3, "there is no user 0 in the data"),
        (["recommend", "--model", "MODEL", "--rated", "99999"], 3, "item 99999: this id is not in the model; leave it"),
        (["recommend", "--model", "MODEL", "--rated", "x=3"], 3, "item 'x': the item ids of this model are integers"),
        (
            ["recommend", "--model", "MODEL", "--rated", "1=good"],
            3,
            "--rated 1=good: 'good' is not a number; write 1=4",
        ),
        (["recommend", "--model", "MODEL", "--rated", "1=9"], 3, "rating 9 of 1 is not a number from 1 to 5"),
        (["recommend", "demo", "--rated", "1", "--user", "1"], 2, "leave out one of them"),
        (["factors", "--model", "MODEL", "--set", "train.rank=3"], 2, "--set has no effect with --model"),
        (["similar", "1", "--model", "MODEL", "--count", "0"], 2, "--count 0: ask for at least one item"),
        (["similar", "--all", "--model", "MODEL", "--count", "0"], 2, "--count 0: ask for at least one item"),
        (
            ["similar", "--all", "1", "--model", "MODEL"],
            2,
            "1: --all takes no item; beside --model it takes no settings",
        ),
        (["similar", "demo"], 2, "(such as demo), --ratings PATH, or a model with --model"),
        (["similar", "1", "--model", "MODEL/.."], 2, "(no model.json); name MODEL/../model"),
        (
            ["recommend", "--model", "MODEL", "--user", "x"],
            3,
            "user ids of this model are integers, not x; check --user",
        ),
        (["factors", "--model", "MODEL", "--count", "0"], 2, "--count 0: ask for at least one factor"),
    ],
)
def test_mistakes_are_one_line_with_the_right_code(model: str, words: list[str], code: int, message: str) -> None:
    done = funkflow(*[word.replace("MODEL", model) for word in words])
    assert done.returncode == code
    assert message.replace("MODEL", model) in done.stderr
    assert done.stderr.count("\n") == 1
