"""Clusters from files: each that ships names a class and arguments that are there; every mistake is told in one line.

Covers: pipeline/settings/cluster_preset.py, pipeline/cluster/launch.py, pipeline/cluster/dask_settings.py, with real
local clusters.
Does not cover: real queues and machines (test_slurm.py, test_ssh.py), clusters of others (test_attach.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dask.config
import pytest
from distributed import Client, LocalCluster

from funkflow.pipeline.cluster.dask_settings import as_environment, dask_settings
from funkflow.pipeline.cluster.launch import cluster_class, refuse_unknown_arguments
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.settings.cluster_preset import read_preset
from funkflow.pipeline.settings.presets import CLUSTERS, presets
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import FunkflowError, SettingsError, TryAgainLater

LOCAL = """class = "distributed.LocalCluster"
wait_timeout_seconds = 0.5
[kwargs]
n_workers = 1
threads_per_worker = 1
processes = false
protocol = "tcp"
host = "127.0.0.1"
dashboard_address = "127.0.0.1:0"
"""


def opened(tmp_path: Path, text: str) -> FunkflowError:
    """Return the error with which a cluster file is refused."""
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(FunkflowError) as caught, open_client(ClusterSettings(preset=str(file))):
        pass
    assert "\n" not in caught.value.message
    assert caught.value.message.startswith(f"{file}: ")
    return caught.value


def test_the_clusters_that_ship_are_the_documented_ones() -> None:
    assert presets(CLUSTERS) == ["gateway", "kubernetes", "local", "slurm", "ssh"]


@pytest.mark.parametrize("name", presets(CLUSTERS))
def test_every_shipped_cluster_names_a_class_and_arguments_that_are_there(name: str) -> None:
    preset, where = read_preset(name)
    refuse_unknown_arguments(cluster_class(preset.cluster_class, where), preset, where)
    assert preset.wait_for_workers >= 1


def test_a_cluster_file_starts_its_cluster_with_its_own_dask_settings_and_ends_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(LOCAL.replace("0.5", "30") + '[dask]\n"distributed.scheduler.worker-ttl" = "77s"\n')
    with open_client(ClusterSettings(preset=str(file))) as client:
        ttl = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.worker_ttl)
        address = client.scheduler_info()["address"]
        assert len(client.scheduler_info()["workers"]) == 1
        assert isinstance(client.cluster, LocalCluster)
    assert ttl == 77
    with pytest.raises(OSError, match="Timed out"):
        Client(address, timeout=0.2)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("class = ", 2, "not valid TOML"),
        ("[kwargs]\n", 2, "class: Field required"),
        (LOCAL.replace("wait_timeout", "wait_time"), 2, "'wait_time_seconds'; the nearest is 'wait_timeout_seconds'"),
        ("wait_for_workers = 0\n" + LOCAL, 2, "wait_for_workers = 0: Input should be greater than or equal to 1"),
        ("kwargs = 3\n" + LOCAL.partition("[kwargs]")[0], 2, "kwargs = 3: Input should be a valid dictionary"),
        (LOCAL.replace("n_workers", "n_worker"), 2, "no argument kwargs.n_worker; the nearest is 'kwargs.n_workers'"),
        (LOCAL.replace("Local", "Loca"), 2, "has no LocaCluster; the nearest is 'distributed.LocalCluster'"),
        (LOCAL.replace("distributed.Local", "dasky.Local"), 2, "dasky cannot be imported (No module named 'dasky')"),
        (LOCAL.replace("LocalCluster", "Client"), 2, "class = 'distributed.Client' is no Dask cluster"),
        (LOCAL.replace("distributed.LocalCluster", "Local"), 2, "class = 'Local': String should match"),
        (LOCAL.replace("n_workers = 1", 'n_workers = "one"'), 2, "LocalCluster does not take these [kwargs]"),
        (LOCAL + "[scale]\nworkers = 2\n", 2, "the class does not take this"),
        ("wait_for_workers = 2\n" + LOCAL, 75, "1 of 2 workers came within 0.5 s"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line(tmp_path: Path, text: str, code: int, message: str) -> None:
    error = opened(tmp_path, text)
    assert error.exit_code == code
    assert message in error.message


@pytest.mark.parametrize("name", ["gateway", "kubernetes", "slurm", "ssh"])
def test_a_missing_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None in sys.modules is how Python itself marks a module that is not to be had."""
    needed = {"gateway": "dask_gateway", "kubernetes": "dask_kubernetes", "slurm": "dask_jobqueue", "ssh": "asyncssh"}
    monkeypatch.setitem(sys.modules, needed[name], None)
    with pytest.raises(SettingsError, match=rf"needs {needed[name]}: pip install 'funkflow\[{name}\]'"):
        cluster_class(read_preset(name)[0].cluster_class, name)


def test_a_queue_without_its_command_is_try_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(TryAgainLater, match="this machine has no command sbatch"),
        open_client(ClusterSettings(preset="slurm")),
    ):
        pass


def test_the_settings_reach_another_process_and_are_what_dask_reads_itself() -> None:
    """Both ways: handed on by us, and the file in DASK_CONFIG for a scheduler that somebody starts himself."""
    settings = dask_settings({"distributed": {"scheduler": {"worker-ttl": "88s"}}})
    keys = ["distributed.scheduler.worker-ttl", "distributed.comm.timeouts.tcp"]
    program = f"import dask, distributed; print(*(dask.config.get(key) for key in {keys}))"
    file = Path(__file__).parents[2] / "conf" / "dask.yaml"
    for name, value, ttl in (
        ("DASK_INTERNAL_INHERIT_CONFIG", as_environment(settings), "88s"),
        ("DASK_CONFIG", str(file), "38s"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, name: value}
        )
        assert done.stdout.split() == [ttl, "14s"]


def test_every_dask_setting_is_one_that_dask_knows() -> None:
    """A misspelt key would change nothing, and nobody would say so."""
    known = dask.config.config
    environ = "distributed.nanny.pre-spawn-environ."
    unknown = [
        key for key in dask_settings() if not key.startswith(environ) and dask.config.get(key, "?", config=known) == "?"
    ]
    assert unknown == []
