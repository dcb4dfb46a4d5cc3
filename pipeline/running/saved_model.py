"""What is done with a saved model, on a cluster of its own: no run, no settings but where to run.

Covers: opening the cluster for one stage that needs a model's folder alone.
Does not cover: the stages themselves (pipeline/stages/), what a model was trained on (tasks/model/rated.py), whole runs
(pipeline/flow.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.errors import as_readable_errors
from funkflow.pipeline.cluster.lost_workers import LossListener
from funkflow.pipeline.cluster.memory_monitor import MemoryMonitor
from funkflow.pipeline.cluster.open import open_client, where_to_run
from funkflow.pipeline.cluster.paused_workers import no_endless_pause
from funkflow.pipeline.cluster.workers import foreign_allowance, refuse_blind_workers
from funkflow.pipeline.models.row_pieces import predict_reconstruct_bytes
from funkflow.pipeline.planning.budget import LOWER_FOR_RECOMMENDING, RECOMMENDING, Allowance, Size
from funkflow.pipeline.planning.plan import local_allowance, recommending_needs
from funkflow.pipeline.progress.events import Listener, Postponed, broadcast
from funkflow.pipeline.root.lock import hold_root
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.store import SCRATCH, Store
from funkflow.pipeline.settings.sections import Settings
from funkflow.pipeline.stages.predict import predict
from funkflow.pipeline.stages.recommend import recommend
from funkflow.pipeline.stages.reconstruct import PIECE_BYTES, Form, reconstruct
from funkflow.pipeline.stages.spectrum import known_spectrum, spectrum
from funkflow.pipeline.stages.vectors import write_vectors
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.rated import TrainedOn


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

    def needs(allowance: Allowance) -> tuple[int, int]:
        return predict_reconstruct_bytes(piece_bytes, allowance.workers, allowance.threads)

    need = _Need(needs, "writing pieces of the matrix", "cluster.workers")
    with hold_root(out, "--out", SCRATCH), _context(settings, out, listeners, need) as context:
        return reconstruct(context, model_folder, out, form, rank=rank, clip=clip, piece_bytes=piece_bytes)


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
        batch_pairs, quoting = settings.predict.batch_pairs, settings.ingest.quoting
        return predict(context, model_folder, pairs, columns, batch_pairs, folder=out, ours=False, quoting=quoting)


def recommend_with(settings: Settings, model_folder: str, listeners: Sequence[Listener] = ()) -> str:
    """Write the best items that users have not rated beside a saved model, as its run does; return the folder.

    Parameters
    ----------
    settings : where to run, and of [recommend] how many items for whom.

    Raises
    ------
    BadInput
        The ratings that the model was trained on are not there.
    CannotFit
        Memory is too small.
    """
    origin = TrainedOn.of(model_folder)
    rank, count = read_about(model_folder)["rank"], settings.recommend.count

    def needs(allowance: Allowance) -> tuple[int, int]:
        size = Size(origin.dataset["ratings"], origin.dataset["users"], origin.dataset["items"], raw_bytes=0)
        return recommending_needs(settings, size, rank, count, allowance)

    need = _Need(needs, RECOMMENDING, LOWER_FOR_RECOMMENDING)
    with hold_root(origin.root), _context(settings, origin.root, listeners, need) as context:
        dataset = Dataset.of(origin.dataset_folder, origin.dataset)
        split = Split.of(origin.split_folder, origin.split)
        return recommend(
            context, dataset, split, model_folder=model_folder, settings=settings.recommend,
            run_folder=origin.run_folder,
        )  # fmt: skip


@dataclass(frozen=True)
class _Need:
    """What a command needs of memory.

    `of` : bytes of all processes and of one worker, given what there is; `what`, `lower` : for the refusal.
    """

    of: Callable[[Allowance], tuple[int, int]]
    what: str
    lower: str


@contextmanager
def _context(
    settings: Settings, folder: str, listeners: Sequence[Listener], need: _Need | None = None
) -> Iterator[Context]:
    """Open what a command on a saved model needs; `need` is refused before the first task if it cannot fit."""
    allowance = local_allowance(settings) if where_to_run(settings.cluster)[0] == "local" else None
    needed: tuple[int, int] | None = None

    def check_fits(_stage: str) -> None:
        if allowance and need and needed:
            allowance.refuse_memory(*needed, need.what, need.lower)

    def memory() -> str:
        return allowance.describe_worker(needed and needed[1], monitor.worker_peak_bytes) if allowance else ""

    losses = LossListener(lambda event: notify(event), "the files that {} reads".format)
    postponed = Postponed(lambda event: notify(event))
    notify = broadcast([losses, postponed, *listeners])
    with (
        MemoryMonitor() as monitor,
        as_readable_errors(folder, memory),
        open_client(settings.cluster, postponed.say) as client,
        losses.listening(client),
        no_endless_pause(client),
    ):
        refuse_blind_workers(client, folder)
        allowance = allowance or foreign_allowance(client, folder)
        needed = need.of(allowance) if need and allowance else None
        yield Context(client, Store(folder), notify, uuid.uuid4().hex[:8], check_fits)
