"""A scheduler and two workers as processes of their own, as somebody else would run them; the scheduler can be struck.

Covers: starting them with Dask's commands, and ending them. Does not cover: hosts apart from each other (hosts.py).
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from chaos.forked import Process, started
from chaos.hosts import HERE, Host

_STARTED_SECONDS = 60
_ENDED_SECONDS = 5
"""For all of them: workers that are cut off would wait longer for the scheduler to hear that they leave."""


@contextmanager
def own_cluster(
    folder: Path, environment: Mapping[str, str], places: Sequence[Host] = (HERE,) * 3, anew: bool = False
) -> Iterator[str]:
    """Yield the scheduler's address; end all processes after the body.

    Parameters
    ----------
    environment : whole, of each process.
    places : hosts of the scheduler and of each worker.
    anew : whether each process imports what it needs by itself (forked.py).
    """
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    scheduler = [
        "distributed.cli.dask_scheduler", "--host", places[0].address, "--port", "0", "--no-dashboard",
        "--scheduler-file", str(file),
    ]  # fmt: skip
    worker = [
        "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard",
        "--local-directory", str(folder), "--death-timeout", "20", "--host",
    ]  # fmt: skip
    lines = [scheduler, *([*worker, place.address] for place in places[1:])]
    log = str(folder / "cluster.log")
    processes = [
        started(words, environment, (log, log), network=place.network, anew=anew)
        for place, words in zip(places, lines, strict=True)
    ]
    try:
        yield _address(file, processes[0])
    finally:
        for process in processes:
            process.terminate()
        end = time.monotonic() + _ENDED_SECONDS
        for process in processes:
            try:
                process.wait(timeout=max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(file: Path, scheduler: Process) -> str:
    """Wait until the scheduler has written where it listens."""
    for _ in range(_STARTED_SECONDS * 10):
        try:
            return str(json.loads(file.read_text())["address"])
        except (FileNotFoundError, ValueError):
            try:
                ended = scheduler.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(f"the scheduler ended with {ended}; see {file.parent}/cluster.log") from None
    raise RuntimeError(f"the scheduler did not start within {_STARTED_SECONDS} s; see {file.parent}/cluster.log")
