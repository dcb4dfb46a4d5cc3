"""`python -m chaos promotions --moves 30 --seed 0`: promotions between two models while a server answers under load.

Covers: two runs, a server of the model in use, eight connections that never rest, and what moves the pointer: the
command `promote`, a pointer at a run without a model, and at one with a damaged file; what must hold for each answer.
Does not cover: runs that are struck (soak.py), one promotion in the tests (tests/environments/test_serve_changes.py).

Every answer has to be 200, and byte for byte that of one of the two models for its user. Between two moves, once the
server says that it serves a model, every answer is of this one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from chaos import forked
from chaos.served import CHECKOUT, Connection, Server
from chaos.soak_scene import USERS, Scene

CONNECTIONS = 8
_STUCK_SECONDS = 60.0
_NO_MODEL, _DAMAGED = "0" * 16, "1" * 16
"""Runs that the pointer is made to name, and that no server can serve."""


class Asking(threading.Thread):
    """The connections, from entering to leaving. `only` : the run that must answer; "" while the pointer moves."""

    def __init__(self, server: Server, allowed: Sequence[dict[str, bytes]]) -> None:
        super().__init__()
        self._server, self._allowed = server, allowed
        self._over = False
        self.only = ""
        self.seconds: list[float] = []
        self.answers: Counter[str] = Counter()
        self.complaints: list[str] = []

    def __enter__(self) -> Asking:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self.join()

    def run(self) -> None:
        asyncio.run(self._ask())

    async def _ask(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(CONNECTIONS):
                group.create_task(self._ask_on_one(number))

    async def _ask_on_one(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        connection = await Connection.to(self._server.host, self._server.port)
        while not self._over and len(self.complaints) < CONNECTIONS:
            user, only, began = int(rng.integers(USERS)), self.only, time.perf_counter()
            try:
                status, body = await connection.get(f"/recommend/{user}")
            except (OSError, EOFError) as error:
                self.complaints.append(f"user {user}: {type(error).__name__}: {error}")
                return
            self.seconds.append(time.perf_counter() - began)
            self._check(user, status, body, only if only == self.only else "")
        connection.close()

    def _check(self, user: int, status: int, body: bytes, only: str) -> None:
        run = next((run for run, expected in self._allowed[user].items() if expected == body), "")
        if status != 200 or not run:
            self.complaints.append(f"user {user}: {status}, an answer of neither model: {body[:300]!r}")
        elif only and run != only:
            self.complaints.append(f"user {user}: an answer of {run}, while {only} is served")
        self.answers[run] += 1


class Promotions:
    """Two runs under one root, a server, and moves of the pointer."""

    def __init__(self, folder: Path, seed: int, notify: Callable[[str], None]) -> None:
        self.scene, self.notify, self.rng = Scene(folder), notify, np.random.default_rng(seed)
        self.root = self.scene.root
        self.moved: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.lines: list[str] = []
        self.runs = [self._run(seed) for seed in (1, 2)]
        self._break_runs()

    def run(self, moves: int) -> None:
        """Move the pointer that often, each time once the server has come to rest."""
        with Server(["--root", str(self.root)], self.scene.folder / "log") as server:
            allowed: list[dict[str, bytes]] = [{} for _ in range(USERS)]
            for run in self.runs:
                self._promote(run)
                self._wait_for(server, model=run, trouble=False)
                for user, body in enumerate(asyncio.run(_answers(server))):
                    allowed[user][run] = body
            with Asking(server, allowed) as asking:
                for _ in range(moves):
                    if not asking.complaints:
                        self._move(server, asking)
                asking.only = ""
            code = server.end()
        if code != 143:
            self.complaints.append(f"the server ended with {code}")
        self.complaints += asking.complaints
        p50, p99, most = (1e3 * np.percentile(asking.seconds, each) for each in (50, 99, 100))
        self.lines = [
            f"moves: {dict(self.moved)}",
            f"{len(asking.seconds):,} requests over {CONNECTIONS} connections; answers by run: {dict(asking.answers)}",
            f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {most:.0f} ms; load of the machine {os.getloadavg()[0]:.1f}",
            f"{len(self.complaints)} complaints",
        ]

    def _move(self, server: Server, asking: Asking) -> None:
        served = str(self._health(server)["model"])
        kind = self.rng.choice(["promoted", "no model", "damaged"], p=[0.7, 0.15, 0.15])
        asking.only = ""
        if kind == "promoted":
            served = next(run for run in self.runs if run != served)
            self._promote(served)
        else:
            pointer = json.loads((self.root / "current.json").read_text(encoding="utf-8"))
            self._point({**pointer, "run_id": _NO_MODEL if kind == "no model" else _DAMAGED})
        self._wait_for(server, model=served, trouble=kind != "promoted")
        self.moved[str(kind)] += 1
        asking.only = served
        time.sleep(self.rng.uniform(0.2, 0.6))

    def _run(self, seed: int) -> str:
        self._command("run", str(self.scene.settings), "--set", f"train.seed={seed}")
        run: str = json.loads((self.root / "current.json").read_text(encoding="utf-8"))["run_id"]
        return run

    def _promote(self, run: str) -> None:
        self._command("promote", run, "--root", str(self.root))

    def _command(self, *words: str) -> None:
        done = forked.run(["funkflow", *words], {**os.environ, "PYTHONPATH": str(CHECKOUT)}, 10 * _STUCK_SECONDS)
        if done.returncode:
            raise RuntimeError(f"funkflow {' '.join(words)} ended with {done.returncode}: {done.stderr}")

    def _break_runs(self) -> None:
        """Make a run without a model, and a copy of one with another byte in a file, under ids of their own."""
        (self.root / "runs" / _NO_MODEL).mkdir()
        damaged = self.root / "runs" / _DAMAGED
        shutil.copytree(self.root / "runs" / self.runs[0], damaged)
        part = next((damaged / "model" / "item_factors.parquet").iterdir())
        content = bytearray(part.read_bytes())
        content[100] ^= 1
        part.write_bytes(content)

    def _point(self, content: dict[str, object]) -> None:
        unfinished = self.scene.folder / "pointer"
        unfinished.write_text(json.dumps(content), encoding="utf-8")
        os.replace(unfinished, self.root / "current.json")

    def _health(self, server: Server) -> dict[str, str | None]:
        health: dict[str, str | None] = json.loads(asyncio.run(_get(server, "/health"))[1])
        return health

    def _wait_for(self, server: Server, model: str | None, trouble: bool) -> None:
        end = time.monotonic() + _STUCK_SECONDS
        while time.monotonic() < end:
            health = self._health(server)
            if health["model"] == model and bool(health["trouble"]) == trouble:
                return
            time.sleep(0.05)
        self.complaints.append(f"the server does not come to serve {model}: {health}")


async def _get(server: Server, path: str) -> tuple[int, bytes]:
    connection = await Connection.to(server.host, server.port)
    try:
        return await connection.get(path)
    finally:
        connection.close()


async def _answers(server: Server) -> list[bytes]:
    """Return the answer for each user, by a server at rest."""
    connection = await Connection.to(server.host, server.port)
    answers = [(await connection.get(f"/recommend/{user}"))[1] for user in range(USERS)]
    connection.close()
    return answers


def main(words: Sequence[str], notify: Callable[[str], None]) -> int:
    """Move the pointer as the words say; return 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m chaos promotions", description="A server, and promotions.")
    parser.add_argument("--moves", type=int, default=30, help="of the pointer to the model in use")
    parser.add_argument("--seed", type=int, default=0, help="of what the pointer is moved to")
    parser.add_argument("--folder", default="", help="where all files go; default: the system's place")
    chosen = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="funkflow-promotions-", dir=chosen.folder or None) as folder:
        promotions = Promotions(Path(folder), chosen.seed, notify)
        promotions.run(chosen.moves)
    for line in (*promotions.complaints, *promotions.lines):
        notify(line)
    return 1 if promotions.complaints else 0
