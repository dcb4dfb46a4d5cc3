"""Predict: ratings for given pairs of raw ids, as Parquet, and as a Netflix submission for pairs in Netflix' form.

Covers: cutting the pairs to batches, one task each, and the files.
Does not cover: reading pairs (tasks/parsing/pairs.py), the prediction (tasks/model/model.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.usefulness import notice_of_goal
from funkflow.pipeline.progress.events import Noticed, StageFinished, StageStarted
from funkflow.pipeline.root.model_manifests import PredictedPart, Predictions
from funkflow.pipeline.root.store import SCRATCH, content_id, nothing_half_written
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.draws.drawn_rows import Draws
from funkflow.tasks.parsing.format.quoting import Quoting
from funkflow.tasks.parsing.pairs import Pairs, read_pairs, write_netflix_predictions
from funkflow.tasks.redact import masked
from funkflow.tasks.serving.predict_batch import predict_batch
from funkflow.tasks.storage import files

_STAGE = "predict"
_OUTPUTS = ("manifest.json", "predictions.parquet", "predictions.txt", SCRATCH)


@dataclass(frozen=True)
class PairsFile:
    """A file of (user, item) pairs. `columns` : of users, items and times, if they have other names than usual.

    `quoting` : whether quotes have their meaning. `intervals` : whether they are predicted with intervals.
    """

    url: str
    columns: Sequence[str | int | None] = ()
    quoting: Quoting = "auto"
    intervals: bool = False


def predict(
    context: Context, model_folder: str, pairs_file: PairsFile, batch_pairs: int, folder: str, ours: bool
) -> str:
    """Predict every pair of a file, in its order; return the folder of the Parquet files.

    The columns are user, item and prediction, and with intervals those of `Model.intervals`. The prediction for an
    unseen user or item comes from the known biases.

    Parameters
    ----------
    ours : the folder lies in a run, so that files of a killed attempt are removed; a user's own folder must be empty.
    """
    started = time.monotonic()
    about = read_about(model_folder)
    if pairs_file.intervals:
        Draws.of(model_folder, about, "predict.intervals")  # refuse a model without draws before pairs are read
    pairs = read_pairs(
        pairs_file.url, about["id_types"]["user"], about["id_types"]["item"], pairs_file.columns, pairs_file.quoting
    )
    if notice := notice_of_goal(about, "ratings"):
        context.notify(Noticed(notice, warning=True))
    more = {"intervals": about["draws"]["parts"]} if pairs_file.intervals else {}
    predictions_id = content_id(what="predictions", model=about["parts"], pairs=_fingerprint(pairs.table), **more)
    manifest = Predictions.published(folder)
    reused = manifest is not None and manifest.id == predictions_id
    if manifest is None or not reused:
        context.notify(Noticed(pairs.understood))
        _clear(folder, ours or manifest is not None)
        manifest = _predict(
            context, model_folder, pairs, batch_pairs, folder=folder, predictions_id=predictions_id,
            intervals=pairs_file.intervals,
        )  # fmt: skip
    unknown = f" ({manifest.unknown:,} with a user or item that the model lacks)" if manifest.unknown else ""
    summary = f"{pairs.table.num_rows:,} pairs{unknown}, in {folder}"
    context.notify(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    return folder


def _predict(
    context: Context, model_folder: str, pairs: Pairs, batch_pairs: int, folder: str, predictions_id: str,
    intervals: bool,
) -> Predictions:  # fmt: skip
    parts = read_about(model_folder)["parts"]
    checksums = tuple(part["checksum"] for side in ("user", "item") for part in parts[side])
    count = max(1, -(-pairs.table.num_rows // batch_pairs))
    context.notify(StageStarted(_STAGE, count))
    scratch = files.join(folder, SCRATCH)
    with nothing_half_written(temporary=(scratch,)):
        jobs = []
        for number in range(count):
            batch = files.join(scratch, f"pairs-{number:05d}.parquet")
            files.write_table(batch, pairs.table.slice(number * batch_pairs, batch_pairs), compression="lz4")
            target = files.join(folder, "predictions.parquet", f"part.{number:05d}.parquet")
            jobs.append((model_folder, checksums, batch, target, intervals))
        written = run_all(context, _STAGE, "predict", predict_batch, jobs)
    targets = [job[3] for job in jobs]
    if pairs.is_netflix:
        predicted = np.concatenate(
            [files.read_table(name, ["prediction"])["prediction"].to_numpy() for name in targets]
        )
        write_netflix_predictions(files.join(folder, "predictions.txt"), pairs.table["item"], predicted)
    predicted_parts = tuple(PredictedPart.read(part) for part in written)
    return Predictions(
        folder=folder, id=predictions_id, pairs=pairs.table.num_rows, model=masked(model_folder), parts=predicted_parts
    ).publish([part.path for part in predicted_parts])


def _clear(folder: str, ours: bool) -> None:
    """Remove earlier predictions from a folder that is ours.

    Raises
    ------
    SettingsError
        The folder is a user's own and not empty.
    """
    if not ours and files.names(folder):
        raise SettingsError(f"{folder}: not empty, and without complete predictions; name another folder")
    for name in _OUTPUTS:
        files.remove_tree(files.join(folder, name))


def _fingerprint(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return files.checksum(memoryview(sink.getvalue()))
