"""Forks of the preloaded process behave as `python -m` does, and so do their workers; only what they import is there.

Covers: environment, folder, words, outputs, exit code, signals, a network of its own, and whose children workers are.
Does not cover: the command itself (test_cli.py), or runs under faults (test_faults.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from chaos import forked
from chaos.hosts import hosts, may_make_hosts

TOLD = """
import os, sys, dask
print("|".join([*sys.argv[1:], os.environ["GIVEN"], os.getcwd(), dask.config.get("given.to.dask", "nothing")]))
print(*sorted({"funkflow.pipeline.flow", "numba", "bokeh"} & set(sys.modules)), file=sys.stderr)
sys.exit(7)
"""
WAITING = """
import signal
open("ready", "w").close()
signal.pause()
"""
CLUSTER = """
import os, psutil, sys
from distributed import LocalCluster, Client
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        workers = set(client.run(os.getpid).values())
        below = {each.pid for each in psutil.Process().children(recursive=True)}
        imported = client.run(lambda: "funkflow.pipeline.flow" in sys.modules)
        print(len(workers), workers <= below, *set(imported.values()))
"""
ADDRESSES = """
import subprocess
print(subprocess.run(["ip", "-brief", "address"], capture_output=True, text=True).stdout)
"""


def program(folder: Path, text: str) -> dict[str, str]:
    """Write a module `told`, and return an environment."""
    (folder / "told.py").write_text(text)
    return {**os.environ, "GIVEN": "by us", "DASK_GIVEN__TO__DASK": "as well"}


@pytest.mark.parametrize("anew", [False, True], ids=["fork", "anew"])
def test_a_program_has_its_words_environment_folder_outputs_and_exit_code(tmp_path: Path, anew: bool) -> None:
    done = forked.run(["told", "one", "two"], program(tmp_path, TOLD), 60, str(tmp_path), anew=anew)
    assert (done.returncode, done.stdout) == (7, f"one|two|by us|{tmp_path}|as well\n")
    assert done.stderr == ("\n" if anew else "bokeh funkflow.pipeline.flow numba\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_fork_can_be_signalled_and_tells_by_what_it_died(tmp_path: Path, number: signal.Signals) -> None:
    process = forked.started(["told"], program(tmp_path, WAITING), (None, None), str(tmp_path))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(number)
    assert process.wait(60) == -number


def test_workers_of_a_fork_are_its_own_and_have_imported_everything(tmp_path: Path) -> None:
    done = forked.run(["told"], program(tmp_path, CLUSTER), 60, str(tmp_path))
    assert done.stdout == "2 True True\n", done.stderr


def test_a_fork_enters_a_network(tmp_path: Path) -> None:
    if not may_make_hosts():
        pytest.skip("may not make network namespaces: run as root")
    with hosts(1) as (host,):
        done = forked.run(["told"], program(tmp_path, ADDRESSES), 60, str(tmp_path), host.network)
    assert f"{host.address}/24" in done.stdout
    assert done.stdout.count("UP") == 1
