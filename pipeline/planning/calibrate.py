"""Measure the constants on the machine at hand, in less than a minute.

Covers: each constant as the median of several measurements, with its spread, through the program's own functions: the
kernel, copies and scores of shards, shards on disk, and tasks and transfers of the cluster.
Does not cover: what the constants mean (constants.py), or the cluster itself (pipeline/cluster/open.py).

The kernel is measured on three blocks: a dense one, one with hardly more ratings than rows in each group of users, and
one where hardly two ratings share a group, all but the first too large for the cache. What each takes, and how many
ratings and rows brought up to date it has, are three equations for the three costs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from dask.base import annotate
from dask.delayed import delayed
from distributed import Client
from distributed.protocol.pickle import dumps
from scipy.optimize import nnls

from funkflow.pipeline.planning.constants import Constants, RankConstants
from funkflow.pipeline.planning.task_costs import Block
from funkflow.pipeline.settings.cluster import cores
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import FactorShard, ShardStart, initial_shard, read_shard, write_shard
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.grid.visit_order import strata_of_shares
from funkflow.tasks.kernels.buffers import uninitialised
from funkflow.tasks.kernels.threads import map_threads
from funkflow.tasks.kernels.wavefront import visit_tiles
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import HeldOut, score
from funkflow.tasks.training.sgd import descend_in_place

RANKS = (32, 64, 128)
REPEATS = 5
_BLOCKS = (((16_384, 2_048), 3_000_000), ((131_072, 16_384), 2_500_000), ((160_000, 160_000), 300_000))
_COPIED_ROWS, _STORED_ROWS, _SENT_BYTES = 300_000, 60_000, 64 * 2**20
_PASSES, _ORDERED_SHARDS = 4, 256
_NO_OPS, _LINKS, _VISITS = 600, 40, 2_000
_STEPS = StepSizes(3.0, 1.0, 0.05, 0.05, 0.05)


class Timings:
    """Medians by name, with their spreads."""

    def __init__(self) -> None:
        self.spread: dict[str, float] = {}

    def median(self, name: str, seconds: Sequence[float]) -> float:
        middle = statistics.median(seconds)
        self.spread[name] = round((max(seconds) - min(seconds)) / middle, 3) if middle else 0.0
        return middle


def measure(client: Client, root: str) -> Constants:
    """Return the constants of this machine. `client` : of two workers; `root` : where shards are written, and removed.

    One worker measures kernels, copies and files, with as many threads as the machine has cores.
    """
    timings, workers = Timings(), sorted(client.scheduler_info(n_workers=-1)["workers"])
    on_one: Callable[..., Any] = partial(_on, client, workers[0])
    found = on_one(_measure_kernels, RANKS, cores())
    stored = on_one(_measure_store, root, cores())
    dispatch = on_one(_measure_dispatch)
    tasks = [_measure_tasks(client) for _ in range(REPEATS)]
    hop = [_measure_chain(client, workers, 1) for _ in range(REPEATS)]
    hand_over = [_measure_chain(client, workers, 2) for _ in range(REPEATS)]
    sent = [_measure_exchange(client, workers) for _ in range(3 * REPEATS)]
    median = timings.median
    ranks = tuple(_rank_constants(rank, found[rank], timings) for rank in RANKS)
    hop_seconds = median("hop_seconds", hop)
    scheduler = median("scheduler_seconds_per_task", [each[0] for each in tasks])
    copied = median("copy_bytes_per_second", [1 / each for each in found["copy"][0]])
    return Constants(
        ranks=ranks,
        thread_loss=_loss(statistics.median(found["beside"][0]), median("thread_loss", found["beside"][1])),
        copy_bytes_per_second=copied,
        copy_thread_loss=_loss(1 / copied, median("copy_thread_loss", found["copy"][1])),
        dispatch_seconds=median("dispatch_seconds", dispatch),
        scheduler_seconds_per_task=scheduler,
        client_seconds_per_task=median("client_seconds_per_task", [each[1] for each in tasks]),
        client_seconds_per_block=median("client_seconds_per_block", _measure_order()),
        hop_seconds=max(0.0, hop_seconds - scheduler),
        bandwidth_bytes_per_second=median("bandwidth_bytes_per_second", sent),
        transfer_seconds=max(0.0, median("transfer_seconds", hand_over) - hop_seconds),
        store_write_bytes_per_second=median("store_write_bytes_per_second", stored["write"]),
        store_read_bytes_per_second=median("store_read_bytes_per_second", stored["read"]),
        spread=timings.spread,
        about=_about(root),
    )


def _on(client: Client, worker: str, function: Callable[..., Any], *arguments: Any) -> Any:
    return client.submit(function, *arguments, workers=[worker], pure=False).result()


def _timed(work: Callable[[], Any], repeats: int = REPEATS) -> list[float]:
    """Return the seconds of each of some calls; one before them is not counted."""
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return seconds


def _loss(one: float, each: float) -> float:
    """Return the loss per further thread, from what one thread takes alone and what each takes beside the others."""
    others = cores() - 1
    return max(0.0, (each / one - 1) / others) if others else 0.0


def _random_block(shape: tuple[int, int], ratings: int) -> RatingBlock:
    rng = np.random.default_rng(0)
    cells = np.unique(rng.integers(0, shape[0] * shape[1], ratings))
    values = rng.integers(1, 6, len(cells)).astype(np.float32)
    return RatingBlock.of(cells // shape[1], cells % shape[1], values, shape)


def _shard(rows: int, rank: int, side: str = "user") -> FactorShard:
    return initial_shard(np.ones(rows, np.bool_), ShardStart(rank, seed=0, shards=1), side, 0)


def _measure_kernels(ranks: Sequence[int], threads: int) -> dict[Any, Any]:
    """Return by rank the seconds of each block and of scoring; the loss of threads, and copies, at the middle rank."""
    blocks = [_random_block(*size) for size in _BLOCKS]
    found: dict[Any, Any] = {}
    for rank in ranks:
        seconds = []
        for block in blocks:
            users, items = (_shard(rows, rank, side) for rows, side in zip(block.shape, ("user", "item"), strict=True))
            seconds.append(_timed(partial(descend_in_place, block, users, items, _STEPS)))
        held_out = _held_out(blocks[-1])
        scoring = _timed(partial(score, held_out, users, [items], _STEPS, scale=(1.0, 5.0)))
        found[rank] = (seconds, scoring, [_counted(block) for block in blocks], len(held_out.ratings))
    middle = ranks[len(ranks) // 2]
    pairs = [[_shard(rows, middle) for rows in blocks[0].shape] for _ in range(threads)]
    found["beside"] = [_timed(partial(_passes, blocks[0], pairs[:count])) for count in (1, threads)]
    shards = [_shard(_COPIED_ROWS, middle) for _ in range(threads)]
    size = shards[0].factors.nbytes + shards[0].states.nbytes
    found["copy"] = [[each / size for each in _timed(partial(_copied, shards[:count]))] for count in (1, threads)]
    return found


def _passes(block: RatingBlock, pairs: Sequence[list[FactorShard]]) -> None:
    """Go through a block some times with each pair of shards, all pairs at once."""

    def passes(pair: list[FactorShard]) -> None:
        for _ in range(_PASSES):
            descend_in_place(block, pair[0], pair[1], _STEPS)

    map_threads(passes, pairs, threads=len(pairs))


def _copied(shards: Sequence[FactorShard]) -> None:
    map_threads(FactorShard.copy, shards, threads=len(shards))


def _held_out(block: RatingBlock) -> HeldOut:
    order = np.argsort(block.user_rows, kind="stable")
    users, items = block.user_rows[order], block.item_rows[order]
    return HeldOut(users, items, block.ratings[order], np.array([0, len(users)], np.int64))


def _counted(block: RatingBlock) -> tuple[float, float, float]:
    """Return a block's ratings, and the rows brought up to date in it, swept and single."""
    even = Block.even(len(block), block.shape)
    return even.ratings, even.swept, even.single


def _rank_constants(rank: int, found: tuple[Any, ...], timings: Timings) -> RankConstants:
    """Return the three costs of the kernel, none below nothing, and that of scoring."""
    blocks, scoring, counts, scored = found
    names = ("dense", "medium", "sparse")
    seconds = [timings.median(f"{name}_{rank}", each) for name, each in zip(names, blocks, strict=True)]
    costs, _ = nnls(np.array(counts, np.float64) / np.array(seconds)[:, None], np.ones(len(seconds)))
    return RankConstants(
        rank=rank,
        seconds_per_rating=float(costs[0]),
        seconds_per_swept_row=float(costs[1]),
        seconds_per_single_row=float(costs[2]),
        seconds_per_scored_rating=timings.median(f"scored_{rank}", scoring) / scored,
    )


def _measure_dispatch() -> list[float]:
    """Return the seconds of handing one empty tile to a thread."""
    tiles = [(place, place) for place in range(_VISITS)]
    return [each / _VISITS for each in _timed(lambda: visit_tiles(tiles, lambda _tile: None, cores()))]


def _measure_store(root: str, threads: int) -> dict[str, list[float]]:
    """Return bytes a second of shards written and read, in as many threads as there are, as a checkpoint does."""
    rank = RANKS[len(RANKS) // 2]
    shards = [_shard(_STORED_ROWS, rank) for _ in range(threads)]
    folder = files.join(root, f".calibration-{time.time_ns():x}")
    urls = [files.join(folder, f"{number}.npy") for number in range(threads)]
    size = threads * _STORED_ROWS * 4 * (rank + 3)
    try:
        sums = map_threads(write_shard, urls, shards, threads=threads)
        write = _timed(lambda: map_threads(write_shard, urls, shards, threads=threads))
        read = _timed(
            lambda: map_threads(lambda url, checksum: read_shard(url, checksum, rank), urls, sums, threads=threads)
        )
    finally:
        files.remove_tree(folder)
    return {"write": [size / each for each in write], "read": [size / each for each in read]}


def _nothing(*_inputs: Any) -> None:
    """Do nothing, so that only the cost of a task remains."""


def _measure_tasks(client: Client) -> tuple[float, float]:
    """Return the seconds of the scheduler's thread and of the client for one task of a graph like an epoch's.

    The scheduler's is the time that its thread was busy, so that workers on the same cores do not count.
    """
    before = client.run_on_scheduler(time.thread_time)
    started = time.perf_counter()
    graph = [delayed(_nothing, pure=False)() for _ in range(10)]
    while len(graph) < _NO_OPS:
        graph.append(delayed(_nothing, pure=False)(graph[-10], graph[-1]))
    futures = client.compute(graph[-20:], optimize_graph=False)
    built = time.perf_counter() - started
    client.gather(futures)
    return (client.run_on_scheduler(time.thread_time) - before) / _NO_OPS, built / _NO_OPS


def _measure_order() -> list[float]:
    """Return the seconds of finding the place of one block in an epoch, and sending it with its task."""
    return [
        each / _ORDERED_SHARDS**2
        for each in _timed(lambda: dumps(strata_of_shares(0, 1, _ORDERED_SHARDS, _ORDERED_SHARDS // 4)))
    ]


def _measure_chain(client: Client, workers: Sequence[str], over: int) -> float:
    """Return the seconds of one link of a chain of tasks that do nothing, on `over` workers in turn."""
    link = delayed(_nothing, pure=False)()
    for number in range(_LINKS):
        with annotate(workers=[workers[number % over]]):
            link = delayed(_nothing, pure=False)(link)
    started = time.perf_counter()
    client.compute(link, optimize_graph=False).result()
    return (time.perf_counter() - started) / _LINKS


def _array() -> Any:
    array = uninitialised(_SENT_BYTES // 4)
    array[:] = 1.0
    return array


def _measure_exchange(client: Client, workers: Sequence[str]) -> float:
    """Return bytes a second into one worker while two fetch from each other, as item shards are exchanged."""
    arrays = [client.submit(_array, workers=[worker], pure=False) for worker in workers[:2]]
    client.gather([client.submit(_nothing, array, pure=False) for array in arrays])
    started = time.perf_counter()
    crossed = [
        client.submit(_nothing, array, workers=[worker], pure=False)
        for array, worker in zip(arrays, reversed(workers[:2]), strict=True)
    ]
    client.gather(crossed)
    return _SENT_BYTES / (time.perf_counter() - started)


def _about(root: str) -> dict[str, str]:
    """Return where and with what this was measured; no names of machines, users or folders."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": str(cores()),
        "memory_bytes": str(psutil.virtual_memory().total),
        "workers": "two processes on one machine",
        "store": root.partition("://")[0] if "://" in root else "local disk",
        **{name: version(name) for name in ("funkflow", "dask", "distributed", "numba", "numpy")},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "not known"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "not known")
