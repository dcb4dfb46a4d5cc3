"""Ours in a plain loop over the blocks, without Dask, as a process that answers like a peer.

Covers: passes in memory and the RMSE after them. Does not cover: the loop itself (ours.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import ours
from bench.peers.contract import Task, answer, rmse


def train(task: Task) -> dict[str, Any]:
    """Train on the blocks of the grid that data.json names."""
    grid = Path(json.loads((task.folder / "data.json").read_text(encoding="utf-8"))["made"]["grid"])
    loop = ours.train_in_plain_loop(grid, task.rank, task.threads, task.iterations)
    probe = task.probe()
    return {
        "setup_seconds": loop.load_seconds,
        "iteration_seconds": loop.epoch_seconds,
        "rmse": rmse(probe, loop.predict(probe["user"], probe["item"]), 0.0),
    }


if __name__ == "__main__":
    answer(train)
