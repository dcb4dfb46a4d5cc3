"""Train by Gibbs sampling: chains from optima of sgd on, burn-in first, then draws and their mean.

Covers: the loop over sweeps, checkpoints, resuming, merging draws into their mean, and the draws that are kept.
Does not cover: the graph of a sweep (bayes_graph.py), its tasks (tasks/training/posterior/), where chains start and
what is left at the end (sampling_ends.py), the files of a checkpoint (sampling_files.py).

Some chains run at once, one group after another: as many as are small, by the size of the data alone. After a
checkpoint the loop reads back what it has written, so a resumed run has the same bits, and no task depends on those
before.
"""

from __future__ import annotations

import functools
import math
import operator
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.records import KeptDraw
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.training.checkpoint import Checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.loop import CheckpointedLoop
from funkflow.pipeline.training.manifest import best_score, reuse_or_train
from funkflow.pipeline.training.methods import sampling_files
from funkflow.pipeline.training.methods.bayes_graph import Sampling, Sweeps
from funkflow.pipeline.training.methods.chain_graph import Chain, Futures
from funkflow.pipeline.training.methods.sampling_ends import COMPACT_RANKS, ChainStart, described, posterior_record
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.pipeline.training.step_sizes import scaling_of, step_sizes
from funkflow.pipeline.training.sweeps import sampling_size, sweeps_of
from funkflow.pipeline.training.times import calendar_for
from funkflow.tasks.grid.row_objective import Objective
from funkflow.tasks.noise import Stream
from funkflow.tasks.storage import files
from funkflow.tasks.training.posterior.sweep_parts import Met, Model
from funkflow.tasks.training.score import Errors

MERGED_DRAWS = 4
"""Draws wait until there are so many, and are merged into the mean, unless a checkpoint comes first. More at once would
take longer: a merge takes the square and the cube of its columns."""


def train_bayes(job: TrainingJob) -> Training:
    """Train as `sgd.train` does; the manifest also has the record of the draws.

    Raises
    ------
    SettingsError
        The checkpoints were made for another CPU target.
    """

    def work() -> Training:
        return SweepLoop(job, step_sizes(job.grid, job.settings)).run()

    return reuse_or_train(job, sweeps_of(job.grid, job.settings)[1], work, _summary_of_bayes)


def _summary_of_bayes(manifest: Training) -> str:
    assert manifest.posterior is not None
    drawn = manifest.posterior
    return f"mean of {drawn.draws * drawn.chains} draws, rank {drawn.rank}, {best_score(manifest)}"


@dataclass(frozen=True)
class _Flying:
    """A sweep that was submitted: the chains after it, and the errors of the mean of all draws up to it."""

    number: int
    chains: list[Chain]
    errors: Futures


@dataclass
class SweepLoop(CheckpointedLoop):
    """The loop over sweeps.

    `group` : chains that run at once; `of_chain` : sweeps of a chain, `burn_in` of which do not count; `total` : of all
    groups.
    """

    unit = METHODS["bayes"].unit
    counted: ClassVar[str] = METHODS["bayes"].counted
    of: ClassVar[str] = "draws"
    start_words: ClassVar[str] = "chain {} starts from"

    def run(self) -> Training:
        """Sample to the end, from the newest whole checkpoint if there is one, and write the model."""
        chosen, data, last = self.settings, self.load_grid(), self.resume()
        self.set_lengths()
        self.calendar = calendar_for(self.context, data, self.job.times)
        self.sweeps = self.place(data, self._model(), chosen.rank + 2 * chosen.biases)
        state = self._stored(last) if last else self.sweeps.nothing_drawn(self.group)
        while last is None or last.epoch < self.total:
            last = self._to_next_checkpoint(data, state, last)
            if last.epoch < self.total:
                now = self.grid_after(data, last)
                if now is not data:
                    data = now
                    self.sweeps.place(data)
            state = self._stored(last)
        shards = sampling_files.write_mean(self.context, self.folder, state, self.size.mean_rank)
        record = posterior_record(self.job, self.sweeps, state, self.size, self.history[-1][1], self.burn_in)
        if words := described(record, self.of):
            self.context.notify(Noticed(words))
        manifest = replace(last, best=shards).training(self.job, self.steps)
        times = sampling_files.write_times(self.context, self.folder, state, self.sweeps)
        return replace(manifest, counted=self.counted, posterior=record, times=times)

    def set_lengths(self) -> None:
        """Set the numbers of chains and sweeps."""
        self.size = sampling_size(self.grid, self.scale, self.settings)
        self.burn_in = self.settings.bayes.burn_in
        self.of_chain = self.burn_in + self.size.draws
        self.group, self.total = sweeps_of(self.grid, self.settings)

    def place(self, data: PlacedGrid, model: Model, width: int) -> Sweeps:
        """Return the graph over the blocks of a grid; width : of rows."""
        return Sweeps(self.context, data, model, width, self.job.features)

    def draw(self, chain: Chain, stream: Stream) -> Chain:
        """Submit a sweep of a chain."""
        return self.sweeps.sweep(chain, stream)

    def _model(self) -> Model:
        grid, chosen = self.grid, self.settings
        scaling = scaling_of(grid, chosen.center)
        objective = Objective(0.0, 0.0, grid.users, grid.items, scaling, biases=chosen.biases)
        return Model(
            objective, grid.ratings, chosen.bayes.steps, self.size.implicit, chosen.bayes.pair_steps,
            user_features="user" in self.job.features, calendar=self.calendar, further=bool(grid.further),
        )  # fmt: skip

    def _place_of(self, number: int) -> tuple[int, int]:
        """Return the group of a sweep, from 0, and its number in its chains, from 1."""
        group, before = divmod(number - 1, self.of_chain)
        return group, before + 1

    def _to_next_checkpoint(self, data: PlacedGrid, state: Sampling, last: Checkpoint | None) -> Checkpoint:
        """Run sweeps until a checkpoint is due, merge their draws, and write it; `state` changes.

        The next sweep is submitted before this one is reported, so that no worker waits.
        """
        first = last.epoch if last else 0
        end = min(first + self.settings.checkpoint_epochs, self.total)
        flying: deque[_Flying] = deque()
        waiting: list[Chain] = []
        submitted = first
        while len(self.history) < end:
            while len(flying) < 2 and submitted < end:
                submitted += 1
                flying.append(self._submit(data, state, submitted))
            done = flying.popleft()
            met = self._record(done)
            if self._place_of(done.number)[1] > self.burn_in:
                waiting += done.chains
                state.draws += len(done.chains)
                state.noise_variances += sum(each.noise_variance for each in met)
                if state.times is not None:
                    for chain in done.chains:
                        state.times = self.sweeps.sums.added(state.times, chain.users, chain.items)
                self.keep(state, done, met)
            if waiting and (done.number == end or len(waiting) >= MERGED_DRAWS):
                self.sweeps.merge(state, waiting, COMPACT_RANKS[-1] * self.settings.rank, f"{done.number:04d}")
                waiting = []
        self.begin_writing()
        written = sampling_files.write(self.context, self.folder, end, state, met, bool(self.sweeps.features))
        checkpoint = self.write_checkpoint(end, end, written, {"users": (), "items": ()})
        files.remove_tree(self._start_folder)
        return checkpoint

    @property
    def _start_folder(self) -> str:
        return files.join(self.job.run_folder, "start")

    def _submit(self, data: PlacedGrid, state: Sampling, number: int) -> _Flying:
        """Submit sweep `number` of all chains of its group, and the predictions of its draws."""
        group, sweep = self._place_of(number)
        numbers = [group * self.group + slot for slot in range(self.group)]
        if sweep == 1:
            start = ChainStart(self.job, self.sweeps, data, self._start_folder, self.start_words)
            state.chains = [start.chain(each) for each in numbers]
        seed = self.settings.seed
        state.chains = [
            self.draw(chain, Stream(seed, each, sweep)) for each, chain in zip(numbers, state.chains, strict=True)
        ]
        counts = sweep > self.burn_in
        shown = state.predicted
        if counts or group == 0:
            before = state.predicted if counts else [self.sweeps.no_predictions() for _ in numbers]
            shown = [
                self.sweeps.predicted(drawn, chain, f"{each}-{sweep:04d}")
                for each, drawn, chain in zip(numbers, before, state.chains, strict=True)
            ]
        if counts:
            state.predicted = shown
        return _Flying(number, state.chains, self.sweeps.errors_of_mean(shown, self.scale, f"{number:04d}"))

    def _record(self, done: _Flying) -> list[Met]:
        """Report a sweep; return what is known of each chain."""
        met, parts = self.context.client.gather(([chain.met for chain in done.chains], done.errors))
        squared = float(np.mean([each.squared_errors for each in met]))
        training = math.sqrt(squared / self.grid.ratings) * self.sweeps.objective.scaling.deviation
        errors: Errors = functools.reduce(operator.add, parts)
        stopping = errors.rmse if errors.ratings else None
        self.history.append([training, stopping])
        passes = sum(chain.passes or 2 * self.settings.bayes.steps + 3 for chain in done.chains)
        self.notify(done.number, self.total, (training, stopping), best=done.number == self.total, passes=passes)
        return list(met)

    def keep(self, state: Sampling, done: _Flying, met: Sequence[Met]) -> None:
        """Write the rows of a sweep's draws, if it is one of those that stay: as many, evenly, as the settings say."""
        group, sweep = self._place_of(done.number)
        draws, number = self.size.draws, sweep - self.burn_in
        wanted = min(-(-self.settings.keep_draws // self.size.chains), draws)
        for slot, (chain, seen) in enumerate(zip(done.chains, met, strict=True)):
            each = group * self.group + slot
            if (
                number * wanted // draws == (number - 1) * wanted // draws
                or len(state.kept) >= self.settings.keep_draws
            ):
                continue
            name = f"draws-{each:02d}-{sweep:05d}"
            rows = sampling_files.write_kept(self.context, self.folder, name, chain, seen.noise.precision)
            users, items = rows["users"], rows["items"]
            kept = KeptDraw(
                chain=each, sweep=sweep, noise_precision=1.0 / seen.noise_variance, users=users, items=items
            )
            state.kept.append(kept)

    def _stored(self, last: Checkpoint) -> Sampling:
        """Return the state of a checkpoint as fresh load tasks."""
        assert last.current.sampling is not None
        return sampling_files.stored(self.sweeps, last, self.folder, last.current.sampling)
