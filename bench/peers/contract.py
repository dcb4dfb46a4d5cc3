"""What every peer is asked and how it answers: options in, one JSON line out.

Covers: the options, the ratings, the RMSE on the probe, the peak of memory, and the line.
Does not cover: any peer (the other files here), or what is done with the answer (bench/process.py, bench/verdict.py).

A peer's file imports its program at the top: where that is not installed, the process ends with the interpreter's own
line, which is what gets reported.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.pipeline.cluster.memory_monitor import MemoryMonitor

RATING = np.dtype([("user", "<i4"), ("item", "<i4"), ("rating", "<f4")])


@dataclass(frozen=True)
class Task:
    """What to train on and how long. `folder` holds training.bin, probe.bin and training.txt (bench/data.py).

    `l2` is LIBMF's; the other peers' files have their own, which count for each rating of a row.
    `read_only` : say how long reading the text takes, and no more. `from_text` : start from the text if it can.
    """

    folder: Path
    rank: int
    iterations: int
    threads: int
    l2: float
    read_only: bool
    from_text: bool

    @property
    def text(self) -> Path:
        return self.folder / "training.txt"

    def training(self) -> npt.NDArray[np.void]:
        return np.fromfile(self.folder / "training.bin", dtype=RATING)

    def probe(self) -> npt.NDArray[np.void]:
        return np.fromfile(self.folder / "probe.bin", dtype=RATING)


def rmse(probe: npt.NDArray[np.void], predicted: npt.NDArray[Any], fallback: float) -> float:
    """Return the RMSE on the probe, predictions clipped to 1…5; `fallback` (the mean) where there is none."""
    filled = np.clip(np.where(np.isfinite(predicted), predicted, fallback), 1.0, 5.0)
    return float(np.sqrt(np.mean((probe["rating"] - filled.astype(np.float64)) ** 2)))


def answer(train: Callable[[Task], dict[str, Any]]) -> None:
    """Do what the command line asks with `train` and print its answer, with seconds and peak memory, as the last line.

    `train` returns at least `train_seconds`, or `read_seconds` where only reading was asked for.
    """
    words = argparse.ArgumentParser(description="one peer of the benchmark")
    words.add_argument("folder", type=Path)
    words.add_argument("--rank", type=int, default=64)
    words.add_argument("--iterations", type=int, default=10)
    words.add_argument("--threads", type=int, default=2)
    words.add_argument("--l2", type=float, default=0.05)
    words.add_argument("--read-only", action="store_true")
    words.add_argument("--from-text", action="store_true")
    words.add_argument("--memory", action="store_true", help="sample the memory, which slows big processes a little")
    chosen = vars(words.parse_args())
    sample = chosen.pop("memory")
    began = time.monotonic()
    with ExitStack() as stack:
        monitor = stack.enter_context(MemoryMonitor()) if sample else None
        content = train(Task(**chosen))
        content |= {"seconds": time.monotonic() - began}
    print(json.dumps({**content, "peak_memory_bytes": monitor.peak_bytes if monitor else 0}))
