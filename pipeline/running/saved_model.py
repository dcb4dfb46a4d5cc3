"""Run one stage on a saved model, on a cluster of its own.

Covers: opening the cluster, and refusing what does not fit.
Does not cover: the stages (pipeline/stages/), trained-on ratings (tasks/model/rated.py), whole runs (pipeline/flow.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.errors import as_readable_errors
from funkflow.pipeline.cluster.lost_workers import LossListener
from funkflow.pipeline.cluster.memory_monitor import MemoryMonitor
from funkflow.pipeline.cluster.open import open_client, where_to_run
from funkflow.pipeline.cluster.paused_workers import no_endless_pause
from funkflow.pipeline.cluster.workers import foreign_allowance, refuse_blind_workers
from funkflow.pipeline.models.row_pieces import predict_reconstruct_bytes
from funkflow.pipeline.planning.budget import LOWER_FOR_RECOMMENDING, RECOMMENDING, Allowance, Size, Workload
from funkflow.pipeline.planning.one_process import choose_processes, predict_saved_model_bytes
from funkflow.pipeline.planning.plan import local_allowance, recommending_need
from funkflow.pipeline.planning.serving_memory import ServingNeed
from funkflow.pipeline.progress.events import Listener, Postponed, broadcast
from funkflow.pipeline.root.lock import hold_root
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.model_manifests import Reconstruction, Spectrum
from funkflow.pipeline.root.store import SCRATCH, Store
from funkflow.pipeline.settings.sections import Settings
from funkflow.pipeline.stages.predict import PairsFile, predict
from funkflow.pipeline.stages.recommend import recommend, similar
from funkflow.pipeline.stages.reconstruct import ReconstructOptions, reconstruct
from funkflow.pipeline.stages.spectrum import known_spectrum, predict_spectrum_bytes, spectrum
from funkflow.pipeline.stages.vectors import write_canonical_vectors
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
) -> Spectrum:
    """Write a saved model's spectrum beside it, and its vectors if there is a folder for them.

    Parameters as of `stages.spectrum.spectrum` and `stages.vectors.write_canonical_vectors`.

    Raises
    ------
    CannotFit
        Memory is too small.
    """
    known = known_spectrum(model_folder, grid_folder, fold_biases)
    if known is not None and not vectors_folder:
        return known

    def needs(allowance: Allowance) -> tuple[int, int]:
        has_vectors = bool(vectors_folder)
        return predict_spectrum_bytes(model_folder, grid_folder, has_vectors, allowance.workers, allowance.threads)

    need = _Need(needs, "the spectrum, part by part", "train.rank, raise grid.shards")
    with _context(settings, model_folder, model_folder, listeners, need) as context:
        manifest = spectrum(context, model_folder, grid_folder, fold_biases)
        if vectors_folder:
            write_canonical_vectors(context, model_folder, vectors_folder, fold_biases, balanced)
        return manifest


def reconstruct_with(
    settings: Settings,
    model_folder: str,
    out: str,
    options: ReconstructOptions,
    listeners: Sequence[Listener] = (),
) -> Reconstruction:
    """Write the whole matrix A_ρ of a saved model into `out`; parameters as of `stages.reconstruct.reconstruct`."""
    read_about(model_folder)  # refuse a folder without a model, or a missing package, before a cluster starts
    options.require_package()

    def needs(allowance: Allowance) -> tuple[int, int]:
        return predict_reconstruct_bytes(options.piece_bytes, allowance.workers, allowance.threads)

    need = _Need(needs, "writing pieces of the matrix", "cluster.workers")
    with hold_root(out, "--out", SCRATCH), _context(settings, out, model_folder, listeners, need) as context:
        return reconstruct(context, model_folder, out, options)


def predict_with(
    settings: Settings, model_folder: str, pairs: str, out: str, listeners: Sequence[Listener] = ()
) -> str:
    """Predict the pairs of a file with a saved model; return the folder of the predictions.

    Parameters
    ----------
    settings : the cluster, the number of pairs of a task, and whether they are predicted with intervals.
    """
    with _context(settings, out, model_folder, listeners) as context:
        columns = (settings.ingest.columns.user, settings.ingest.columns.item)
        pairs_file = PairsFile(pairs, columns, settings.ingest.quoting, settings.predict.intervals)
        return predict(context, model_folder, pairs_file, settings.predict.batch_pairs, folder=out, ours=False)


def recommend_with(settings: Settings, model_folder: str, listeners: Sequence[Listener] = ()) -> str:
    """Write recommendations beside a saved model, as its run does; return the folder.

    Parameters
    ----------
    settings : the cluster, and [recommend]: the number of items, and the users.

    Raises
    ------
    BadInput
        The ratings that the model was trained on are missing.
    CannotFit
        Memory is too small.
    """
    origin = TrainedOn.of(model_folder)
    need = _serving_need(settings, origin, model_folder, settings.recommend.count)
    with hold_root(origin.root), _context(settings, origin.root, model_folder, listeners, need) as context:
        dataset = Dataset.from_content(origin.dataset_folder, origin.dataset)
        split = Split.from_content(origin.split_folder, origin.split)
        return recommend(
            context, dataset, split, model_folder=model_folder, settings=settings.recommend,
            run_folder=origin.run_folder,
        )  # fmt: skip


def similar_with(settings: Settings, model_folder: str, listeners: Sequence[Listener] = ()) -> str:
    """Write the `settings.recommend.similar` most similar items of each item beside a saved model; return the folder.

    Raises
    ------
    BadInput
        The ratings that the model was trained on are missing, which tell the root to hold.
    CannotFit
        Memory is too small.
    """
    origin = TrainedOn.of(model_folder, "similar items go into the folder of its run, and the model is elsewhere")
    need = _serving_need(settings, origin, model_folder, 0, settings.recommend.similar)
    with hold_root(origin.root), _context(settings, origin.root, model_folder, listeners, need) as context:
        return similar(context, model_folder, settings.recommend.similar, origin.run_folder)


@dataclass(frozen=True)
class _Need:
    """The memory that a command needs.

    `of` : returns bytes of all processes and of one worker; `what`, `lower` : words for the refusal. `in_parts` :
    returns whether tasks read the model in parts.
    """

    of: Callable[[Allowance], tuple[int, int]]
    what: str
    lower: str
    in_parts: Callable[[Allowance], bool] = lambda _allowance: False


def _serving_need(settings: Settings, origin: TrainedOn, model_folder: str, count: int, similar: int = 0) -> _Need:
    """Return the need of choosing `count` items for each user, or `similar` ones most similar to each item."""
    about, data = read_about(model_folder), origin.dataset
    size = Size(data["ratings"], data["users"], data["items"], raw_bytes=0)

    def need(allowance: Allowance) -> ServingNeed:
        work = Workload(size, about["rank"], len(about["parts"]["item"]), allowance.workers, allowance.threads)
        return recommending_need(settings, work, count, allowance, similar)

    return _Need(
        lambda allowance: need(allowance).both, RECOMMENDING, LOWER_FOR_RECOMMENDING,
        lambda allowance: need(allowance).in_parts,
    )  # fmt: skip


@contextmanager
def _context(
    settings: Settings, folder: str, model_folder: str, listeners: Sequence[Listener], need: _Need | None = None
) -> Iterator[Context]:
    """Open a cluster for a command on a saved model; refuse a `need` that cannot fit before the first task.

    folder : of what is written.
    """

    def all_bytes(allowance: Allowance) -> int:
        sides = read_about(model_folder)["parts"].values()
        model_bytes = sum(part["bytes"] for side in sides for part in side)
        return need.of(allowance)[0] if need else predict_saved_model_bytes(model_bytes)

    allowance = None
    if where_to_run(settings.cluster)[0] == "local":
        allowance = choose_processes(local_allowance(settings), settings.cluster, all_bytes)
    one_process = bool(allowance and allowance.one_process)
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
        open_client(settings.cluster, postponed.say, one_process) as client,
        losses.listening(client),
        no_endless_pause(client),
    ):
        monitor.is_worker = one_process
        refuse_blind_workers(client, folder)
        allowance = allowance or foreign_allowance(client, folder)
        needed = need.of(allowance) if need and allowance else None
        in_parts = bool(need and allowance and need.in_parts(allowance))
        yield Context(client, Store(folder), notify, uuid.uuid4().hex[:8], check_fits, lambda: in_parts)
