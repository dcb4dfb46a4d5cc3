"""Train several runs of sgd, each with its own random numbers, and take their mean as one model.

Covers: the loop over runs, and the rank of their mean.
Does not cover: a run (sgd.py), the mean, checkpoints and resuming, which are those of a sampler (bayes.py): a run is a
chain of one draw, its start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distributed import Future

from funkflow.pipeline.root.manifests import Grid, Training
from funkflow.pipeline.settings.methods import MEMBERS
from funkflow.pipeline.settings.train import TrainSettings
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.manifest import best_score, reuse_or_train
from funkflow.pipeline.training.methods.bayes import SweepLoop
from funkflow.pipeline.training.methods.bayes_graph import Sampling, Sweeps
from funkflow.pipeline.training.methods.chain_graph import Chain
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.pipeline.training.step_sizes import step_sizes
from funkflow.pipeline.training.sweeps import SamplingSize, sampling_size
from funkflow.tasks.noise import Stream
from funkflow.tasks.training.posterior.sweep_parts import Met, Model


def train_members(job: TrainingJob) -> Training:
    """Train as `bayes.train_bayes` does, with runs in place of draws.

    Raises
    ------
    Diverged
        A factor of a run became infinite or not a number.
    SettingsError
        The checkpoints were made for another CPU target.
    """

    def work() -> Training:
        return _MemberLoop(job, step_sizes(job.grid, job.settings)).run()

    return reuse_or_train(job, job.settings.members, work, _summary_of_members)


def size_of_mean(grid: Grid, scale: tuple[float, float], settings: TrainSettings) -> SamplingSize:
    """Return the numbers of a sampler whose chains are the runs; it takes its rank of the mean."""
    rank = min(sampling_size(grid, scale, settings).mean_rank, settings.members * settings.rank)
    return SamplingSize(chains=settings.members, draws=1, mean_rank=rank, implicit="none")


def _summary_of_members(manifest: Training) -> str:
    assert manifest.posterior is not None
    found = manifest.posterior
    return f"{found.chains} runs of sgd, their mean at rank {found.rank}, {best_score(manifest)}"


class _Means(Sweeps):
    """The mean without sweeps, for which ratings need no order of the items."""

    def order_items(self, _name: str) -> list[Future[Any]]:
        return []


@dataclass
class _MemberLoop(SweepLoop):
    """The loop over runs."""

    unit = MEMBERS.unit
    counted = MEMBERS.counted
    of = "runs"
    start_words = "run {}:"

    def set_lengths(self) -> None:
        self.size = size_of_mean(self.grid, self.scale, self.settings)
        self.burn_in, self.of_chain, self.group, self.total = 0, 1, 1, self.size.chains

    def place(self, data: PlacedGrid, model: Model, width: int) -> Sweeps:
        return _Means(self.context, data, model, width, {})

    def draw(self, chain: Chain, _stream: Stream) -> Chain:
        return chain

    def keep(self, state: Sampling, done: Any, met: Sequence[Met]) -> None:
        """Keep nothing: optima are no draws."""
