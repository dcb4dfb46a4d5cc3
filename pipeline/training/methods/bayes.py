"""Train by Gibbs sampling: sweeps from the optimum of sgd on, burn-in first, then draws and their mean.

Covers: the loop over sweeps, the start, checkpoints, resuming, the draws that are kept, and the model of the mean.
Does not cover: the graph of a sweep (bayes_graph.py), its tasks (tasks/training/posterior/), the files of a checkpoint
(sampling_files.py).

At each checkpoint the draws since the last one are merged into the compact mean. The loop then reads back what it has
written, so a resumed run has the same bits, and no task depends on those before the checkpoint.
"""

from __future__ import annotations

import functools
import math
import operator
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.training_records import KeptDraw, PosteriorRecord, RankOfMean
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.training import checkpoint as checkpoints
from funkflow.pipeline.training.checkpoint import Checkpoint, DrawState
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.loop import CheckpointedLoop
from funkflow.pipeline.training.manifest import best_score, reuse_or_train
from funkflow.pipeline.training.methods import sampling_files, sgd
from funkflow.pipeline.training.methods.bayes_graph import Chain, CompactMean, Futures, Sweeps
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.pipeline.training.step_sizes import scaling_of, step_sizes
from funkflow.tasks.digits import rounded
from funkflow.tasks.grid.row_objective import Objective
from funkflow.tasks.noise import Stream
from funkflow.tasks.storage import files
from funkflow.tasks.training.posterior.convergence import LEAST_DRAWS, convergence_of
from funkflow.tasks.training.posterior.draws import Model
from funkflow.tasks.training.posterior.state import traces_of
from funkflow.tasks.training.score import Errors

COMPACT_RANKS = (1, 2, 4)
"""Ranks at which the mean is measured, in ranks of a draw. The greatest is kept while draws are merged."""
_NEXT_SEED = 1_000_003
"""Between the seeds of the starts of two chains."""
_UNSCORED_EPOCHS = 20
"""Most epochs of the start where no rating decides which epoch is best."""


def train_bayes(job: TrainingJob) -> Training:
    """Train as `sgd.train` does; the manifest also has the record of the draws.

    Raises
    ------
    SettingsError
        The checkpoints were made for another CPU target.
    """

    def work() -> Training:
        loop = _SweepLoop(job, step_sizes(job.grid, job.settings))
        return loop.run()

    chosen = job.settings.bayes
    return reuse_or_train(job, chosen.burn_in + chosen.draws, work, _summary_of_bayes)


def _summary_of_bayes(manifest: Training) -> str:
    assert manifest.posterior is not None
    drawn = manifest.posterior
    return f"{drawn.draws * drawn.chains} draws of rank {drawn.ranks[0].rank}, {best_score(manifest)}"


@dataclass
class _State:
    """Where sampling stands: chains, predictions of the draws by chain and user shard, their mean, and what is kept."""

    chains: list[Chain]
    predicted: list[Futures]
    mean: CompactMean
    kept: list[KeptDraw] = field(default_factory=list)
    lost: float = 0.0
    whole: float = 0.0
    noise_variances: float = 0.0


@dataclass(frozen=True)
class _Flying:
    """A sweep that was submitted, of all chains, and the errors of the mean of all draws up to it."""

    number: int
    chains: list[Chain]
    errors: Futures


@dataclass
class _SweepLoop(CheckpointedLoop):
    """The loop over sweeps."""

    unit = METHODS["bayes"].unit

    def run(self) -> Training:
        """Sample to the end, from the newest whole checkpoint if there is one, and write the model."""
        chosen, data, last = self.settings, self.load_grid(), self.resume()
        self.chosen = chosen.bayes
        self.total = self.chosen.burn_in + self.chosen.draws
        self.sweeps = Sweeps(self.context, data, self._model(), chosen.rank + 2 * chosen.biases)
        state = self._start(data) if last is None else self._stored(last)
        while last is None or last.epoch < self.total:
            last = self._to_next_checkpoint(state, last)
            if last.epoch < self.total:
                now = self.grid_after(data, last)
                if now is not data:
                    data = now
                    self.sweeps.place(data)
            state = self._stored(last)
        return self._finished(state, last)

    def _model(self) -> Model:
        grid, chosen = self.grid, self.settings
        scaling = scaling_of(grid, chosen.center)
        about_mean = grid.mean_square - 2.0 * scaling.mean * grid.mean + scaling.mean**2
        objective = Objective(0.0, 0.0, grid.users, grid.items, scaling, biases=chosen.biases)
        return Model(objective, grid.ratings, grid.ratings * about_mean / scaling.deviation**2, self.chosen.steps)

    def _start(self, data: PlacedGrid) -> _State:
        """Return the state before the first sweep: every chain at an optimum of sgd, from its own random numbers."""
        chains = [self._start_of_chain(data, c) for c in range(self.chosen.chains)]
        return _State(chains, [self.sweeps.no_predictions() for _ in chains], self.sweeps.no_mean())

    def _start_of_chain(self, data: PlacedGrid, chain: int) -> Chain:
        chosen = self.settings.model_copy(update={"method": "sgd", "seed": self.settings.seed + _NEXT_SEED * chain})
        if not data.scored:
            chosen = chosen.model_copy(update={"epochs": min(chosen.epochs, _UNSCORED_EPOCHS)})
        folder = files.join(self._start_folder, f"chain-{chain:02d}")
        quiet = replace(self.context, notify=_Warnings(self.context.notify), attempt=f"{self.context.attempt}-{chain}")
        found = sgd.best_epoch(replace(self.job, settings=chosen, run_folder=folder, context=quiet, placed=data))
        training, stopping = found.history[found.best_epoch - 1][:2]
        score = f"training RMSE {rounded(training)}" if stopping is None else f"validation RMSE {rounded(stopping)}"
        self.context.notify(Noticed(f"chain {chain + 1} starts from {found.epoch} epochs of sgd: {score}"))
        saved = checkpoints.folder_of(folder)
        places = {side: [entry.place(saved) for entry in found.best[side]] for side in ("users", "items")}
        users, items = self.sweeps.trained(places, chosen.rank)
        precision = (self.sweeps.objective.scaling.deviation / training) ** 2 if training else 1.0
        return self.sweeps.first(users, items, precision, f"{chain}-0000")

    @property
    def _start_folder(self) -> str:
        return files.join(self.job.run_folder, "start")

    def _to_next_checkpoint(self, state: _State, last: Checkpoint | None) -> Checkpoint:
        """Run sweeps until a checkpoint is due, merge their draws, and write it; `state` changes.

        The next sweep is submitted before this one is reported, so that no worker waits.
        """
        first = last.epoch if last else 0
        end = min(first + self.settings.checkpoint_epochs, self.total)
        flying: deque[_Flying] = deque()
        drawn: list[tuple[int, list[Chain]]] = []
        submitted = first
        while len(self.history) < end:
            while len(flying) < 2 and submitted < end:
                submitted += 1
                flying.append(self._submit(state, submitted))
            done = flying.popleft()
            precisions = self._record(done)
            if done.number > self.chosen.burn_in:
                drawn.append((done.number, done.chains))
                state.noise_variances += sum(1.0 / each for each in precisions)
                self._keep(state, done, precisions)
        self.begin_writing()
        if drawn:
            rank = COMPACT_RANKS[-1] * self.settings.rank
            chains = [chain for _, of_sweep in drawn for chain in of_sweep]
            state.mean = self.sweeps.merge(state.mean, chains, rank, f"{end:04d}")
            assert state.mean.losses is not None
            lost, state.whole = state.mean.losses.result()
            state.lost += lost
        written = sampling_files.write(
            self.context, self.folder, end, state.chains, state.predicted, state.mean,
            DrawState(
                noise_precisions=tuple(precisions), draws=max(0, end - self.chosen.burn_in), kept=tuple(state.kept),
                lost=state.lost, whole=state.whole, noise_variances=state.noise_variances,
            ),
        )  # fmt: skip
        checkpoint = self.write_checkpoint(end, end, written, {"users": (), "items": ()})
        files.remove_tree(self._start_folder)
        return checkpoint

    def _submit(self, state: _State, number: int) -> _Flying:
        """Submit sweep `number` of all chains, and the predictions of its draws."""
        seed = self.settings.seed
        state.chains = [self.sweeps.sweep(chain, Stream(seed, c, number)) for c, chain in enumerate(state.chains)]
        before = state.predicted
        if number <= self.chosen.burn_in:
            before = [self.sweeps.no_predictions() for _ in state.chains]
        after = [
            self.sweeps.predicted(of_chain, chain, f"{c}-{number:04d}")
            for c, (of_chain, chain) in enumerate(zip(before, state.chains, strict=True))
        ]
        if number > self.chosen.burn_in:
            state.predicted = after
        return _Flying(number, state.chains, self.sweeps.errors_of_mean(after, self.scale, f"{number:04d}"))

    def _record(self, done: _Flying) -> list[float]:
        """Report a sweep; return tau of each chain."""
        met, parts = self.context.client.gather(([chain.met for chain in done.chains], done.errors))
        deviation = self.sweeps.objective.scaling.deviation
        squared = float(np.mean([max(errors, 0.0) for errors, _ in met]))
        training = math.sqrt(squared / self.grid.ratings) * deviation
        errors: Errors = functools.reduce(operator.add, parts)
        stopping = errors.rmse if errors.ratings else None
        self.history.append([training, stopping])
        passes = 2 * self.chosen.steps + 3
        self.notify(done.number, self.total, (training, stopping), best=done.number == self.total, passes=passes)
        return [precision for _, precision in met]

    def _keep(self, state: _State, done: _Flying, precisions: list[float]) -> None:
        """Write the rows of a sweep's draws, if it is one of those that stay: as many, evenly, as the settings say."""
        draws, number = self.chosen.draws, done.number - self.chosen.burn_in
        wanted = min(self.settings.keep_draws // len(done.chains), draws)
        if number * wanted // draws == (number - 1) * wanted // draws:
            return
        for c, (chain, precision) in enumerate(zip(done.chains, precisions, strict=True)):
            name = f"draws-{done.number:05d}-{c:02d}"
            rows = sampling_files.write_rows(self.context, self.folder, name, chain)
            entry = KeptDraw(
                chain=c, sweep=done.number, noise_precision=precision, users=rows["users"], items=rows["items"]
            )
            state.kept.append(entry)

    def _stored(self, last: Checkpoint) -> _State:
        """Return the state of a checkpoint as fresh load tasks."""
        sampling = last.current.sampling
        assert sampling is not None
        chains, predicted, mean = sampling_files.stored(self.sweeps, last, self.folder, sampling)
        return _State(
            chains, predicted, mean, list(sampling.kept), sampling.lost, sampling.whole, sampling.noise_variances
        )

    def _finished(self, state: _State, last: Checkpoint) -> Training:
        """Write the shards of the mean, measure it, and return the manifest."""
        chosen, chains = self.settings, self.chosen.chains
        most = min(self.grid.users, self.grid.items)
        rank = min(self.chosen.mean_rank or 2 * chosen.rank, most)
        shards = sampling_files.write_mean(self.context, self.folder, state.mean, chains * self.chosen.draws, rank)
        traces = self.context.client.gather(
            [
                self.context.client.submit(traces_of, list(of_shard), pure=False)
                for of_shard in zip(*state.predicted, strict=True)
            ]
        )
        r_hat, effective = _convergence(np.concatenate(traces, axis=2))
        manifest = replace(last, best=shards).training(self.job, self.steps)
        measured = sorted({min(chosen.rank * each, most) for each in COMPACT_RANKS} | {rank})
        record = PosteriorRecord(
            burn_in=self.chosen.burn_in, draws=self.chosen.draws, chains=chains, rank=rank,
            noise_deviation=math.sqrt(state.noise_variances / chains / self.chosen.draws) * self.steps.deviation,
            rmse=self.history[-1][1], ranks=self._errors_by_rank(state, measured),
            merged=math.sqrt(state.lost / state.whole) if state.whole else 0.0,
            r_hat=r_hat, effective=effective, kept=tuple(state.kept),
        )  # fmt: skip
        return replace(manifest, counted=METHODS["bayes"].counted, posterior=record)

    def _errors_by_rank(self, state: _State, ranks: list[int]) -> tuple[RankOfMean, ...]:
        """Measure the mean at some ranks; without validation ratings there is nothing to measure."""
        by_shard = self.sweeps.errors_of_compact(state.mean, state.predicted, ranks, self.scale)
        found = []
        for rank, parts in zip(ranks, zip(*by_shard, strict=True), strict=True):
            errors = functools.reduce(operator.add, parts)
            count = max(1, errors.errors.ratings)
            rmse = errors.errors.rmse if errors.errors.ratings else 0.0
            found.append(RankOfMean(rank=rank, rmse=rmse, away=math.sqrt(errors.away / count)))
        return tuple(found)


@dataclass(frozen=True)
class _Warnings:
    """A listener that passes warnings on, and drops the progress of a training inside another."""

    listener: Any

    def __call__(self, event: Any) -> None:
        if isinstance(event, Noticed) and event.warning:
            self.listener(event)


def _convergence(traces: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return R-hat and effective numbers of draws in a few numbers; () where there is nothing to compare."""
    if traces.shape[1] < LEAST_DRAWS or not traces.shape[2]:
        return (), ()
    r_hat, effective = convergence_of(traces)
    known = np.isfinite(r_hat) & np.isfinite(effective)
    if not known.any():
        return (), ()
    middle, high, most = np.quantile(r_hat[known], [0.5, 0.95, 1.0]).tolist()
    least, usual = np.quantile(effective[known], [0.0, 0.5]).tolist()
    return (middle, high, most), (usual, least)
