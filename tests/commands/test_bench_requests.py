"""The load generator for `serve`, at its smallest: a root that it writes, a server of it, and a line with its figures.

Covers: bench/requests.py and bench/ours_requests.py. Does not cover: figures at full size (docs/serving.md).
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import psutil

from bench.ours_requests import write_root
from bench.requests import measure, memory
from chaos.served import Server
from funkflow import Model


def test_a_small_root_is_served_and_measured(tmp_path: Path) -> None:
    write_root(tmp_path / "root", users=200, items=80, rank=4, rated=5)
    (folder,) = (tmp_path / "root" / "runs").iterdir()
    model = Model.load(str(folder / "model"))
    assert len(model.recommend(7, 80).items) < 80  # without a warning: rated items are known
    chosen = argparse.Namespace(users=200, count=10, connections=3, seconds=0.3)
    with Server(["--root", str(tmp_path / "root")], tmp_path / "log") as server:
        process = psutil.Process(server.process.pid)
        line = measure(server, process, chosen)
        assert "MiB resident" in memory(process)
    found = re.match(r"([0-9,]+) requests/s, p50 [0-9.]+ ms, p99 [0-9.]+ ms; .* 0 failed", line)
    assert found
    assert int(found[1].replace(",", "")) > 0
