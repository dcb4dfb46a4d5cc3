"""The same ratings written in every raw form that ingest reads; for tests of parsing, ingest and split.

Covers: Netflix text (mv files, tar, combined), MovieLens forms, CSV and Parquet, from one list of rows.
Does not cover: real data, or ratings that mean anything.
"""

from __future__ import annotations

import tarfile
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from funkflow.pipeline.cluster.context import Context

Row = tuple[int, int, int, str]
"""user, item, rating 1 to 5, ISO date"""


def attempt(context: Context) -> Context:
    """Return the context of another attempt: several runs of a stage in one test share no key of a task."""
    return replace(context, attempt=uuid.uuid4().hex[:8])


def made_rows(count: int = 400, users: int = 40, items: int = 30, seed: int = 0) -> list[Row]:
    """Return distinct pairs with ratings and dates, film by film as Netflix has them; raw ids are far apart."""
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.choice(users * items, size=count, replace=False))
    days = np.datetime64("1999-11-11") + rng.integers(0, 2200, count)
    ratings = rng.integers(1, 6, count)
    return [
        (int(cell % users) * 977 + 13, int(cell // users) + 1, int(rating), str(day))
        for cell, rating, day in zip(cells, ratings, days, strict=True)
    ]


def films(rows: list[Row]) -> dict[int, str]:
    """Return each film's lines, its header first."""
    text: dict[int, str] = {}
    for user, item, rating, day in rows:
        text[item] = text.get(item, f"{item}:\n") + f"{user},{rating},{day}\n"
    return text


def write_mv_folder(folder: Path, rows: list[Row]) -> Path:
    """Write mv_*.txt files into `folder`/training_set."""
    inner = folder / "training_set"
    inner.mkdir(parents=True)
    for item, text in films(rows).items():
        (inner / f"mv_{item:07d}.txt").write_text(text)
    return folder


def write_tar(path: Path, rows: list[Row], mode: str = "w") -> Path:
    """Write mv_*.txt members to a .tar (mode "w") or .tar.gz ("w:gz")."""
    folder = write_mv_folder(path.parent / f"{path.name}-members", rows)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder / "training_set", arcname="training_set")
    return path


def write_combined(folder: Path, rows: list[Row], files: int = 2) -> Path:
    """Write combined_data_*.txt files."""
    folder.mkdir(parents=True)
    texts = list(films(rows).values())
    for number in range(files):
        part = texts[number * len(texts) // files : (number + 1) * len(texts) // files]
        (folder / f"combined_data_{number + 1}.txt").write_text("".join(part))
    return folder


def write_probe(path: Path, rows: list[Row]) -> Path:
    """Write pairs in the form of probe.txt."""
    text: dict[int, str] = {}
    for user, item, _, _ in rows:
        text[item] = text.get(item, f"{item}:\n") + f"{user}\n"
    path.write_text("".join(text.values()))
    return path


def seconds(day: str) -> int:
    """Return seconds since 1970 of an ISO date."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def delimited(rows: list[Row], delimiter: str, header: str = "") -> str:
    """Return one line a row: user, item, rating, seconds."""
    lines = [delimiter.join(map(str, (user, item, rating, seconds(day)))) for user, item, rating, day in rows]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


def write_parquet(path: Path, rows: list[Row], row_group_size: int = 100) -> Path:
    """Write a Parquet file with usual column names."""
    user, item, rating, day = (list(column) for column in zip(*rows, strict=True))
    table = pa.table(
        {
            "user_id": user,
            "movie_id": item,
            "rating": pa.array(rating, pa.int8()),
            "date": [seconds(each) for each in day],
        }
    )
    pq.write_table(table, path, row_group_size=row_group_size)
    return path
