"""Rows of users and of items as futures, a shard each: counted, and written where they lie.

Covers: what `batch` and `als` do alike. Does not cover: the shares of stochastic descent (methods/sgd_graph.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from distributed import Future

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.root.records import ShardFiles
from funkflow.pipeline.training.checkpoint import array_entries
from funkflow.pipeline.training.manifest import STAGE
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.tasks.storage import files
from funkflow.tasks.training.batch import RowCounts, count_ratings, counts_of_items, counts_of_users


@dataclass(frozen=True)
class ShardedRows:
    """U and V with their biases, or anything of that form, as futures, one a shard."""

    users: list[Future[Any]]
    items: list[Future[Any]]

    @property
    def all(self) -> list[Future[Any]]:
        return [*self.users, *self.items]


def count_rows(
    context: Context, data: PlacedGrid, name: str, count: Callable[..., RowCounts] = count_ratings, *arguments: Any
) -> ShardedRows:
    """Count the ratings of every row.

    name : how the tasks' keys begin; count : takes a row of blocks and the arguments.
    """
    submit = context.client.submit
    counted = [submit(count, row, *arguments, key=f"{name}-{a:03d}", pure=False) for a, row in enumerate(data.rows)]
    return ShardedRows(
        [submit(counts_of_users, each, key=f"{name}-users-{a:03d}", pure=False) for a, each in enumerate(counted)],
        [submit(counts_of_items, counted, b, key=f"{name}-items-{b:03d}", pure=False) for b in range(len(data.rows))],
    )


def write_sides(
    context: Context, folder: str, doing: str, path: str, *,
    write: Callable[..., str], arguments: Callable[[str], Iterable[tuple[Any, ...]]],
) -> ShardFiles:  # fmt: skip
    """Write every shard on a worker that holds it; return the files.

    path : below the folder, with {} for the shard; write : takes a URL and what `arguments`, for "users" or "items",
        has for each shard.
    """
    written = {}
    for side in ("users", "items"):
        of_shards = list(arguments(side))
        paths = [path.format(f"{side[:-1]}-{number:05d}") for number in range(len(of_shards))]
        jobs = [(files.join(folder, path), *each) for path, each in zip(paths, of_shards, strict=True)]
        written[side] = array_entries(paths, run_all(context, STAGE, f"{doing}-{side}", write, jobs))
    return written
