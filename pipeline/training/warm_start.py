"""Warm start: the checkpoint of epoch 0, made of an existing model.

Covers: the tasks that make its files, for stochastic descent and for row solves, and the score of the model, its
RMSE or NDCG as epochs have it, which stays the best if training gains nothing.
Does not cover: the rows (tasks/training/warm_rows.py), the choice of the model (pipeline/models/start_model.py),
resuming from the checkpoint (methods/).

Training resumes from this checkpoint as from any other: the same bits on any number of workers, killed or not. It names
two sets of files: the model unchanged, which is the best so far, and the one from which training starts, shrunk where
early stopping decides the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from distributed import Future

from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.records import ShardFiles
from funkflow.pipeline.root.store import nothing_half_written
from funkflow.pipeline.training.checkpoint import array_entries
from funkflow.pipeline.training.job import TrainingJob, WarmStart
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.tasks.dataset.matches import match_by_shard
from funkflow.tasks.digits import rounded
from funkflow.tasks.grid.default_rule import WARM_SHRINK
from funkflow.tasks.grid.factor_shard import ShardStart
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.model.about import Place, read_about
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.serving.rank_sample import rank_start
from funkflow.tasks.serving.ranking_measures import Ranking
from funkflow.tasks.storage import files
from funkflow.tasks.training.batch import count_ratings
from funkflow.tasks.training.score import Errors
from funkflow.tasks.training.warm_rows import (
    ModelSide,
    score_start,
    squares_of,
    warm_items,
    warm_users,
    write_shrunk,
    write_start_rows,
    write_unchanged,
)

_UNCHANGED, _SHRUNK = "shards-00000", "shards-00000-held-back"
Sides = dict[str, list[Future[Any]]]
"""Futures of a WarmRows for each shard, of "users" and of "items"."""
Written = dict[str, tuple[list[Any], list[Any]]]
"""For each side, both results of a function for every shard: of one that writes, checksums and numbers of rows."""


@dataclass(frozen=True)
class WrittenStart:
    """Both sets of files, and the validation RMSE of the start model, or its NDCG; None without a score."""

    unchanged: ShardFiles
    shrunk: ShardFiles
    score: float | None


@dataclass(frozen=True)
class MeasuredUsers:
    """The users whose rankings decide: futures of a `RankSample` for each shard, how many users, `places` of a list."""

    samples: Sequence[Future[Any]]
    users: int
    places: int


@dataclass(frozen=True)
class StartWriter:
    """Writes the warm start of stochastic descent.

    `data` : the grid on the workers; `folder` : of the checkpoints; `scored` : whether the model has a score.
    """

    job: TrainingJob
    data: PlacedGrid
    steps: StepSizes
    folder: str
    scored: bool

    @property
    def _submit(self) -> Callable[..., Future[Any]]:
        return self.job.context.client.submit

    @property
    def _name(self) -> str:
        return self.job.context.attempt

    def write(self, warm: WarmStart) -> WrittenStart:
        """Write the shards into the checkpoints' folder, and report the start."""
        scratch = self.job.context.store.scratch(f"warm-start-{self._name}")
        with nothing_half_written(temporary=(scratch,)):
            return self._write(warm, self._rows(warm, scratch))

    def _write(self, warm: WarmStart, rows: Sides) -> WrittenStart:
        written = self._run("write-warm", write_unchanged, rows, _UNCHANGED)
        unchanged = _shard_entries(_UNCHANGED, written)
        shrunk = _shard_entries(_SHRUNK, self._write_shrunk(rows))
        score, text = self._score(unchanged) if self.scored else (None, "")
        known = {side: sum(counts) for side, (_, counts) in written.items()}
        self.job.context.notify(Noticed(_message(warm, known, text)))
        return WrittenStart(unchanged, shrunk, score)

    def _write_shrunk(self, rows: Sides) -> Written:
        """Write the files that training starts from."""
        squares = self._run("weigh-warm", squares_of, rows)
        ratings = max(1.0, sum(squares["users"][1]))
        means = {side: WARM_SHRINK**2 * sum(sums) / ratings for side, (sums, _) in squares.items()}
        return self._run(
            "hold-back", write_shrunk, rows, _SHRUNK,
            arguments=lambda side: (means["items" if side == "users" else "users"],),
        )  # fmt: skip

    def _rows(self, warm: WarmStart, scratch: str) -> Sides:
        """Return all rows of training."""
        submit, shards, name = self._submit, len(self.data.rows), self._name
        start = ShardStart(self.job.settings.rank, self.job.settings.seed, shards)
        counted = [
            submit(count_ratings, row, key=f"count-warm-{name}-{a}", pure=False) for a, row in enumerate(self.data.rows)
        ]
        users, items = self._sides(warm, scratch)
        return {
            "users": [
                submit(warm_users, counted[a], users, self.steps, start, shard=a,
                       key=f"warm-users-{name}-{a}", pure=False)
                for a in range(shards)
            ],
            "items": [
                submit(warm_items, counted, items, self.steps, start, shard=b,
                       key=f"warm-items-{name}-{b}", pure=False)
                for b in range(shards)
            ],
        }  # fmt: skip

    def _sides(self, warm: WarmStart, scratch: str) -> list[ModelSide]:
        """Return both sides; users' biases shift by the change of the mean rating, so that predictions stay."""
        parts = ModelParts.of(warm.model.folder, read_about(warm.model.folder))
        moved = parts.mean - self.steps.mean if self.steps.bias_step else 0.0
        tables, shards = warm.dataset.id_places, len(self.data.rows)
        sides = [
            ModelSide(name, places, counts, files.join(scratch, f"{name}s.arrow"), shift)
            for name, places, counts, shift in (
                ("user", parts.users, parts.user_counts, moved), ("item", parts.items, parts.item_counts, 0.0)
            )
        ]  # fmt: skip
        matching = [
            self._submit(
                match_by_shard, table, side.parts, shards, side.match, key=f"match-{side.name}-{self._name}", pure=False
            )
            for table, side in zip(tables, sides, strict=True)
        ]
        self.job.context.client.gather(matching)
        return sides

    def _run(
        self, doing: str, function: Callable[..., tuple[Any, Any]], rows: Sides, folder: str = "",
        arguments: Callable[[str], tuple[Any, ...]] | None = None,
    ) -> Written:  # fmt: skip
        """Run a function on every shard's rows; return both of its results for each side, in the order of shards.

        arguments : for "users" or "items", what the function takes after the rows and the file's URL.
        """
        futures = {
            side: [
                self._submit(
                    function, of_shard,
                    *([files.join(self.folder, folder, _shard_name(side, number))] if folder else []),
                    *(arguments(side) if arguments else ()),
                    key=f"{doing}-{side}-{self._name}-{number}", pure=False,
                )
                for number, of_shard in enumerate(of_side)
            ]
            for side, of_side in rows.items()
        }  # fmt: skip
        found: dict[str, list[tuple[Any, Any]]] = self.job.context.client.gather(futures)
        return {side: ([each[0] for each in pairs], [each[1] for each in pairs]) for side, pairs in found.items()}

    def _score(self, entries: ShardFiles) -> tuple[float, str]:
        """Return the score, and what to report of it."""
        users, items = self._places(entries)
        job = self.job
        errors: list[Errors] = job.context.client.gather(
            [
                self._submit(score_start, held_out, user, items, job.settings.rank, scaling=self.steps,
                             scale=job.scale, key=f"score-warm-{self._name}-{a}", pure=False)
                for a, (held_out, user) in enumerate(zip(self.data.held_out, users, strict=True))
            ]
        )  # fmt: skip
        rmse = sum(errors[1:], errors[0]).rmse
        return rmse, f"; validation RMSE {rounded(rmse)}"

    def _places(self, entries: ShardFiles) -> tuple[list[Place], list[Place]]:
        users, items = ([entry.place(self.folder) for entry in entries[side]] for side in ("users", "items"))
        return users, items


@dataclass(frozen=True)
class RowStartWriter(StartWriter):
    """Writes the warm start of row solves.

    `biases`, `number` : whether rows have biases, and their type; `shrink` : factor of the model's rows; `ranked` : the
    users whose rankings decide, None: no rankings do.
    """

    biases: bool
    number: str
    shrink: float
    ranked: MeasuredUsers | None

    def _write_shrunk(self, rows: Sides) -> Written:
        return self._run(
            "hold-back", write_start_rows, rows, _SHRUNK,
            arguments=lambda side: (side[:-1], self.biases, self.number, self.shrink),
        )  # fmt: skip

    def _score(self, entries: ShardFiles) -> tuple[float, str]:
        if self.ranked is None:
            return super()._score(entries)
        users, items = self._places(entries)
        rankings: list[Ranking] = self.job.context.client.gather(
            [
                self._submit(rank_start, sample, self.ranked.places, user, items, self.job.settings.rank, self.biases,
                             key=f"rank-warm-{self._name}-{a}", pure=False)
                for a, (sample, user) in enumerate(zip(self.ranked.samples, users, strict=True))
            ]
        )  # fmt: skip
        ndcg = sum(rankings[1:], rankings[0]).ndcg / self.ranked.users
        return ndcg, f"; validation NDCG@{self.ranked.places} {ndcg:.4f}"


def _shard_name(side: str, number: int) -> str:
    return f"{side[:-1]}-{number:05d}.npy"


def _shard_entries(folder: str, written: Written) -> ShardFiles:
    return {
        side: array_entries([f"{folder}/{_shard_name(side, number)}" for number in range(len(checksums))], checksums)
        for side, (checksums, _) in written.items()
    }


def _message(warm: WarmStart, known: dict[str, int], measured: str) -> str:
    return (
        f"training starts from {warm.model.name}, which has {known['users']:,} of {warm.dataset.users:,} users "
        f"and {known['items']:,} of {warm.dataset.items:,} items{measured}"
    )
