"""Requests a second of `funkflow serve`: recommendations to single users over connections that stay open.

Covers: a model of Netflix' size with lists of rated items, a server process, a load generator in this one, and what
both take: requests a second, p50 and p99, processor time a request, and the server's memory.
Does not cover: answers, or models that change meanwhile (chaos/promotions.py), users of a large catalogue in one job
(serving.py).

    python -m bench.requests [--users 480189] [--items 17770] [--rank 64] [--connections 8] [--seconds 10]

The generator shares the machine with the server, as the figures say: its processor time stands beside the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop

from bench.data import ROOT
from bench.ours_requests import write_root
from chaos.served import Server

_MIB = 2**20


@dataclass
class Load:
    """What all connections of one measurement share: paths to ask for, the end, and seconds of each request."""

    requests: Iterator[bytes]
    end: float
    seconds: list[float] = field(default_factory=list)
    failed: int = 0


class Asking(asyncio.Protocol):
    """A connection that asks again as soon as it has an answer, until the end; `over` is done then."""

    def __init__(self, load: Load) -> None:
        self._load, self._rest, self._left = load, b"", 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport  # uvloop's are no asyncio.Transport
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(next(self._load.requests))

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head, separator, body = self._rest.partition(b"\r\n\r\n")
        place = head.lower().find(b"content-length:")
        if not separator or len(body) < int(head[place + 15 :].split(b"\r\n", 1)[0]):
            return
        now = time.perf_counter()
        self._load.seconds.append(now - self._began)
        self._load.failed += not head.startswith(b"HTTP/1.1 200")
        self._rest = b""
        if now < self._load.end:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._load.failed += error is not None
        self.over.set_result(None)


async def ask(host: str, port: int, connections: int, load: Load) -> None:
    """Ask until the end of the load, over so many connections at once."""
    loop = asyncio.get_running_loop()
    asking = [(await loop.create_connection(lambda: Asking(load), host, port))[1] for _ in range(connections)]
    await asyncio.gather(*(each.over for each in asking))


def requests_for(users: int, count: int) -> Iterator[bytes]:
    """Yield requests for random users, without end."""
    rng = np.random.default_rng(1)
    while True:
        for user in rng.integers(1, users + 1, 10_000).tolist():
            yield f"GET /recommend/{user}?count={count} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


def processor_seconds(process: psutil.Process) -> float:
    """Return the processor time of a process, and of children that have ended, until now."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _busy_seconds() -> float:
    """Return the processor time of all programs on the machine until now."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def measure(server: Server, process: psutil.Process, chosen: argparse.Namespace) -> str:
    """Ask a server, with its process, for some seconds, and return a line about it."""
    load = Load(requests_for(chosen.users, chosen.count), time.perf_counter() + chosen.seconds)
    before = np.array([processor_seconds(process), time.process_time(), _busy_seconds(), time.perf_counter()])
    uvloop.run(ask(server.host, server.port, chosen.connections, load))
    after = np.array([processor_seconds(process), time.process_time(), _busy_seconds(), time.perf_counter()])
    (served, asked, busy, took), number = after - before, len(load.seconds)
    p50, p99 = (1e3 * np.percentile(load.seconds, each) for each in (50, 99))
    return (
        f"{number / took:,.0f} requests/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms; processor time a request: server "
        f"{1e3 * served / number:.3f} ms, generator {1e3 * asked / number:.3f} ms; {load.failed} failed; others "
        f"had {(busy - served - asked) / took:.2f} of {os.cpu_count()} processors"
    )


def memory(process: psutil.Process) -> str:
    """Return the memory of the server in words; its peak is that of all pages, mapped ones too."""
    found = process.memory_full_info()
    return (
        f"server: {found.rss / _MIB:,.0f} MiB resident, of these {(found.rss - found.shared) / _MIB:,.0f} MiB its own, "
        f"{found.shared / _MIB:,.0f} MiB mapped files and libraries"
    )


def main() -> None:
    """Make the root, unless it is there; start a server, and measure it several times."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--users", type=int, default=480_189)
    parser.add_argument("--items", type=int, default=17_770)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--rated", type=int, default=200, help="rated items of a user, on average")
    parser.add_argument("--count", type=int, default=10, help="items of an answer")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0, help="of one measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=ROOT / "requests")
    chosen = parser.parse_args()
    root = chosen.folder / f"root-{chosen.users}-{chosen.items}-{chosen.rank}-{chosen.rated}"
    if not (root / "current.json").exists():
        write_root(root, chosen.users, chosen.items, chosen.rank, chosen.rated)
    for start in ("first start", "next start"):
        began = time.perf_counter()
        with Server(["--root", str(root)], chosen.folder / "log", anew=True) as server:
            process = psutil.Process(server.process.pid)
            took, cpu = time.perf_counter() - began, processor_seconds(process)
            print(f"{start}: listening after {took:.1f} s, {cpu:.1f} s of a processor; {memory(process)}")
            if start == "next start":
                for _ in range(chosen.repeats):
                    print(measure(server, process, chosen))
                print(memory(process))


if __name__ == "__main__":
    main()
