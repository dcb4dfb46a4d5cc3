"""Where chains of a sampler start, and the record of what they leave.

Covers: an optimum of sgd for each chain, the errors of the mean of all draws by rank, and convergence.
Does not cover: the loop over sweeps (bayes.py), the graph (bayes_graph.py).
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.records import Histogram, PosteriorRecord, RankOfMean
from funkflow.pipeline.training import checkpoint as checkpoints
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods import sgd
from funkflow.pipeline.training.methods.bayes_graph import Sampling, Sweeps
from funkflow.pipeline.training.methods.chain_graph import Chain
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.pipeline.training.sweeps import SamplingSize
from funkflow.tasks.digits import rounded
from funkflow.tasks.grid.solved_rows import Matrix
from funkflow.tasks.storage import files
from funkflow.tasks.training.posterior.convergence import EFFECTIVE_EDGES, LEAST_DRAWS, R_HAT_EDGES, convergence_of
from funkflow.tasks.training.posterior.priors import LEAST_VARIANCE, NoiseLevel
from funkflow.tasks.training.posterior.state import traces_of
from funkflow.tasks.training.posterior.sweep_parts import Met

COMPACT_RANKS = (1, 2, 4)
"""Ranks at which the mean is measured, in ranks of a draw. The greatest is kept while draws are merged."""
_NEXT_SEED = 1_000_003
"""Between the seeds of the starts of two chains."""
_FIRST_SHAPE = 16.0
"""Of the noise of users in the first sweep."""
_UNSCORED_EPOCHS = 20
"""Most epochs of a start where no rating decides which epoch is best."""


@dataclass(frozen=True)
class ChainStart:
    """Starts of chains: each from its own random numbers, trained by sgd in a folder of its own."""

    job: TrainingJob
    sweeps: Sweeps
    data: PlacedGrid
    folder: str
    words: str = "chain {} starts from"

    def chain(self, number: int) -> Chain:
        """Train the start of a chain, or resume its training, and return the chain there."""
        job, scaling = self.job, self.sweeps.objective.scaling
        seed = job.settings.seed + _NEXT_SEED * number
        pairs = job.settings.implicit_for(job.grid.ratings, job.grid.users + job.grid.items)
        pairs = "auto" if pairs == "both" else pairs
        chosen = job.settings.model_copy(update={"method": "sgd", "seed": seed, "implicit": pairs})
        if not self.data.scored:
            chosen = chosen.model_copy(update={"epochs": min(chosen.epochs, _UNSCORED_EPOCHS)})
        folder = files.join(self.folder, f"chain-{number:02d}")
        context = replace(job.context, notify=_Warnings(job.context.notify), attempt=f"{job.context.attempt}-{number}")
        found = sgd.best_epoch(replace(job, settings=chosen, run_folder=folder, context=context, placed=self.data))
        training, stopping = found.history[found.best_epoch - 1][:2]
        score = f"training RMSE {rounded(training)}" if stopping is None else f"validation RMSE {rounded(stopping)}"
        job.context.notify(Noticed(f"{self.words.format(number + 1)} {found.epoch} epochs of sgd, {score}"))
        saved = checkpoints.folder_of(folder)
        places = {side: [entry.place(saved) for entry in found.best[side]] for side in ("users", "items")}
        users, items = self.sweeps.trained(places, chosen.rank)
        variance = max(((training or 0.0) / scaling.deviation) ** 2, LEAST_VARIANCE)
        noise = NoiseLevel(1.0 / variance, _FIRST_SHAPE)
        met = Met(variance * job.grid.ratings, noise, variance)
        times = [entry.place(saved) for entry in found.best.get("times", ())]
        return replace(self.sweeps.first(users, items, noise, times), met=met, passes=found.epoch)


@dataclass(frozen=True)
class _Warnings:
    """A listener that passes warnings on, and drops the progress of a training inside another."""

    listener: Any

    def __call__(self, event: Any) -> None:
        if isinstance(event, Noticed) and event.warning:
            self.listener(event)


def posterior_record(
    job: TrainingJob, sweeps: Sweeps, state: Sampling, size: SamplingSize, rmse: float | None, burn_in: int
) -> PosteriorRecord:
    """Measure the mean of all draws, and return the record."""
    chosen, most = job.settings, min(job.grid.users, job.grid.items)
    client = job.context.client
    measured = sorted({min(chosen.rank * each, most) for each in COMPACT_RANKS} | {size.mean_rank})
    by_shard = [
        client.submit(traces_of, list(of_shard), size.draws, pure=False)
        for of_shard in zip(*state.predicted, strict=True)
    ]
    traces = np.concatenate(client.gather(by_shard), axis=2)
    return PosteriorRecord(
        burn_in=burn_in, draws=size.draws, chains=size.chains, rank=size.mean_rank,
        noise_deviation=math.sqrt(state.noise_variances / state.draws) * sweeps.objective.scaling.deviation,
        rmse=rmse, ranks=_errors_by_rank(sweeps, state, measured, job.scale) if rmse is not None else (),
        merged=math.sqrt(state.lost / state.whole) if state.whole else 0.0,
        kept=tuple(state.kept), **_convergence(traces),
    )  # fmt: skip


def described(record: PosteriorRecord, of: str) -> str:
    """Return in words how the mean lost by being cut to a rank, and whether the draws converged; `of` : their name."""
    cut = next((each for each in record.ranks if each.rank == record.rank), None)
    words = []
    if cut is not None and record.rmse is not None:
        words.append(
            f"mean of all {of}: validation RMSE {rounded(record.rmse)}; cut to rank {record.rank}: {rounded(cut.rmse)}"
        )
    if record.r_hat:
        words.append(
            f"R-hat of predictions {record.r_hat[0]:.2f} (median), {record.r_hat[1]:.2f} (95 % quantile); effective "
            f"draws {record.effective[0]:.0f} (median) of {record.draws * record.chains}"
        )
    return "; ".join(words)


def _errors_by_rank(
    sweeps: Sweeps, state: Sampling, ranks: Sequence[int], scale: tuple[float, float]
) -> tuple[RankOfMean, ...]:
    found = []
    for rank, parts in zip(ranks, zip(*sweeps.errors_of_compact(state, ranks, scale), strict=True), strict=True):
        total = functools.reduce(operator.add, parts)
        away = math.sqrt(total.away / total.errors.ratings)
        found.append(RankOfMean(rank=rank, rmse=total.errors.rmse, away=away))
    return tuple(found)


def _convergence(traces: Any) -> dict[str, Any]:
    """Return R-hat and effective numbers of draws as fields of the record; () where there is nothing to compare."""
    known: dict[str, Any] = {"r_hat": (), "effective": ()}
    if traces.shape[1] < LEAST_DRAWS or not traces.shape[2]:
        return known
    both = np.stack(convergence_of(traces))
    r_hat, effective = both[:, np.isfinite(both).all(axis=0)]
    if not len(r_hat):
        return known
    middle, high, most = np.quantile(r_hat, [0.5, 0.95, 1.0]).tolist()
    least, usual = np.quantile(effective, [0.0, 0.5]).tolist()
    return {
        "r_hat": (middle, high, most), "effective": (usual, least),
        "by_r_hat": _histogram(r_hat, R_HAT_EDGES), "by_effective": _histogram(effective, EFFECTIVE_EDGES),
    }  # fmt: skip


def _histogram(values: Matrix, edges: Sequence[float]) -> Histogram:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return Histogram(edges=tuple(edges), counts=tuple(counts.tolist()))
