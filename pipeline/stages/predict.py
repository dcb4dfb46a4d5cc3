"""Predict: ratings for given pairs of raw ids, to Parquet, and in Netflix's submission form where the pairs came in it.

Covers: cutting the pairs to batches, one task each, and the files that result.
Does not cover: reading pairs (tasks/pairs.py), the prediction (tasks/model.py).
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.runtime.context import Context, run_all
from pipeline.runtime.events import StageFinished, StageStarted
from pipeline.runtime.store import nothing_half_written, publish
from tasks import files
from tasks.model import Model
from tasks.pairs import read_pairs, write_netflix_predictions

_STAGE = "predict"


def predict(context: Context, model_folder: str, pairs_url: str, batch_pairs: int, folder: str) -> str:
    """Predict every pair of `pairs_url`, in its order; return the folder of the Parquet files.

    The columns are user, item and prediction. An unseen user or item is predicted from the biases that are known.
    """
    started = time.monotonic()
    about = files.read_json(files.join(model_folder, "model.json"))
    pairs = read_pairs(pairs_url, about["id_types"]["user"], about["id_types"]["item"])
    count = max(1, -(-pairs.table.num_rows // batch_pairs))
    context.tell(StageStarted(_STAGE, count))
    scratch = context.store.scratch(f"predict-{context.attempt}")
    with nothing_half_written(temporary=(scratch,)):
        jobs = []
        for number in range(count):
            batch = files.join(scratch, f"pairs-{number:05d}.parquet")
            files.write_table(batch, pairs.table.slice(number * batch_pairs, batch_pairs), compression="lz4")
            jobs.append((model_folder, batch, files.join(folder, "predictions.parquet", f"part.{number:05d}.parquet")))
        files.remove_tree(folder)
        parts = run_all(context, _STAGE, "predict", predict_batch, jobs)
    publish(folder, "predictions", pairs=pairs.table.num_rows, model=model_folder, parts=parts)
    if pairs.is_netflix:
        predicted = np.concatenate([files.read_table(job[2], ["prediction"])["prediction"].to_numpy() for job in jobs])
        write_netflix_predictions(files.join(folder, "predictions.txt"), pairs.table["item"], predicted)
    context.tell(StageFinished(_STAGE, time.monotonic() - started, f"{pairs.table.num_rows:,} pairs in {folder}"))
    return folder


def predict_batch(model_folder: str, pairs_url: str, url: str) -> dict[str, Any]:
    """Predict one batch of pairs and write it beside its raw ids."""
    table = files.read_table(pairs_url)
    predicted = _model(model_folder).predict(table["user"].to_numpy(), table["item"].to_numpy())
    table = table.select(["user", "item"]).append_column("prediction", pa.array(predicted.astype(np.float32)))
    return {
        "path": "predictions.parquet/" + url.rsplit("/", 1)[1],
        "rows": table.num_rows,
        "checksum": files.write_table(url, table),
    }


@lru_cache(maxsize=1)
def _model(folder: str) -> Model:
    """One model a worker process is kept between batches; a run's model never changes once it is written."""
    return Model.load(folder)
