"""Predict one batch of pairs with a saved model, to Parquet.

Covers: one model a worker process, kept between batches; intervals by its draws, if the settings ask for them.
Does not cover: the prediction (tasks/model/model.py), the intervals (tasks/model/draws/), cutting pairs to batches
(pipeline/stages/predict.py).
"""

from __future__ import annotations

import threading
from functools import lru_cache

import numpy as np
import pyarrow as pa

from funkflow.tasks.model.model import Model
from funkflow.tasks.storage import files

_ONE_AT_A_TIME = threading.Lock()


def predict_batch(
    model_folder: str, checksums: tuple[str, ...], pairs_url: str, url: str, intervals: bool
) -> dict[str, str | int]:
    """Predict one batch of pairs and write it beside its raw ids; `checksums` tell models in one folder apart.

    A batch with times is predicted at these. With `intervals` the columns of `Model.intervals` follow the prediction.
    """
    table = files.read_table(pairs_url)
    with _ONE_AT_A_TIME:
        model = _kept_model(model_folder, checksums)
    users, items = table["user"].to_numpy(), table["item"].to_numpy()
    times = table["timestamp"].to_numpy() if "timestamp" in table.column_names else None
    predicted = model.predict(users, items, times=times)
    table = table.select(["user", "item"]).append_column("prediction", pa.array(predicted.astype(np.float32)))
    if intervals:
        found = model.intervals(users, items, times=times)
        for name in found.columns:
            table = table.append_column(name, pa.array(found[name].to_numpy(np.float32)))
    return {
        "path": "predictions.parquet/" + url.rsplit("/", 1)[1],
        "rows": table.num_rows,
        "known": int(model.knows(users, items).sum()),
        "checksum": files.write_table(url, table),
    }


@lru_cache(maxsize=1)
def _kept_model(folder: str, _checksums: tuple[str, ...]) -> Model:
    """Keep one model a worker process between batches."""
    return Model.load(folder)
