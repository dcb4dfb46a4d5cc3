"""What stages that rank items for users lean on: the model on the workers, and the files of one part of the ratings.

Covers: loading the model once, as a task whose result the others share, and where a part's ratings lie.
Does not cover: what is made of them (pipeline/stages/recommend.py, pipeline/stages/ranking.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distributed import Future

from funkflow.pipeline.cluster.context import Context, submit_shared
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.rated import stored_part
from funkflow.tasks.serving.dense_model import read_dense_model


def submit_served(context: Context, doing: str, model_folder: str, parts: dict[str, Any]) -> Future[Any]:
    """Return the model as one future; it is let go of with the last task that needs it."""
    checksums = tuple(part["checksum"] for side in ("user", "item") for part in parts[side])
    return submit_shared(context, f"load-model-{doing}", read_dense_model, model_folder, checksums)


def stored_parts(
    context: Context, dataset: dict[str, Any], split: dict[str, Any], numbers: Iterable[int]
) -> list[tuple[Place, Place]]:
    """Return where parts of the dataset lie, and what validation holds of them."""
    homes = (context.store.dataset(dataset["id"]), dataset), (context.store.split(split["id"]), split)
    return [stored_part(*homes, number) for number in numbers]
