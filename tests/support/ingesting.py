"""Run ingest in tests: on small chunks, as an attempt of its own, to a table with raw ids, or to a refusal.

Covers: settings, the stage, what it wrote, what it says of bad input.
Does not cover: the raw files (raw_forms.py) and the cluster (conftest.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from raw_forms import attempt

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.root.manifests import Dataset
from funkflow.pipeline.settings.sections import IngestSettings, Settings
from funkflow.pipeline.stages import ingest as stage
from funkflow.tasks.errors import BadInput


def settings(path: Path | str | list[Path], **more: Any) -> IngestSettings:
    """Return ingest settings for one or several paths, with chunks and parts small enough that there are several."""
    paths = path if isinstance(path, list) else [path]
    plain = {"ratings": [str(each) for each in paths], "chunk_bytes": 2048, "partition_ratings": 1000, **more}
    return Settings.build({"ingest": plain}).ingest


def ingest(context: Context, chosen: IngestSettings, holdout_file: str = "", events: bool = True) -> Dataset:
    """Run the stage."""
    return stage.ingest(attempt(context), chosen, holdout_file, events=events)


def table(context: Context, manifest: Dataset) -> pd.DataFrame:
    """Return the whole dataset with raw ids again."""
    folder = Path(context.store.dataset(manifest.id))
    frame = pd.read_parquet(folder / "ratings.parquet")
    for side in ("user", "item"):
        raw = pd.read_parquet(folder / f"{side}s.parquet")["raw_id"]
        frame[side] = raw.to_numpy()[frame[side]]
    return frame


def refusal(context: Context, path: Path | str, events: bool = True, **more: Any) -> str:
    """Ingest what has to fail; return what it says, having looked that nothing is left."""
    with pytest.raises(BadInput) as caught:
        ingest(context, settings(path, **{"chunk_bytes": 1024, **more}), events=events)
    root = Path(context.store.root)
    assert not [path for path in root.rglob("*") if path.is_file() and path.name != "inputs.json"]
    assert not list(root.glob("datasets/*"))
    assert "\n" not in str(caught.value)
    return str(caught.value)
