"""The command `init`: a settings file that runs at once, and whose every line holds when it is uncommented.

Covers: each sample form, options, likes, what must not be in a file, and that nothing is overwritten.
Does not cover: what is recognised (tests/unit/test_formats.py and beside it).
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from program import CHECKOUT, funkflow_anew

from funkflow import Settings
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings import starter_file
from funkflow.pipeline.settings.starter_file import recognise_ratings, starter_text
from funkflow.tasks.parsing.erased_ids import NOBODY, write_forgotten

SAMPLES = CHECKOUT / "data" / "samples"
FORMS = (
    "netflix", "combined_data_1.txt", "ratings.dat", "u.data", "ratings.csv", "ratings.tsv", "ratings.parquet",
    "ratings.jsonl", "ratings.tsv.gz", "ratings.zip", "hive",
)  # fmt: skip
CSV = "user,item,rating,timestamp\n" + "".join(f"{n % 7},{n % 5},{1 + n % 5},{10**9 + n}\n" for n in range(20))


def text_for(*ratings: str, **sections: dict[str, str]) -> str:
    content = {"ingest": {"ratings": list(ratings)}, **sections}
    return starter_text(content, recognise_ratings(Settings.build(content), NOBODY), "funkflow.toml")


def uncommented(text: str) -> dict[str, object]:
    """Every line in force that shows a setting; a remark begins with a hash and a blank."""
    return tomllib.loads(re.sub(r"^#(?! )", "", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", FORMS)
def test_each_line_of_the_file_of_a_sample_holds(name: str) -> None:
    place = str(SAMPLES / name)
    text = text_for(place)
    assert tomllib.loads(text)["ingest"] == {"ratings": place}
    settings, bare = Settings.build(uncommented(text)), Settings.build(tomllib.loads(text))
    assert bare == Settings.build({"ingest": {"ratings": [place]}})
    assert settings.train.rank == bare.train.rank
    assert recognise_ratings(settings, NOBODY).form == recognise_ratings(bare, NOBODY).form
    assert settings.model_dump(exclude={"ingest", "train", "ranking"}) == bare.model_dump(
        exclude={"ingest", "train", "ranking"}
    )


def test_descriptions_and_defaults_are_those_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    text = " ".join(line.removeprefix("# ") for line in text_for(str(tmp_path / "a.csv")).splitlines())
    for section, names in starter_file._OFFERED.items():
        place = getattr(Settings(), section)
        for name in names:
            description = (type(place).model_fields[name].description or "").split("; ")[0]
            assert description
            assert description in text
            assert f"#{name} = " in text
    assert all(question in text for question in starter_file._QUESTIONS.values())


def test_a_goal_sets_the_defaults_that_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    text = text_for(str(tmp_path / "a.csv"), train={"goal": "ranking"})
    assert '\ngoal = "ranking"' in text
    assert f"#epochs = {Settings.build({'train': {'goal': 'ranking'}}).train.epochs}" in text
    assert Settings.build(uncommented(text)).train.goal == "ranking"


def test_likes_are_for_a_ranking(tmp_path: Path) -> None:
    (tmp_path / "likes.csv").write_text(re.sub(r",\d+,\d+$", "", CSV.replace(",rating,timestamp", ""), flags=re.M))
    text = text_for(str(tmp_path / "likes.csv"))
    assert "# no ratings, so every row is a like" in text
    assert Settings.build(tomllib.loads(text)).train.goal == "ranking"
    assert Settings.build(uncommented(text)).train.weighs_missing_cells


def test_a_doubt_is_a_question(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("".join(f"{n % 7},{n % 5},{1 + n % 5},yes\n" for n in range(20)), encoding="utf-8")
    assert "# Question: column 3 has no times and is left out. Is that right?" in text_for(str(tmp_path / "a.csv"))


def test_what_to_write_instead_is_toml(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_text("".join(f"{n % 7}::{n % 5}::{1 + n % 5}\n" for n in range(20)), encoding="utf-8")
    assert "Then write counts = 2 instead." in text_for(str(tmp_path / "a.dat")).replace("\n# ", " ")
    assert 'Then write file = "' in text_for(str(SAMPLES / "netflix")).replace("\n# ", " ")


def test_an_id_cannot_break_the_file(tmp_path: Path) -> None:
    rows = "".join(f'"a\x01\nrank = {n}",i{n},3\n' for n in range(5))
    (tmp_path / "a.csv").write_text(f"user,item,rating\n{rows}", encoding="utf-8")
    assert tomllib.loads(text_for(str(tmp_path / "a.csv")))["train"] == {}


def test_the_command_writes_the_file_once_and_names_the_next(tmp_path: Path) -> None:
    ratings, tests, out = tmp_path / "my ratings.csv", tmp_path / "tests.csv", tmp_path / "my.toml"
    ratings.write_text(CSV, encoding="utf-8")
    tests.write_text("user,item\n1,1\n", encoding="utf-8")
    words = ("init", str(ratings), "--validation", str(tests), "--goal", "ranking", "--out", str(out))
    done = funkflow_anew(*words)
    assert done.returncode == 0, done.stderr
    assert "user in column user, integers (0, 1, 2)" in done.stdout
    assert done.stdout.splitlines()[-1] == f"to try next  funkflow run {out}"
    settings = Settings.load(str(out))
    assert (settings.split.file, settings.split.kind, settings.train.goal) == (str(tests), "file", "ranking")
    assert Settings.build(uncommented(out.read_text(encoding="utf-8"))).split.file == str(tests)
    again = funkflow_anew(*words)
    assert (again.returncode, again.stdout) == (2, "")
    assert (
        again.stderr == f"funkflow: {out} exists, and is not overwritten: name another file with --out, or delete it\n"
    )
    assert Settings.load(str(out)) == settings


def test_erased_users_are_not_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    write_forgotten(Store(str(tmp_path / "root")).forgotten, NOBODY.adding(user=["0"], item=[]))
    done = funkflow_anew(
        "init", str(tmp_path / "a.csv"), "--out", str(tmp_path / "my.toml"), "--root", str(tmp_path / "root"), "--json"
    )
    assert json.loads(done.stdout)["recognised"][1] == "user in column user, integers (1, 2, 3)"


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("gone.csv",), 3, "gone.csv: no such file"),
        (("a.csv", "--out", "settings"), 2, "ends with .toml"),
        (("a.csv", "--validation", "a.csv"), 3, "names the ratings themselves"),
        (("https://me:secret@host/a.csv",), 2, "https://***@host/a.csv: a settings file holds no login"),
    ],
)
def test_a_mistake_is_one_line_and_no_file(words: tuple[str, ...], code: int, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    at = [str(tmp_path / word) if word.endswith((".csv", "settings")) and ":" not in word else word for word in words]
    if "--out" not in words:
        at += ["--out", str(tmp_path / "my.toml")]
    done = funkflow_anew("init", *at)
    assert done.returncode == code
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("*.toml"))
