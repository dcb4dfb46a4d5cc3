"""Raw ratings for tests of what arrives bit by bit, ingested as they grow and, to compare, cold.

Covers: CSV rows, the stage with `incremental`, ids and ratings of a dataset, equality with a cold ingest.
Does not cover: other forms of raw ratings (raw_forms.py), or the stage as such (ingesting.py).
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from ingesting import ingest, settings, table

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.root.manifests import Dataset
from funkflow.pipeline.root.store import Store

Row = tuple[int, int, int, int]
"""user, item, rating, time"""

HEADER = "user,item,rating,timestamp\n"


def lines(rows: list[Row]) -> str:
    return "".join(f"{user},{item},{rating},{time}\n" for user, item, rating, time in rows)


def made(rows: int, users: int = 50, start: int = 0) -> list[Row]:
    """Return rows of distinct pairs that come in the order of their times."""
    return [(each % users, each // users, 1 + each * 7 % 5, each) for each in range(start, start + rows)]


def grown(context: Context, folder: Path, **more: Any) -> Dataset:
    return ingest(context, settings(folder / "*.csv", incremental=True, **more))


def cold(context: Context, folder: Path, **more: Any) -> tuple[Context, Dataset]:
    """Ingest all files under a root of its own."""
    with_root = replace(context, store=Store(tempfile.mkdtemp(dir=context.store.root)))
    return with_root, ingest(with_root, settings(folder / "*.csv", **more))


def triples(context: Context, manifest: Dataset) -> list[tuple[Any, ...]]:
    return sorted(table(context, manifest).itertuples(index=False, name=None))


def raw_ids(context: Context, manifest: Dataset, side: str) -> list[Any]:
    ids: list[Any] = pd.read_parquet(Path(context.store.dataset(manifest.id)) / f"{side}.parquet")["raw_id"].tolist()
    return ids


def assert_equals_cold(context: Context, manifest: Dataset, folder: Path, **more: Any) -> None:
    elsewhere, whole = cold(context, folder, **more)
    assert triples(context, manifest) == triples(elsewhere, whole)
    assert manifest.ratings == whole.ratings
    if "deletions" not in more:  # what comes again after it was deleted is no second rating to the one that grew
        assert manifest.duplicates == whole.duplicates
    for side in ("users", "items"):
        assert sorted(raw_ids(context, manifest, side)) == sorted(raw_ids(elsewhere, whole, side))
