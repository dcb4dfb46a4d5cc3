"""Dask schedulers and workers as processes of their own, as somebody else would have started them.

Covers: starting `dask scheduler` and `dask worker` on loopback, and ending them with the test that asked for them;
ports of loopback, for other servers, too.
Does not cover: Slurm and sshd (slurm_queue.py, ssh_server.py).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from distributed import Client

CHECKOUT = Path(__file__).parents[2]
_ENDING_WITH_US = ["setpriv", "--pdeathsig", "TERM", "--"]
"""Else they outlive a killed pytest."""


@contextmanager
def process(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the body ends; what it prints goes to `log`."""
    with open(log, "ab") as out:
        running = subprocess.Popen(
            [*_ENDING_WITH_US, *command], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **environment}, cwd=log.parent,
        )  # fmt: skip
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(timeout=20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return several of them, no two the same."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def wait_for_port(port: int, seconds: float = 60) -> None:
    """Wait until somebody listens there."""
    end = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            assert time.monotonic() < end, f"nobody listens on port {port} after {seconds:.0f} s"
            time.sleep(0.1)


@contextmanager
def scheduler(folder: Path) -> Iterator[Path]:
    """Run a scheduler on loopback; yield the file that it writes its address to, once it is there."""
    file = folder / "scheduler.json"
    command = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
    with process(_dask(*command, "--scheduler-file", str(file)), folder / "scheduler.log", PYTHONPATH=str(CHECKOUT)):
        with Client(scheduler_file=str(file), set_as_default=False, timeout=60):
            pass
        yield file


@contextmanager
def worker(
    file: Path, name: str, python_path: str = str(CHECKOUT), memory_limit: str = "auto", **environment: str
) -> Iterator[str]:
    """Run a worker of one thread for the scheduler of that file; yield its address, once it is there."""
    command = [
        "worker",
        "--scheduler-file",
        str(file),
        "--name",
        name,
        "--nthreads",
        "1",
        "--no-dashboard",
        "--no-nanny",
        "--memory-limit",
        memory_limit,
    ]
    local = file.parent / name
    with (
        process(
            _dask(*command, "--local-directory", str(local)),
            file.parent / f"{name}.log",
            PYTHONPATH=python_path,
            **environment,
        ),
        Client(address_of(file), set_as_default=False) as client,
    ):
        while name not in (names := {each["name"]: each["id"] for each in _workers(client)}):
            client.wait_for_workers(len(names) + 1, timeout=60)
        addresses = {each["name"]: address for address, each in client.scheduler_info(n_workers=-1)["workers"].items()}
        yield addresses[name]


def address_of(file: Path) -> str:
    return str(json.loads(file.read_text(encoding="utf-8"))["address"])


def process_ids(file: Path) -> dict[str, int]:
    """Return who answers now: the process of the scheduler and of each worker, by address."""
    with Client(address_of(file), set_as_default=False) as client:
        return {**client.run(os.getpid), "scheduler": client.run_on_scheduler(os.getpid)}


def _workers(client: Client) -> list[dict[str, str]]:
    return list(client.scheduler_info(n_workers=-1)["workers"].values())


def _dask(*words: str) -> list[str]:
    return [sys.executable, "-m", "dask", *words]
