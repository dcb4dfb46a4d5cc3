"""Counts of the ratings of a dataset, training and validation apart, beside the split that divides them.

Covers: the tasks, and the files. Ranking and report share them, and so do later runs on the same split.
Does not cover: counting a part (tasks/evaluation/describe.py).

    <split>/counts/users.npy, items.npy      see `write_counts`
"""

from __future__ import annotations

import operator

from funkflow.pipeline.cluster.context import Context, run_all, submit_shared
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.model_manifests import SavedCounts
from funkflow.tasks.evaluation.describe import count_part, write_counts
from funkflow.tasks.storage import files


def rating_counts(context: Context, stage: str, dataset: Dataset, split: Split) -> SavedCounts:
    """Return the counts of the ratings of a split; count them if nobody has."""
    folder = files.join(split.folder, "counts")
    known = SavedCounts.published(folder)
    if known is not None:
        return known
    places = zip(dataset.part_places, split.validation_places, strict=True)
    counts = [submit_shared(context, "count", count_part, *each, dataset.items) for each in places]
    while len(counts) > 1:  # by pairs, on the workers: with many items the counts of all parts fill a process
        pairs = [counts[place : place + 2] for place in range(0, len(counts), 2)]
        counts = [submit_shared(context, "add-counts", operator.add, *pair) if pair[1:] else pair[0] for pair in pairs]
    (written,) = run_all(context, stage, "write-counts", write_counts, [(folder, dataset.users, *counts)])
    return SavedCounts.from_content(folder, written).publish(sorted(written["checksums"]))
