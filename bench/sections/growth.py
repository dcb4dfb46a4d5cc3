"""Growth: how an epoch's time goes with ratings, rank, threads and worker processes, and what moves between workers.

Covers: epochs through Dask, at full size beside two copies of the plain loop at once, which share nothing but the
machine. Does not cover: peers.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from dask.utils import format_bytes

from bench import ours, training
from bench.context import Bench
from bench.data import ROOT
from bench.measure import Measurement, Row

SECTION = "growth: one epoch through Dask"
MOVED = "growth: bytes between two workers in an epoch"
_EPOCHS = 16
"""At least."""
_CLUSTERS = {"1 worker, 2 threads": (1, 2), "1 worker, 1 thread": (1, 1), "2 workers, 1 thread each": (2, 1)}


def rows(bench: Bench) -> list[Row]:
    """Return a row for each size, rank and cluster: all sizes at one rank, all ranks at one size; and what moved."""
    found = []
    for fraction in bench.form.growth_fractions:
        raw = bench.data.raw if fraction == bench.form.fraction else ours.synthesise(bench.form.shape, fraction, ROOT)
        root = bench.folder / "funkflow" if raw == bench.data.raw else ROOT / f"growth-{fraction}"
        epochs = training.enough_epochs(bench.data.ratings * fraction / bench.form.fraction, _EPOCHS)
        for rank in bench.form.growth_ranks if fraction == bench.form.fraction else [bench.rank]:
            contestants = {
                name: partial(_epoch, raw, root, rank, epochs, *cluster) for name, cluster in _CLUSTERS.items()
            }
            if fraction == bench.form.fraction:
                words = ("--rank", rank, "--iterations", bench.form.kernel_iterations)
                read = partial(_copies, ratings=bench.data.ratings)
                contestants["two copies, no Dask"] = partial(bench.ask, "bench.two_copies", read, *words)
            found += bench.compare(SECTION, f"{fraction:g} of {bench.form.shape}, k = {rank}", contestants)
    contestants = {"ours": partial(_moved, bench)}
    return [*found, *bench.compare(MOVED, f"k = {bench.rank}", contestants, repeats=1)]


def _epoch(raw: str, root: Path, rank: int, epochs: int, workers: int, threads: int) -> Measurement:
    trained = training.train_through_dask(raw, root, rank, epochs, threads=threads, workers=workers, whole=False)
    return Measurement(trained.epoch_seconds, trained.ratings)


def _copies(content: dict[str, Any], ratings: int) -> Measurement:
    return Measurement(content["pass_seconds"], ratings, content["rmse"])


def _moved(bench: Bench) -> Measurement:
    moved, expected = ours.bytes_between_workers(bench.data.raw, bench.folder / "funkflow", bench.rank)
    note = f"moved {format_bytes(moved)}; P times the bytes of V {format_bytes(expected)}"
    return Measurement(note=note, more={"moved_bytes": moved, "expected_bytes": expected})
