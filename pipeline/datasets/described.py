"""What a dataset is, in words, and the tables of its users and items.

Covers: the line that ingest ends with, and the tables with their places.
Does not cover: the manifest (pipeline/root/manifests.py), how the tables are made (pipeline/stages/ingest.py).
"""

from __future__ import annotations

from funkflow.pipeline.root.manifests import Dataset
from funkflow.pipeline.settings.sections import IngestSettings
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files


def feature_places(dataset: Dataset) -> dict[str, Place]:
    """Return the features of "user" and "item", where there are any (tasks/dataset/feature_rows.py)."""
    return {
        side: (files.join(dataset.folder, f"{side}_features.parquet"), checksum)
        for side, checksum in dataset.feature_checksums.items()
    }


def tables_of(dataset: Dataset) -> list[str]:
    """Return the tables of users and items, by their paths from the dataset's folder."""
    return ["users.parquet", "items.parquet", *(f"{side}_features.parquet" for side in dataset.feature_checksums)]


def describe_dataset(dataset: Dataset, settings: IngestSettings) -> str:
    """Return the line that ingest ends with."""
    counts = (
        (dataset.duplicates, f"duplicates settled ({settings.rule_for_duplicates(dataset.form['rating'] >= 0)})"),
        (dataset.quarantined, "rows quarantined"),
        (dataset.deleted, "ratings deleted"),
    )
    size = f"{dataset.ratings:,} {dataset.unit} of {dataset.users:,} users and {dataset.items:,} items"
    words = [f"{size} from {dataset.format.split(' (')[0]}", *(f"{count:,} {name}" for count, name in counts if count)]
    if dataset.parent:
        parts = f"{dataset.parts_written} parts written, {dataset.parts_kept} kept"
        words.append(f"grown from {dataset.parent.id}; {dataset.parsed_bytes:,} bytes parsed, {parts}")
    return "; ".join(words)
