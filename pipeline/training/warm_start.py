"""The start of training from a model that is there already: a checkpoint of epoch 0.

Covers: which tasks make its shards, and scoring the model, so that training which gains nothing keeps it.
Does not cover: what becomes of a row (tasks/training/warm_rows.py), which model it is (pipeline/models/start_model.py),
going on from a checkpoint (sgd.py).

Written as a checkpoint, a warm start is to training what a resumed run is: the same bits on any number of workers,
killed or not. The checkpoint names two sets of shards: the model as it is, the best so far, and the one that training
goes on from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.models.trained_on import Ancestor
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Dataset
from funkflow.pipeline.root.store import nothing_half_written
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.tasks.dataset.matches import match_by_shard
from funkflow.tasks.digits import rounded
from funkflow.tasks.grid.default_rule import WARM_SHRINK
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.storage import files
from funkflow.tasks.training.batch import count_ratings
from funkflow.tasks.training.score import Errors
from funkflow.tasks.training.warm_rows import (
    Side,
    score_start,
    squares_of,
    warm_items,
    warm_users,
    write_as_it_is,
    write_held_back,
)

_AS_IT_IS, _HELD_BACK = "shards-00000", "shards-00000-held-back"


@dataclass(frozen=True)
class WarmStart:
    """The model to start from, and the dataset (its manifest) whose raw ids say which rows it knows."""

    ancestor: Ancestor
    dataset: Dataset


@dataclass(frozen=True)
class Written:
    """Manifest entries of both sets of shards, and the RMSE of the model as it is on the stopping ratings, if any."""

    as_it_is: dict[str, Any]
    held_back: dict[str, Any]
    rmse: float | None


@dataclass(frozen=True)
class StartWriter:
    """What writes a warm start: `data` is the grid as it lies on the workers, `name` part of every task's key."""

    context: Context
    data: PlacedGrid
    steps: StepSizes
    scale: tuple[float, float]
    seed: int
    rank: int
    folder: str
    name: str

    def write(self, warm: WarmStart) -> Written:
        """Write the shards below the checkpoints' folder, and tell what they begin with."""
        scratch = self.context.store.scratch(f"warm-start-{self.name}")
        with nothing_half_written(temporary=(scratch,)):
            return self._write(warm, self._rows(warm, scratch))

    def _write(self, warm: WarmStart, made: dict[str, list[Future[Any]]]) -> Written:
        squares = self._gathered("weigh-warm", squares_of, made)
        ratings = max(1.0, sum(squares["users"][1]))
        mean_squares = {side: WARM_SHRINK**2 * sum(sums) / ratings for side, (sums, _) in squares.items()}
        written = self._gathered("write-warm", write_as_it_is, made, _AS_IT_IS)
        as_it_is = {side: _entries(_AS_IT_IS, side, checksums) for side, (checksums, _) in written.items()}
        first = self._gathered("hold-back", write_held_back, made, _HELD_BACK, mean_squares)
        rmse = self._score(as_it_is) if self.data.scored else None
        known = {side: sum(counts) for side, (_, counts) in written.items()}
        self.context.notify(Noticed(_said(warm, known, rmse)))
        return Written(
            as_it_is, {side: _entries(_HELD_BACK, side, checksums) for side, (checksums, _) in first.items()}, rmse
        )

    def _rows(self, warm: WarmStart, scratch: str) -> dict[str, list[Future[Any]]]:
        """Return all rows that training has, as futures of a WarmRows a shard."""
        submit, shards, name = self.context.client.submit, len(self.data.rows), self.name
        counted = [
            submit(count_ratings, row, key=f"count-warm-{name}-{a}", pure=False) for a, row in enumerate(self.data.rows)
        ]
        users, items = self._sides(warm, scratch)
        return {
            "users": [
                submit(warm_users, counted[a], users, self.steps, self.seed, a, shards,
                       key=f"warm-users-{name}-{a}", pure=False)
                for a in range(shards)
            ],
            "items": [
                submit(warm_items, counted, items, self.steps, self.seed, b, shards,
                       key=f"warm-items-{name}-{b}", pure=False)
                for b in range(shards)
            ],
        }  # fmt: skip

    def _sides(self, warm: WarmStart, scratch: str) -> list[Side]:
        """Users carry what the mean rating has moved by, so that the start predicts what the model does."""
        parts = ModelParts.of(warm.ancestor.folder, read_about(warm.ancestor.folder))
        moved = parts.mean - self.steps.mean if self.steps.bias_step else 0.0
        tables, shards = warm.dataset.id_places, len(self.data.rows)
        sides = [
            Side(name, places, counts, files.join(scratch, f"{name}s.arrow"), parts.rank, shift)
            for name, places, counts, shift in (
                ("user", parts.users, parts.user_counts, moved), ("item", parts.items, parts.item_counts, 0.0)
            )
        ]  # fmt: skip
        matching = [
            self.context.client.submit(
                match_by_shard, table, side.parts, shards, side.match, key=f"match-{side.name}-{self.name}", pure=False
            )
            for table, side in zip(tables, sides, strict=True)
        ]
        self.context.client.gather(matching)
        return sides

    def _gathered(
        self, doing: str, function: Callable[..., tuple[Any, Any]], made: dict[str, list[Future[Any]]],
        place: str = "", mean_squares: dict[str, float] | None = None,
    ) -> dict[str, tuple[list[Any], list[Any]]]:  # fmt: skip
        """Run a function on every shard's rows; return both of its results for each side, in the order of shards."""
        others = mean_squares and {"users": mean_squares["items"], "items": mean_squares["users"]}
        futures = {
            side: [
                self.context.client.submit(
                    function, rows,
                    *([files.join(self.folder, place, _name(side, number))] if place else []),
                    *([others[side]] if others else []),
                    key=f"{doing}-{side}-{self.name}-{number}", pure=False,
                )
                for number, rows in enumerate(of_side)
            ]
            for side, of_side in made.items()
        }  # fmt: skip
        found: dict[str, list[tuple[Any, Any]]] = self.context.client.gather(futures)
        return {side: ([each[0] for each in pairs], [each[1] for each in pairs]) for side, pairs in found.items()}

    def _score(self, entries: dict[str, Any]) -> float:
        users, items = (
            [(files.join(self.folder, entry["path"]), entry["checksum"]) for entry in entries[side]]
            for side in ("users", "items")
        )
        submit, name = self.context.client.submit, self.name
        errors: list[Errors] = self.context.client.gather(
            [
                submit(score_start, held_out, user, items, self.rank, self.steps, self.scale,
                       key=f"score-warm-{name}-{a}", pure=False)
                for a, (held_out, user) in enumerate(zip(self.data.held_out, users, strict=True))
            ]
        )  # fmt: skip
        return sum(errors[1:], errors[0]).rmse


def _name(side: str, number: int) -> str:
    return f"{side[:-1]}-{number:05d}.npy"


def _entries(place: str, side: str, checksums: list[str]) -> list[dict[str, str]]:
    return [
        {"path": f"{place}/{_name(side, number)}", "checksum": checksum} for number, checksum in enumerate(checksums)
    ]


def _said(warm: WarmStart, known: dict[str, int], rmse: float | None) -> str:
    measured = "" if rmse is None else f"; its stopping RMSE is {rounded(rmse)}"
    return (
        f"training starts from {warm.ancestor.name}, which knows {known['users']:,} of {warm.dataset.users:,} users "
        f"and {known['items']:,} of {warm.dataset.items:,} items{measured}"
    )
