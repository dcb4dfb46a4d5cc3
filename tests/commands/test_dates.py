"""The logical date: what `{date}` and `{dates}` in paths stand for, and what is said where there is no file of it.

Covers: pipeline/settings/effective.py and the date of a Request, with local files and in a store.
Does not cover: reading the files (test_ingest.py).
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from funkflow import run
from funkflow.pipeline.settings.effective import on_date
from funkflow.pipeline.settings.request import Request
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.storage import files

DAYS = ("2026-01-30", "2026-01-31", "2026-02-01")


def made(folder: str, *names: str) -> None:
    for name in names:
        files.write_bytes(f"{folder}/{name}", b"user,item,rating\n1,2,3\n")


def filled(date: str, **sections: dict[str, Any]) -> Settings:
    return on_date(Settings.build(sections), Request.checked(date=date))


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_dates_are_the_files_up_to_and_including_the_date(tmp_path: Path, kind: str) -> None:
    folder = str(tmp_path) if kind == "file" else f"memory://{tmp_path.name}"
    made(folder, *(f"{day}.csv" for day in DAYS), "2026-02-30.csv", "latest.csv", "2026-01-30.csv.bak")
    found = filled("2026-01-31", ingest={"ratings": f"{folder}/{{dates}}.csv"})
    assert found.ingest.ratings == (f"{folder}/2026-01-30.csv", f"{folder}/2026-01-31.csv")
    assert len(filled("2027-01-01", ingest={"ratings": f"{folder}/{{dates}}.csv"}).ingest.ratings) == 3


def test_dates_may_stand_in_folders_and_beside_globs(tmp_path: Path) -> None:
    made(str(tmp_path), *(f"day-{day}/part-{number}-of-{day}.csv" for day in DAYS for number in (1, 2)))
    entry = f"{tmp_path}/day-{{dates}}/part-*-of-{{dates}}.csv"
    found = filled("2026-01-31", ingest={"ratings": entry})
    assert found.ingest.ratings == tuple(entry.replace("{dates}", day) for day in DAYS[:2])
    made(str(tmp_path), *(f"flat/part-{number}-{day}.csv" for day in DAYS for number in (1, 2)))
    found = filled("2026-01-30", ingest={"ratings": f"{tmp_path}/flat/part-*-{{dates}}.csv"})
    assert found.ingest.ratings == (f"{tmp_path}/flat/part-*-2026-01-30.csv",)


def test_the_date_alone_is_filled_in_everywhere() -> None:
    found = filled(
        "2026-01-31",
        ingest={"ratings": ["a/{date}.csv", "b.csv"]},
        split={"kind": "file", "file": "v/{date}.csv"},
        predict={"pairs": "p/{date}.csv"},
    )
    assert found.ingest.ratings == ("a/2026-01-31.csv", "b.csv")
    assert (found.split.file, found.predict.pairs) == ("v/2026-01-31.csv", "p/2026-01-31.csv")


def test_a_date_without_any_file_is_bad_input(tmp_path: Path) -> None:
    made(str(tmp_path), *(f"{day}.csv" for day in DAYS))
    with pytest.raises(BadInput, match=r"\{dates\}\.csv: no file of 2026-01-01 or a date before it; check --date"):
        filled("2026-01-01", ingest={"ratings": f"{tmp_path}/{{dates}}.csv"})
    settings = {"root": str(tmp_path / "root"), "ingest": {"ratings": f"{tmp_path}/{{date}}.csv"}}
    with pytest.raises(BadInput, match=r"2026-01-01\.csv: no such file"):
        run(settings, until="ingest", date="2026-01-01")


@pytest.mark.parametrize("section", [{"split": {"kind": "file", "file": "{dates}"}}, {"predict": {"pairs": "{dates}"}}])
def test_one_file_is_not_of_many_dates(section: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"this is a single file; write \{date\}"):
        filled("2026-01-31", **section)


@pytest.mark.parametrize("date", ["yesterday", "2026-02-30", "20260131", "2026-W05-6"])
def test_a_date_is_written_in_one_way(date: str) -> None:
    with pytest.raises(SettingsError, match="YYYY-MM-DD"):
        Request.checked(date=date)


def test_today_is_the_date_unless_one_is_named() -> None:
    days = {datetime.datetime.now(datetime.UTC).date().isoformat() for _ in range(2)}
    assert Request.checked().date in days | {datetime.datetime.now(datetime.UTC).date().isoformat()}
    assert Request.checked(date=datetime.date(2026, 1, 31)).date == "2026-01-31"
