"""The bias baseline of a grid, as tasks on its rows of blocks.

Covers: the tasks with their inputs and keys.
Does not cover: the estimate (tasks/grid/bias_baseline.py), its uses (pipeline/stages/evaluate.py,
methods/standard_svd.py).
"""

from __future__ import annotations

from typing import Any

from distributed import Future

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.training.placed_grid import PlacedGrid
from funkflow.tasks.grid.bias_baseline import item_bias_shard, item_sums, user_bias_shard


def fit_biases(
    context: Context, data: PlacedGrid, mean: float, name: str
) -> tuple[list[Future[Any]], list[Future[Any]]]:
    """Return the damped biases of all user shards and of all item shards, as futures of FactorShards in rating units.

    mean : of the training ratings; name : part of the tasks' keys.
    """
    submit, shards = context.client.submit, len(data.rows)
    sums = [submit(item_sums, row, mean, key=f"sum-items-{name}-{a}", pure=False) for a, row in enumerate(data.rows)]
    items = [submit(item_bias_shard, sums, b, key=f"bias-items-{name}-{b}", pure=False) for b in range(shards)]
    users = [
        submit(user_bias_shard, row, mean, *items, key=f"bias-users-{name}-{a}", pure=False)
        for a, row in enumerate(data.rows)
    ]
    return users, items
