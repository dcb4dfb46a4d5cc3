"""What users get wrong, and what they are told before anything expensive has run.

Covers: wrong or missing validation and pairs files, ids of another kind, URLs, settings given as paths and mappings.
Does not cover: bad rows and files of ratings (test_bad_input.py, test_bad_files.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from ungated import UNGATED_SECTION

import funkflow
from funkflow import Model, run
from funkflow.pipeline.progress.events import Event, Noticed, StageFinished
from funkflow.tasks.errors import BadInput, SettingsError


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    lines = [f"{user},{item},{1 + (user * item) % 5}" for user in range(1, 41) for item in range(1, 13)]
    path.write_text("user,item,rating\n" + "\n".join(lines) + "\n")
    return path


def settings_for(ratings: Path, **sections: Mapping[str, object]) -> dict[str, object]:
    content: dict[str, dict[str, object]] = {
        "ingest": {"ratings": ratings},
        "train": {"rank": 3, "epochs": 2},
        "gate": UNGATED_SECTION,
        "cluster": {"threads": 2},
    }
    for name, values in sections.items():
        content[name] = {**content.get(name, {}), **values}
    return {"root": str(ratings.parent / "root"), **content}


def test_one_path_and_a_mapping_are_settings_enough(ratings: Path) -> None:
    assert run(settings_for(ratings)).rmse is not None


def test_a_settings_file_may_be_a_path_object(ratings: Path) -> None:
    path = ratings.with_name("mine.toml")
    small = "[train]\nrank = 2\nepochs = 1\n[gate]\nbeats_biases = false\n"
    path.write_text(f'root = "{ratings.parent}/root"\n[ingest]\nratings = "{ratings}"\n{small}')
    assert run(path).rank == 2


@pytest.mark.parametrize("section", ["split", "predict"])
@pytest.mark.parametrize("fault", ["no such file", "the file is empty"])
def test_a_missing_or_empty_file_is_named_before_anything_runs(ratings: Path, section: str, fault: str) -> None:
    path = ratings.with_name("other.csv")
    if "empty" in fault:
        path.write_text("")
    values = {"kind": "file", "file": str(path)} if section == "split" else {"pairs": str(path)}
    setting = {"split": r"split\.file", "predict": r"predict\.pairs"}[section]
    with pytest.raises(BadInput, match=rf"other\.csv: {fault}; check {setting}"):
        run(settings_for(ratings, **{section: values}))
    assert not list((ratings.parent / "root").glob("datasets/*"))


def test_the_ratings_themselves_do_not_validate(ratings: Path) -> None:
    with pytest.raises(BadInput, match="names the ratings themselves"):
        run(settings_for(ratings, split={"kind": "file", "file": str(ratings)}))


def test_validation_on_unknown_ids_is_warned_of(ratings: Path) -> None:
    path = ratings.with_name("validation.csv")
    path.write_text("user,item,rating\n901,1,3\n902,2,4\n")
    events: list[Event] = []
    run(settings_for(ratings, split={"kind": "file", "file": str(path)}), until="split", listeners=[events.append])
    warnings = [event.message for event in events if isinstance(event, Noticed) and event.warning]
    assert len(warnings) == 1
    assert "none of the 2 ratings" in warnings[0]
    assert "check its ids" in warnings[0]


def test_pairs_with_columns_of_other_names_and_unknown_ids(ratings: Path) -> None:
    pairs = ratings.with_name("pairs.parquet")
    pairs.with_suffix(".csv").write_text("who,what\n1,2\n999,2\n")
    events: list[Event] = []
    settings = settings_for(ratings, predict={"pairs": str(pairs.with_suffix(".csv"))})
    settings["ingest"] = {"ratings": ratings, "columns": {"user": "user", "item": "item"}}
    with pytest.raises(BadInput, match=r"pairs\.csv.*who"):
        run(settings)
    renamed = ratings.with_name("renamed.csv")
    renamed.write_text(ratings.read_text().replace("user,item,rating", "who,what,rating", 1))
    settings["ingest"] = {"ratings": renamed, "columns": {"user": "who", "item": "what"}}
    result = run(settings, listeners=[events.append])
    table = pq.read_table(Path(result.paths["predictions"], "predictions.parquet"))
    assert table["user"].to_pylist() == [1, 999]
    (said,) = [event.summary for event in events if isinstance(event, StageFinished) and event.stage == "predict"]
    assert "(1 with a user or item that the model lacks)" in said


def test_ids_with_leading_zeros_stay_apart(ratings: Path) -> None:
    path = ratings.with_name("zeros.csv")
    rows = [f"{user},{item},{1 + item % 5}" for user in ("007", "07", "7", "8") for item in range(1, 30)]
    path.write_text("user,item,rating\n" + "\n".join(rows) + "\n")
    model = Model.load(run(settings_for(path)).paths["model"])
    assert sorted(model.user_ids) == ["007", "07", "7", "8"]


def test_a_netflix_date_cut_short_is_a_bad_row(ratings: Path) -> None:
    path = ratings.with_name("combined_data_1.txt")
    path.write_text("1:\n7,3,2005-01-02\n8,4,20")
    with pytest.raises(BadInput, match=r"combined_data_1\.txt:3.*'20'"):
        run(settings_for(path), until="ingest")


@pytest.mark.parametrize("url", ["bogus://bucket/ratings.csv", "bogus://bucket"])
def test_a_url_of_an_unknown_kind_is_a_settings_error(ratings: Path, url: str) -> None:
    settings = settings_for(ratings)
    settings |= {"ingest": {"ratings": url}} if url.endswith("csv") else {"root": url}
    with pytest.raises(SettingsError, match=r"bogus://bucket.*: this kind of URL cannot be opened"):
        run(settings)


def test_more_shards_than_items_are_refused(ratings: Path) -> None:
    with pytest.raises(SettingsError, match=r"grid\.shards = 50 exceeds the number of users \(40\) or items \(12\)"):
        run(settings_for(ratings, grid={"shards": 50}))


def test_there_is_nothing_to_synthesise_without_the_section(ratings: Path) -> None:
    with pytest.raises(SettingsError, match=r"the settings have no \[synth\] section"):
        run(settings_for(ratings), until="synth")


def test_a_model_shows_itself_in_one_line(ratings: Path) -> None:
    model = Model.load(run(settings_for(ratings)).paths["model"])
    assert repr(model).startswith("Model(rank 3, 40 users x 12 items, RMSE ")
    assert "\n" not in repr(model)


def test_a_preset_without_its_data_says_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, words in (
        ("movielens-1m", "unpack ml-1m.zip from grouplens.org/datasets/movielens/1m in data/raw, or name your own"),
        ("movielens-100k", "unpack ml-100k.zip from grouplens.org/datasets/movielens/100k in data/raw"),
        ("netflix", r"probe.txt, qualifying.txt and movie_titles.txt \(kaggle.com.* under data/raw/netflix"),
    ):
        with pytest.raises(BadInput, match=f"^data/raw/.*: no such file or folder. .*{words}.*conf/{name}.toml"):
            run(name)
    with pytest.raises(BadInput, match=r"^mine\.csv: no such file or folder; check ingest.ratings"):
        run("movielens-1m", ["ingest.ratings=['mine.csv']"])


@pytest.mark.parametrize(
    "given",
    [
        lambda frame: frame,
        lambda frame: {"ingest": {"ratings": frame}},
        lambda frame: {"ingest": {"ratings": [frame]}},
    ],
)
def test_a_table_in_the_settings_is_told_where_it_goes(given: Callable[[pd.DataFrame], Any]) -> None:
    frame = pd.DataFrame({"user": [1, 2], "item": [3, 4], "rating": [5.0, 1.0]})
    with pytest.raises(SettingsError) as refused:
        run(given(frame))
    assert refused.value.message.endswith("an argument of their own: funkflow.run(ratings=table)")
    assert "\n" not in refused.value.message


def test_the_remedy_for_a_table_works() -> None:
    frame = pd.DataFrame({"user": [1, 2] * 4, "item": range(8), "rating": [5.0, 1.0] * 4})
    assert run(ratings=frame, until="ingest").paths["dataset"]


def test_the_package_shows_what_it_offers() -> None:
    names = ["MatrixFactorization", "Model", "RunResult", "Settings", "__version__", "plots", "reconstruction", "run"]
    assert dir(funkflow) == names
    assert funkflow.__version__ == version("funkflow")
