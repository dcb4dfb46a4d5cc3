"""Training on workers that are started over ssh, through a real sshd on loopback.

Covers: a run with the bits of any other cluster, and a machine that cannot be reached.
Does not cover: several machines with networks of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from skip_list import sshd_is_here
from ssh_server import ssh_server
from training import trained

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import TryAgainLater


@pytest.fixture(scope="module")
def connect_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    if not sshd_is_here():
        pytest.skip("no sshd that we may start: as root, apt-get install openssh-server")
    with ssh_server(tmp_path_factory.mktemp("sshd")) as options:
        yield options


def preset(folder: Path, connect_options: dict[str, Any]) -> ClusterSettings:
    """The shipped cluster's keys, with this machine three times: once for the scheduler."""
    content = {
        "class": "distributed.SSHCluster",
        "wait_for_workers": 2,
        "wait_timeout_seconds": 60,
        "kwargs": {
            "hosts": ["127.0.0.1"] * 3,
            "remote_python": sys.executable,
            "connect_options": connect_options,
            "scheduler_options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"},
            "worker_options": {"host": "127.0.0.1", "nthreads": 1, "local_directory": str(folder)},
        },
    }
    file = folder / "ssh.toml"
    file.write_text(tomli_w.dumps(content))
    return ClusterSettings(preset=str(file))


@pytest.mark.long
def test_two_machines_train_to_the_same_bits(connect_options: dict[str, Any], tmp_path: Path, context: Context) -> None:
    with open_client(preset(tmp_path, connect_options)) as client:
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == 2
        bits = trained(Context(client, Store(str(tmp_path / "ssh")), lambda event: None, "ssh"))[1]
    assert bits == trained(context)[1]


def test_a_machine_that_lets_nobody_in_is_try_again_later(connect_options: dict[str, Any], tmp_path: Path) -> None:
    with (
        pytest.raises(TryAgainLater, match=r"SSHCluster did not start .*Permission denied"),
        open_client(preset(tmp_path, {**connect_options, "username": "nobody"})),
    ):
        pass
