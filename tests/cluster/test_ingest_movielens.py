"""The MovieLens sets as they are published come out whole.

Covers: counts, forms, sums and titles of the three sets. Does not cover: anything that made-up data can show.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from ingesting import ingest, settings, table

from funkflow.pipeline.cluster.context import Context


def test_movielens_latest_small(context: Context, ratings_dir: Path) -> None:
    manifest = ingest(context, settings(ratings_dir / "ml-latest-small", chunk_bytes=500_000, partition_ratings=50_000))
    assert (manifest.ratings, manifest.users, manifest.items) == (100_004, 671, 9_066)
    assert (manifest.format, manifest.scale, manifest.titles) == ("MovieLens ratings.csv", (0.5, 5.0), True)


def test_movielens_100k(context: Context, ratings_dir: Path) -> None:
    manifest = ingest(context, settings(ratings_dir / "ml-100k", chunk_bytes=500_000, partition_ratings=50_000))
    assert (manifest.ratings, manifest.users, manifest.items) == (100_000, 943, 1_682)
    frame = table(context, manifest)
    raw = np.loadtxt(ratings_dir / "ml-100k" / "u.data", dtype=np.int64)
    assert int(frame["rating"].sum()) == int(raw[:, 2].sum())
    assert sorted(zip(frame["user"], frame["item"], strict=True)) == sorted(map(tuple, raw[:, :2].tolist()))


def test_movielens_1m(context: Context, ratings_dir: Path) -> None:
    manifest = ingest(context, settings(ratings_dir / "ml-1m", chunk_bytes="8 MiB", partition_ratings=300_000))
    assert (manifest.ratings, manifest.users, manifest.items) == (1_000_209, 6_040, 3_706)
    items = pd.read_parquet(Path(context.store.dataset(manifest.id)) / "items.parquet").set_index("raw_id")
    assert (items.loc[1, "title"], items.loc[1, "year"]) == ("Toy Story", 1995)
    assert items["title"].notna().all()
