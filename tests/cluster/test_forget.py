"""Forgetting: no row of a user gets into a dataset any more, and the command says what holds him and removes it.

Covers: tasks/parsing/erased_ids.py, pipeline/datasets/erasure.py, `funkflow forget`, and ingest, grown and cold, with a
list.
Does not cover: what else a dataset keeps as it grows (test_growing.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from growing import HEADER, Row, lines, made, raw_ids, triples
from hypothesis import given
from hypothesis import strategies as st
from ingesting import ingest, settings, table
from raw_forms import attempt
from typer.testing import CliRunner

from funkflow.pipeline.cli import program
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.from_python import run
from funkflow.pipeline.root.manifests import Dataset
from funkflow.pipeline.root.records import DatasetParent
from funkflow.pipeline.settings.sections import SplitSettings
from funkflow.pipeline.stages.split import split
from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.parsing.erased_ids import ErasedIds, read_forgotten, write_forgotten
from funkflow.tasks.parsing.ids import close_gaps

ROWS = made(2500)


def folder_of(tmp_path: Path, rows: list[Row]) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir(exist_ok=True)
    (folder / "day-0.csv").write_text(HEADER + lines(rows))
    return folder


def forget(context: Context, **ids: Any) -> None:
    write_forgotten(context.store.forgotten, read_forgotten(context.store.forgotten).adding(**ids))


def without(context: Context, manifest: Dataset, side: str, raw_id: int) -> bool:
    """Say whether nothing of a dataset speaks of an id."""
    return raw_id not in raw_ids(context, manifest, f"{side}s") and raw_id not in set(table(context, manifest)[side])


@pytest.mark.parametrize("incremental", [False, True])
def test_no_row_of_a_forgotten_user_gets_in(incremental: bool, context: Context, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ROWS)
    chosen = settings(folder / "*.csv", incremental=incremental)
    first = ingest(context, chosen)
    forget(context, user=["7"], item=["3"])
    second = ingest(context, chosen)
    assert second.id != first.id
    assert without(context, second, "user", 7)
    assert without(context, second, "item", 3)
    kept = [row for row in ROWS if row[0] != 7 and row[1] != 3]
    assert [row[:3] for row in triples(context, second)] == sorted((user, item, float(r)) for user, item, r, _ in kept)
    assert second.users == first.users - 1
    assert second.parsed_bytes == (0 if incremental else (folder / "day-0.csv").stat().st_size)


def test_he_does_not_come_back_with_new_rows_and_others_keep_their_numbers(context: Context, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ROWS)
    first = ingest(context, settings(folder / "*.csv", incremental=True))
    forget(context, user=["7"])
    (folder / "day-1.csv").write_text(HEADER + lines([(7, 900, 5, 9000), (8, 900, 4, 9001), (555, 1, 2, 9002)]))
    second = ingest(context, settings(folder / "*.csv", incremental=True))
    assert second.parent == DatasetParent(id=first.id, rows=True)
    assert second.parsed_bytes == (folder / "day-1.csv").stat().st_size
    assert without(context, second, "user", 7)
    assert len(table(context, second)) == second.ratings == 2500 - 50 + 2
    before, now = (raw_ids(context, each, "users") for each in (first, second))
    assert sum(old != new for old, new in zip(before[:49], now[:49], strict=True)) <= 1
    items = [raw_ids(context, each, "items") for each in (first, second)]
    assert items[1][: len(items[0])] == items[0]


@pytest.mark.parametrize("with_ratings", [False, True])
def test_what_a_validation_file_says_of_him_is_passed_over(
    with_ratings: bool, context: Context, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, ROWS)
    probe = tmp_path / "probe.csv"
    pairs = [(7, 0, 5, 1), (8, 0, 5, 1), (8, 3, 2, 1)]
    header = "user,item,rating,timestamp\n" if with_ratings else "user,item\n"
    probe.write_text(header + "".join(",".join(map(str, each[: 4 if with_ratings else 2])) + "\n" for each in pairs))
    forget(context, user=["7"], item=["3"])
    chosen = settings(folder / "*.csv")
    dataset = ingest(context, chosen)
    held_out = split(attempt(context), dataset, SplitSettings(kind="file", file=str(probe)), chosen, 0.0)
    assert (held_out.validation.ratings, held_out.unknown) == (1, 0)


def test_one_who_is_taken_off_the_list_has_his_rows_again(context: Context, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ROWS)
    forget(context, user=["7"])
    chosen = settings(folder / "*.csv", incremental=True)
    ingest(context, chosen)
    Path(context.store.forgotten).unlink()
    again = ingest(context, chosen)
    assert again.parent
    assert (again.ratings, again.parent.rows) == (2500, False)


def test_bad_rows_are_not_kept_in_clear_where_somebody_is_forgotten(context: Context, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, [*ROWS, (7, 9999, 5, -(10**15))])
    chosen = settings(folder / "*.csv", on_bad_rows="quarantine", incremental=True)
    for held in (["7,9999,5,-1000000000000000"], [""]):
        dataset = ingest(context, chosen)
        aside = pd.read_parquet(Path(context.store.dataset(dataset.id)) / "quarantine.parquet")
        assert aside["text"].tolist() == held
        forget(context, user=["7"])


def test_the_list_names_nobody_and_is_not_changed_by_other_hands(tmp_path: Path) -> None:
    url = str(tmp_path / "forgotten.json")
    forgotten = ErasedIds().adding(user=["4711", "ann"])
    write_forgotten(url, forgotten)
    assert read_forgotten(url) == forgotten
    text = Path(url).read_text()
    assert "ann" not in text
    assert "4711" not in "".join(forgotten.user)
    assert forgotten.holds("user", pa.array([4711, 12])).tolist() == [True, False]
    assert forgotten.holds("user", pa.array(["ann", "bob"])).tolist() == [True, False]
    assert forgotten.holds("item", pa.array([4711])).tolist() == [False]
    other = ErasedIds().adding(user=["4711"])
    assert not other.user & forgotten.user  # another root, another key
    Path(url).write_text(text.replace(min(forgotten.user), min(other.user)))
    with pytest.raises(DamagedFile, match="changed since it was written"):
        read_forgotten(url)


@given(kept=st.lists(st.booleans(), max_size=60))
def test_gaps_are_closed_by_moving_no_more_than_there_are(kept: list[bool]) -> None:
    ids = pa.array(range(100, 100 + len(kept)))
    mask = pa.array(kept, pa.bool_()).to_numpy(zero_copy_only=False)
    closed = close_gaps(ids, mask).to_pylist()
    assert sorted(closed) == [each for each, stays in zip(ids.to_pylist(), kept, strict=True) if stays]
    moved = sum(old != new for old, new in zip(ids.to_pylist(), closed, strict=False))
    assert moved <= kept.count(False)


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings whose run has been made once, and then once more with some more ratings."""
    folder = tmp_path_factory.mktemp("forgetting")
    raw = folder_of(folder, ROWS)
    path = folder / "conf.toml"
    path.write_text(
        f'root = "{folder}/root"\n[ingest]\nratings = ["{raw}/*.csv"]\nincremental = true\n'
        "[train]\nrank = 2\nepochs = 2\n[gate]\nbeats_biases = false\n"
    )
    run(path, until="export")
    (raw / "day-1.csv").write_text(
        HEADER + lines([(user, item, 4, 9000) for user in (7, 8) for item in range(900, 906)])
    )
    run(path, until="export")
    return path


def asked(*words: str) -> dict[str, Any]:
    """Return what the command says as JSON."""
    told = CliRunner().invoke(program(), ["forget", *words, "--json"])
    assert told.exit_code == 0, told.output
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def held(content: dict[str, Any]) -> dict[str, list[bool]]:
    """Return by kind which holders are at work."""
    found: dict[str, list[bool]] = {}
    for each in content["holders"]:
        found.setdefault(each["kind"], []).append(each["at_work"])
    return {kind: sorted(each) for kind, each in found.items()}


KINDS = ("run", "grid", "split", "dataset", "blocks")


def test_the_command_says_what_holds_him_and_removes_it(conf: Path) -> None:
    root = conf.parent / "root"
    told = asked(str(conf), "--user", "7")
    assert told["forgotten"] == {"users": 1, "items": 0}
    assert held(told) == {kind: [False, True] for kind in KINDS}
    assert all(each["bytes"] > 0 and not each["removed"] for each in told["holders"])
    removed = asked(str(conf), "--yes")
    assert {each["removed"] for each in removed["holders"] if not each["at_work"]} == {True}
    for kind in ("runs", "grids", "splits", "datasets"):
        assert len(list((root / kind).iterdir())) == 1
    said = CliRunner().invoke(program(), ["forget", "--root", str(root)]).stdout
    assert "in use holds them until the next run" in " ".join(said.split())

    result = run(conf, until="export")
    dataset = json.loads((Path(result.paths["dataset"]) / "manifest.json").read_text())
    assert (dataset["parsed_bytes"], dataset["parent"]["rows"]) == (0, True)
    users = pd.concat(map(pd.read_parquet, Path(result.paths["model"]).glob("user_factors*")))["raw_id"].tolist()
    assert (7 in users, 8 in users, len(users)) == (False, True, 49)
    assert held(asked(str(conf), "--yes")) == {kind: [False] for kind in KINDS}
    assert asked("--root", str(root))["holders"] == []
    assert run(conf, until="export").rmse == result.rmse
    left = pd.concat(pd.read_parquet(path) for path in (root / "datasets").glob("*/users.parquet"))
    assert 7 not in left["raw_id"].tolist()


def test_nobody_to_forget_is_said(tmp_path: Path) -> None:
    told = CliRunner().invoke(program(), ["forget", "--root", str(tmp_path)])
    assert isinstance(told.exception, SettingsError)
    assert str(told.exception) == "nobody is forgotten yet: name a --user or an --item"
