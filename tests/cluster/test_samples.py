"""The samples in `data/samples` are what `samples.py` makes, and ingest finds the same 200 ratings in each.

Covers: the committed files, and ingest's recognition of every form. Does not cover: large or bad input (test_ingest.py,
test_bad_input.py).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from raw_forms import attempt
from samples import SAMPLES, sample_files, sample_rows, sample_titles

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.root.manifests import Dataset
from funkflow.pipeline.settings.sections import IngestSettings, SplitSettings
from funkflow.pipeline.stages.ingest import ingest
from funkflow.pipeline.stages.split import split
from funkflow.tasks.parsing.sources.archives import unpack
from funkflow.tasks.parsing.sources.sources import StoredFile

FORMS = {
    "netflix": "Netflix",
    "netflix/training_set": "Netflix",
    "combined_data_1.txt": "Netflix",
    "ratings.dat": "MovieLens ratings.dat",
    "u.data": "MovieLens u.data",
    "ratings.csv": "MovieLens ratings.csv",
    "ratings.tsv": "TSV",
    "ratings.tsv.gz": "TSV",
    "ratings.tsv.bz2": "TSV",
    "ratings.tsv.xz": "TSV",
    "ratings.tsv.zst": "TSV",
    "ratings.zip": "TSV",
    "ratings.jsonl": "JSON lines",
    "ratings.parquet": "Parquet",
    "hive": "Parquet",
}
"""What to ingest, and how ingest is to name its form."""


def read_back(context: Context, manifest: Dataset) -> pd.DataFrame:
    """The dataset with raw ids and whole seconds, sorted."""
    folder = Path(context.store.dataset(manifest.id))
    frame = pd.read_parquet(folder / "ratings.parquet")
    for side in ("user", "item"):
        frame[side] = pd.read_parquet(folder / f"{side}s.parquet")["raw_id"].to_numpy()[frame[side]]
    frame["timestamp"] = frame["timestamp"].astype("datetime64[s]").astype("int64")
    return frame.astype("int64").sort_values(["user", "item"], ignore_index=True)


def test_the_files_are_those_that_the_script_makes(tmp_path: Path) -> None:
    expected = sample_files()
    found = {path.relative_to(SAMPLES).as_posix(): path for path in SAMPLES.rglob("*") if path.is_file()}
    parquet = {"ratings.parquet", *(f"hive/rating={rating}/part-0.parquet" for rating in range(1, 6))}
    assert set(found) == {*expected, *parquet}
    # Compressed bytes differ between versions of the libraries.
    packed = {name for name in expected if name.endswith((".gz", ".bz2", ".xz", ".zst", ".zip"))}
    assert [name for name in expected if name not in packed and found[name].read_bytes() != expected[name]] == []
    for name in packed:
        (tmp_path / name).write_bytes(expected[name])
        assert plain_bytes(found[name], tmp_path) == plain_bytes(tmp_path / name, tmp_path)


def plain_bytes(path: Path, scratch: Path) -> bytes:
    unpack(StoredFile(str(path), path.stat().st_size), str(scratch / "plain"))
    return (scratch / "plain").read_bytes()


def test_the_samples_stay_tiny() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 64 * 1024


@pytest.mark.parametrize("name", FORMS)
def test_ingest_finds_the_same_ratings_in_every_form(context: Context, name: str) -> None:
    manifest = ingest(context, IngestSettings(ratings=(str(SAMPLES / name),)))
    assert FORMS[name] in manifest.format
    expected = sample_rows().sort_values(["user", "item"], ignore_index=True)
    pd.testing.assert_frame_equal(read_back(context, manifest)[list(expected.columns)], expected)


@pytest.mark.parametrize("name", ["netflix", "ratings.dat", "u.data", "ratings.csv"])
def test_the_titles_beside_the_ratings_are_found(context: Context, name: str) -> None:
    manifest = ingest(context, IngestSettings(ratings=(str(SAMPLES / name),)))
    items = pd.read_parquet(Path(context.store.dataset(manifest.id)) / "items.parquet")
    assert items["title"].notna().all()
    years = (" (" + items["year"].astype("Int64").astype("string") + ")").fillna("")
    assert sorted(zip(items["raw_id"].astype(str), items["title"] + years, strict=True)) == sorted(sample_titles())


def test_the_probe_of_the_netflix_sample_can_be_held_out(context: Context) -> None:
    settings = IngestSettings(ratings=(str(SAMPLES / "netflix"),))
    dataset = ingest(attempt(context), settings)
    probe = SplitSettings(kind="file", file=str(SAMPLES / "netflix" / "probe.txt"))
    manifest = split(attempt(context), dataset, probe, settings, 0.0)
    assert (manifest.validation.ratings, manifest.training_ratings) == (20, 180)
