"""The plan of a run: its grid, tasks, memory and disk, before it starts.

Covers: these numbers, from the sizes of the matrix.
Does not cover: the sizes (sizes.py), the arithmetic of bytes (budget.py), printing (pipeline/results/plan_table.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from funkflow.pipeline.planning.budget import (
    Allowance,
    Prediction,
    Size,
    Workload,
    available_disk_bytes,
    available_memory_bytes,
    predict_bytes,
    row_bytes,
    saved_model,
)
from funkflow.pipeline.planning.one_process import choose_processes, in_one_process
from funkflow.pipeline.planning.serving_memory import ServingNeed, choose_serving, with_serving
from funkflow.pipeline.planning.sizes import size_of, training_size
from funkflow.pipeline.root.manifests import Grid
from funkflow.pipeline.settings.effective import on_counts
from funkflow.pipeline.settings.methods import ALL_METHODS
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.grid.layout import shards_for
from funkflow.tasks.grid.visit_order import shares_for, tasks_of
from funkflow.tasks.training.sgd_epochs import epochs_at_once


@dataclass(frozen=True)
class Plan:
    """A run's sizes and needs.

    `size` counts all ratings, validation included; `training_ratings` only those to train on. `limit` : of training, in
    words.
    """

    size: Size
    training_ratings: int
    split: str
    shards: int
    method: str
    rank: int
    limit: str
    checkpoint_epochs: int
    prediction: Prediction
    allowance: Allowance
    free_disk_bytes: int | None

    @property
    def block_ratings(self) -> int:
        return self.training_ratings // self.shards**2

    @property
    def shares(self) -> int:
        """The number of shares of the grid: at least one for each worker, if there are as many shards."""
        return shares_for(self.shards, self.allowance.workers)

    @property
    def epochs_per_task(self) -> int:
        """Epochs that one task goes through: several, where the ratings are few and all of them one share."""
        return min(epochs_at_once(self.training_ratings, self.shares), self.checkpoint_epochs)

    @property
    def tasks_per_epoch(self) -> float:
        """Tasks of an epoch (tasks/grid/visit_order.py); of tasks for several epochs, an epoch's part."""
        return tasks_of(self.shares) / self.epochs_per_task

    @property
    def moved_bytes_per_epoch(self) -> int:
        """Every item shard visits all shares; then every worker fetches all the others, for the score."""
        rounds = self.shares + min(self.shares, self.allowance.workers) - 1 if self.shares > 1 else 0
        return rounds * self.size.items * row_bytes(self.rank)

    @property
    def copied_bytes_per_epoch(self) -> int:
        """Every stratum copies all shards, as tasks do not change their inputs."""
        return self.shares * (self.size.users + self.size.items) * row_bytes(self.rank)

    def refuse(self) -> None:
        """Raise CannotFit if memory or disk is too small."""
        self.allowance.refuse_what_cannot_fit(self.prediction)

    @property
    def has_epochs(self) -> bool:
        """Whether training has epochs of all factors, so that the numbers of an epoch apply."""
        return ALL_METHODS[self.method].counts_epochs

    def to_dict(self) -> dict[str, object]:
        of_epochs = ("epochs_per_task", "tasks_per_epoch", "moved_bytes_per_epoch", "copied_bytes_per_epoch")
        return {
            **asdict(self),
            "shares": self.shares,
            "block_ratings": self.block_ratings,
            **{name: getattr(self, name) if self.has_epochs else None for name in of_epochs},
            "memory_bytes": self.prediction.total_bytes,
            "disk_bytes": self.prediction.disk_bytes,
        }


def local_allowance(settings: Settings) -> Allowance:
    """Return the allowance of a cluster on this machine, as it is now."""
    cluster = settings.cluster
    memory = cluster.memory or available_memory_bytes()
    return Allowance(cluster.workers, cluster.threads_per_worker, memory, settings.root)


def allowance_of_run(settings: Settings) -> Allowance:
    """Return the allowance of a run on this machine, in one process if its plan is small."""
    return choose_processes(
        local_allowance(settings), settings.cluster, lambda each: plan_of(settings, each).prediction.total_bytes
    )


def predict_for(settings: Settings, size: Size, shards: int, allowance: Allowance) -> Prediction:
    """Return the predicted bytes for a matrix of that size on those workers.

    With `cluster.blocks` "auto", blocks are streamed where holding all of them does not fit.
    """
    train, ingest = settings.train, settings.ingest
    row_means = train.implicit_for(size.ratings, size.rows) != "none"
    timed = size.timestamps and train.effects_of_time(size.timestamps, size.ratings) != "none"
    work = Workload(size, train.rank, shards, allowance.workers, allowance.threads, row_means=row_means, timed=timed)
    held, streamed = (
        predict_bytes(each, ingest.chunk_bytes, ingest.partition_ratings, settings.train.trained_as)
        for each in (work, replace(work, streamed=True))
    )
    if settings.cluster.blocks == "auto":
        chosen = held if allowance.has_memory_for_training(held) else streamed
    else:
        chosen = streamed if settings.cluster.blocks == "streamed" else held
    most, similar = max(*settings.ranking.lengths, settings.recommend.count, 0), settings.recommend.similar
    if most or similar:
        saved = saved_model(work, settings.train.trained_as)
        chosen = with_serving(chosen, recommending_need(settings, saved, most, allowance, similar))
    return in_one_process(chosen) if allowance.one_process else chosen


def recommending_need(
    settings: Settings, work: Workload, count: int, allowance: Allowance, similar: int = 0
) -> ServingNeed:
    """Return the predicted need of `count` items for a user and `similar` of an item, of a model in `work.shards`."""
    users, ratings = settings.recommend.batch_users, settings.ingest.partition_ratings
    return choose_serving(work, count, users, ratings, allowance, similar, settings.recommend.by != "mean")


def size_of_grid(grid: Grid) -> Size:
    """Return the size of a grid, with its numbers of training and validation ratings."""
    held_out = sum(part.ratings for part in grid.held_out.values())
    return Size(
        grid.ratings, grid.users, grid.items, raw_bytes=0, rating_bytes=grid.rating_bytes, held_out=held_out,
        timestamps=bool(grid.days),
    )  # fmt: skip


def plan_of(settings: Settings, allowance: Allowance | None = None) -> Plan:
    """Return the plan for these settings; reads a sample of the raw data at most.

    `allowance` : None: that of this machine.
    """
    allowance = allowance or allowance_of_run(settings)
    size = size_of(settings)
    if size.counts:
        settings = on_counts(settings)
    training = training_size(settings, size)
    shards = settings.grid.shards or shards_for(training.ratings, size.users, size.items)
    prediction = predict_for(settings, training, shards, allowance)
    return Plan(
        size=size,
        training_ratings=training.ratings,
        split=settings.split.description,
        shards=shards,
        method=settings.train.trained_as,
        rank=settings.train.rank,
        limit=ALL_METHODS[settings.train.trained_as].limit_in(settings.train),
        checkpoint_epochs=settings.train.checkpoint_epochs,
        prediction=prediction,
        allowance=allowance,
        free_disk_bytes=available_disk_bytes(settings.root),
    )
