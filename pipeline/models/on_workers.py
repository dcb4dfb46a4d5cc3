"""The model on the workers, for stages that rank items for users.

Covers: loading the model once, as a task whose result the others share.
Does not cover: its uses (pipeline/stages/recommend.py, pipeline/stages/ranking.py).
"""

from __future__ import annotations

from typing import Any

from distributed import Future

from funkflow.pipeline.cluster.context import Context, submit_shared
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.serving.served_model import read_served_model


def submit_served(context: Context, doing: str, model_folder: str) -> Future[Any]:
    """Return the model as one future; Dask releases it with the last task that needs it.

    It holds all of the model, or, where that does not fit a worker, no more than its files' names.
    """
    parts = ModelParts.of(model_folder, read_about(model_folder))
    return submit_shared(context, f"load-model-{doing}", read_served_model, parts, not context.reads_model_in_parts())
