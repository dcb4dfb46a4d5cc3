"""What is done with a saved model, on a cluster of its own: no run, no settings but where to run.

Covers: opening the cluster for one stage that needs a model's folder alone.
Does not cover: the stages themselves (stages/), whole runs (flow.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.runtime.cluster import open_client
from pipeline.runtime.context import Context
from pipeline.runtime.events import Listener, broadcast
from pipeline.runtime.failures import as_readable_errors
from pipeline.runtime.store import Store
from pipeline.settings import Settings
from pipeline.stages.predict import predict
from pipeline.stages.reconstruct import PIECE_BYTES, Form, reconstruct
from pipeline.stages.spectrum import known_spectrum, spectrum
from pipeline.stages.vectors import write_vectors
from tasks.model import read_about


def spectrum_of(
    settings: Settings,
    model_folder: str,
    grid_folder: str | None = None,
    fold_biases: bool = False,
    vectors_folder: str = "",
    balanced: bool = False,
    listeners: Sequence[Listener] = (),
) -> dict[str, Any]:
    """Write a saved model's spectrum beside it, and its vectors where a folder is named; return the manifest.

    Parameters as of `stages.spectrum.spectrum` and `stages.vectors.write_vectors`.
    """
    known = known_spectrum(model_folder, grid_folder, fold_biases)
    if known is not None and not vectors_folder:
        return known
    with _context(settings, model_folder, listeners) as context:
        manifest = spectrum(context, model_folder, grid_folder, fold_biases)
        if vectors_folder:
            write_vectors(context, model_folder, vectors_folder, fold_biases, balanced)
        return manifest


def reconstruct_with(
    settings: Settings,
    model_folder: str,
    out: str,
    form: Form = "parquet",
    rank: int | None = None,
    clip: bool = True,
    piece_bytes: int = PIECE_BYTES,
    listeners: Sequence[Listener] = (),
) -> dict[str, Any]:
    """Write the whole matrix A_ρ of a saved model into `out`; parameters as of `stages.reconstruct.reconstruct`."""
    read_about(model_folder)  # a folder without a model is told before a cluster starts
    with _context(settings, out, listeners) as context:
        return reconstruct(context, model_folder, out, form, rank, clip, piece_bytes)


def predict_with(
    settings: Settings, model_folder: str, pairs: str, out: str, listeners: Sequence[Listener] = ()
) -> str:
    """Predict the pairs of a file with a saved model; return the folder of the predictions.

    Parameters
    ----------
    settings : where to run and how many pairs a task takes.
    """
    with _context(settings, out, listeners) as context:
        columns = (settings.ingest.columns.user, settings.ingest.columns.item)
        return predict(context, model_folder, pairs, columns, settings.predict.batch_pairs, out, ours=False)


@contextmanager
def _context(settings: Settings, folder: str, listeners: Sequence[Listener]) -> Iterator[Context]:
    with as_readable_errors(folder), open_client(settings.cluster) as client:
        yield Context(client, Store(folder), broadcast(list(listeners)), uuid.uuid4().hex[:8])
