"""Client, scheduler and worker in one process, as small runs have them.

Covers: the same bits as with a worker process, the choice, one thread for each call of BLAS, one allocator,
settings that exclude each other, and a batch of no tasks.
Does not cover: worker processes that die (tests/faults/), the memory of the work (tests/commands/test_plan.py).
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_info
from ungated import UNGATED_SECTION

from funkflow import Settings, run
from funkflow.pipeline.cluster.context import run_all
from funkflow.pipeline.cluster.one_process import open_one_process
from funkflow.pipeline.planning.budget import Allowance
from funkflow.pipeline.planning.one_process import ONE_PROCESS_BYTES, SMALL_BYTES, choose_processes
from funkflow.pipeline.settings.cluster import ClusterSettings
from funkflow.tasks.errors import SettingsError

BITS = (".parquet", ".npy", ".block")


def settings(root: Path, processes: str) -> Settings:
    return Settings.build(
        {
            "root": str(root),
            "synth": {"shape": "demo", "fraction": 0.1},
            "train": {"rank": 8, "epochs": 4},
            "recommend": {"count": 5, "similar": 3},
            "gate": UNGATED_SECTION,
            "cluster": {"processes": processes, "threads": 2},
        }
    )


def bits_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.suffix in BITS and path.is_file()
    }


def test_one_process_makes_the_bits_of_a_worker_process(tmp_path: Path) -> None:
    for processes in ("one", "several"):
        run(settings(tmp_path / processes, processes))
    one, several = (bits_of(tmp_path / processes) for processes in ("one", "several"))
    assert any("user_factors" in name for name in one)
    assert one == several


def test_a_small_run_has_one_process_and_predicts_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    monkeypatch.setattr("funkflow.pipeline.cluster.open.LocalCluster", lambda **_: started.append(1))
    result = run(settings(tmp_path, "auto"))
    assert not started
    assert ONE_PROCESS_BYTES <= result.predicted_memory_bytes < SMALL_BYTES
    assert result.worker_memory_bytes >= psutil.Process().memory_info().rss // 2


@pytest.mark.parametrize(
    ("processes", "workers", "needed_bytes", "one"),
    [
        ("auto", 1, SMALL_BYTES - 1, True),
        ("auto", 1, SMALL_BYTES, False),
        ("auto", 2, 1, False),
        ("several", 1, 1, False),
        ("one", 1, SMALL_BYTES, True),
    ],
)
def test_the_choice(processes: Any, workers: int, needed_bytes: int, one: bool) -> None:
    allowance = Allowance(workers, 1, 2**40, "root")
    chosen = choose_processes(
        allowance, ClusterSettings(workers=workers, processes=processes), lambda _allowance: needed_bytes
    )
    assert chosen.one_process == one


def test_linear_algebra_has_one_thread_a_call_until_the_cluster_closes() -> None:
    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before, variable = threads(), os.environ.get("OPENBLAS_NUM_THREADS")
    with ExitStack() as stack:
        client = open_one_process(stack, ClusterSettings())
        assert set(client.submit(threads).result()) == {1}
        assert client.submit(os.environ.get, "OPENBLAS_NUM_THREADS").result() == "1"
        assert client.submit(os.getpid).result() == os.getpid()
    assert threads() == before
    assert os.environ.get("OPENBLAS_NUM_THREADS") == variable


def test_arrow_shares_the_memory_of_the_process_until_the_cluster_closes() -> None:
    before = pa.default_memory_pool().backend_name
    with ExitStack() as stack:
        open_one_process(stack, ClusterSettings())
        assert pa.default_memory_pool().backend_name == "system"
    assert pa.default_memory_pool().backend_name == before


def test_a_batch_without_jobs_asks_nobody() -> None:
    context: Any = SimpleNamespace(attempt="00000000")  # without a client
    assert run_all(context, "grid", "nothing", abs, []) == []


@pytest.mark.parametrize("other", [{"workers": 2}, {"scheduler": "tcp://127.0.0.1:8786"}, {"preset": "local"}])
def test_one_process_excludes_other_clusters(other: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match='processes = "one" is for one worker on this machine'):
        Settings.build({"cluster": {"processes": "one", **other}})
