"""Two runs whose models are served in tests, and connections to a server of them.

Covers: what the tests of `serve` share. Does not cover: any check.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from distributed import Client
from growing_ratings import Root, address_of, lines

from chaos.served import Server
from funkflow import Model


@dataclass(frozen=True)
class Runs:
    """A root with two runs, the second one in use."""

    root: Path
    first: str
    second: str

    def model(self, run: str) -> Model:
        return Model.load(str(self.root / "runs" / run / "model"))


def two_runs(client: Client, folder: Path) -> Runs:
    root = Root(folder, address_of(client))
    return Runs(
        folder / "data", *(str(root.run(lines(0, last), "train.epochs=1").run_id) for last in (1_000, 1_100))
    )  # fmt: skip


def wait_until_served(server: Server, run: str) -> None:
    for _ in range(400):
        if httpx.get(f"{server.url}/health").json()["model"] == run:
            return
        time.sleep(0.05)
    raise AssertionError(server.log.read_text())
