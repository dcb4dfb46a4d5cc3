"""The split by a date: a refusal if one side is empty, and the ratings without trained rows.

Covers: the line that names the times of the data, counting cold validation ratings on the cluster.
Does not cover: choosing the rows (tasks/dataset/hold_out.py), the split itself (pipeline/stages/split.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.tasks.dataset.cold_ratings import count_cold, trained_items
from funkflow.tasks.dataset.hold_out import PartSplit
from funkflow.tasks.errors import BadInput


def refuse_one_side(date: str, parts: Sequence[PartSplit]) -> None:
    """Raise BadInput if all ratings, or none, came after the date, and name the times of the data if all are known."""
    numbers = {
        "validation": sum(part.validation["rows"] for part in parts),
        "training": sum(part.training for part in parts),
    }
    times = [part.times for part in parts if part.times is not None]
    is_known = len(times) == sum(part.training + part.validation["rows"] > 0 for part in parts)
    known = ""
    if times and is_known:
        known = f": they are of {_day(min(first for first, _ in times))} to {_day(max(last for _, last in times))}"
    for name, number in numbers.items():
        if not number:
            raise BadInput(
                f"split.date = {date} leaves no {name} rating{known}; choose a date among those of the ratings"
            )


def count_all_cold(context: Context, stage: str, dataset: Dataset, split: Split) -> int:
    """Return the number of validation ratings of a split whose user or item has no training rating."""
    held_out = list(zip(*(split.places(each.parts) for each in split.held_out.values()), strict=True))
    stored = list(zip(dataset.part_places, held_out, strict=True))
    trained = run_all(context, stage, "trained-items", trained_items, [(*each, dataset.items) for each in stored])
    everywhere = np.bitwise_or.reduce(trained)
    return sum(run_all(context, stage, "count-cold", count_cold, [(*each, everywhere) for each in stored]))


def _day(seconds: int) -> str:
    return str(np.datetime64(seconds, "s").astype("datetime64[D]"))
