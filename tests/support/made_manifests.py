"""Manifests for tests that need one whole, and of it only some fields.

Covers: a dataset, a split and a grid with plain values for all else.
Does not cover: files that they name (conftest.py writes ratings), manifests as stages make them.
"""

from __future__ import annotations

from typing import Any

from funkflow.pipeline.root.manifests import Dataset, Grid, Split, TrainingData

_DATASET: dict[str, Any] = {
    "id": "made", "inputs": [], "seen": {}, "format": "made", "form": {"kind": "text", "scale": None}, "ratings": 3,
    "users": 2, "items": 2, "id_checksums": {"users": "u", "items": "i"}, "parts": [], "rating_minimum": 1.0,
    "rating_maximum": 5.0, "scale": [1.0, 5.0], "duplicates": 0, "deleted": 0, "quarantined": 0, "timestamps": False,
    "user_id_type": "integer", "item_id_type": "integer", "titles": False, "parsed_bytes": 0, "parts_written": 1,
    "parts_kept": 0,
}  # fmt: skip
_SPLIT: dict[str, Any] = {
    "id": "made", "dataset": "made", "split": "made", "validation": {"ratings": 0, "parts": []}, "slice": None,
    "training_ratings": 3, "duplicates": 0, "unknown": 0,
}  # fmt: skip
_GRID: dict[str, Any] = {
    "id": "made", "dataset": "made", "split": "made", "shards": 1, "ratings": 3, "users": 2, "items": 2, "mean": 3.0,
    "mean_square": 10.0, "variance": 1.0, "bytes": 1, "held_out": {}, "rating_bytes": 4, "block_format": [],
    "blocks": [], "kept": 0, "written": 1,
}  # fmt: skip
BLOCK = {"checksum": "b", "rows": 3, "bytes": 1, "rating_bytes": 4, "sum": 9.0, "squares": 30.0, "about_mean": 1.0}


def a_dataset(folder: str = "", **fields: Any) -> Dataset:
    return Dataset.from_content(folder, {**_DATASET, **fields})


def a_split(folder: str = "", **fields: Any) -> Split:
    return Split.from_content(folder, {**_SPLIT, **fields})


def a_grid(folder: str = "", **fields: Any) -> Grid:
    return Grid.from_content(folder, {**_GRID, **fields})


def some_data(**fields: Any) -> TrainingData:
    """Return a dataset, a split and a grid; `fields` are the grid's."""
    return TrainingData(a_dataset(), a_split(), a_grid(**fields))
