"""The small set of ratings that is trained on under faults, and the settings for it.

Covers: a CSV file made from a planted model, the same for everybody, and a settings file.
Does not cover: where a run under faults keeps its files (room.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

USERS, ITEMS, RATINGS = 900, 200, 24_000
EPOCHS, CHECKPOINT_EPOCHS = 9, 2
SETTINGS = f"""
root = "{{root}}"

[ingest]
ratings = "{{ratings}}"
chunk_bytes = 65536
partition_ratings = 8000

[grid]
shards = 4

[train]
rank = 6
epochs = {EPOCHS}
patience = {EPOCHS}
checkpoint_epochs = {CHECKPOINT_EPOCHS}

[ranking]
count = 0

[gate]
beats_biases = false

[cluster]
workers = 2
threads = 1
memory = "6 GiB"
"""


def write_ratings(path: Path) -> None:
    """Write distinct pairs with ratings from a planted model of rank 3, rounded to halves."""
    rng = np.random.default_rng(7)
    cells = rng.choice(USERS * ITEMS, size=RATINGS, replace=False)
    users, items = cells // ITEMS, cells % ITEMS
    planted = np.einsum("nk,nk->n", rng.normal(size=(USERS, 3))[users], rng.normal(size=(ITEMS, 3))[items])
    scores = 3.2 + 0.4 * rng.normal(size=USERS)[users] + 0.4 * planted + 0.3 * rng.normal(size=RATINGS)
    ratings = np.clip(np.round(2 * scores) / 2, 1, 5)
    pd.DataFrame({"user": users + 1000, "item": items + 5, "rating": ratings}).to_csv(path, index=False)


def write_settings(path: Path, root: str, ratings: Path) -> None:
    """Write settings for the ratings with everything under `root`."""
    path.write_text(SETTINGS.format(root=root, ratings=ratings), encoding="utf-8")
