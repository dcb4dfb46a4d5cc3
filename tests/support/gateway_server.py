"""A real Dask Gateway on loopback: its server, its proxy (TLS between client and scheduler), and clusters as processes.

Covers: starting and ending it. Does not cover: runs on its clusters (test_gateway.py), other backends, signing in for
real: its simplest authenticator takes any name.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dask_processes import CHECKOUT, free_ports, process

_STARTED_SECONDS = 60
_CONF = """
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.address = "127.0.0.1:{private}"
c.Proxy.address = "127.0.0.1:{public}"
c.Proxy.tcp_address = "127.0.0.1:{schedulers}"
c.UnsafeLocalBackend.clusters_directory = "{folder}/clusters"
c.ClusterConfig.scheduler_cmd = ["{python}", "-m", "distributed.cli.dask_scheduler"]
c.ClusterConfig.worker_cmd = ["{python}", "-m", "distributed.cli.dask_worker"]
c.ClusterConfig.worker_cores = 1
c.ClusterConfig.worker_memory = "1 G"
c.ClusterConfig.environment = {{"PYTHONPATH": "{checkout}", "DASK_CONFIG": "{checkout}/conf/dask.yaml"}}
"""


@dataclass(frozen=True)
class GatewayServer:
    """Where it is: its API, and the proxy through which clients reach schedulers."""

    address: str
    proxy_address: str


@contextmanager
def gateway_server(folder: Path) -> Iterator[GatewayServer]:
    """Run one until the body ends."""
    private, public, schedulers = free_ports(3)
    conf = folder / "gateway.py"
    (folder / "clusters").mkdir()
    conf.write_text(
        _CONF.format(
            private=private, public=public, schedulers=schedulers, folder=folder, python=sys.executable,
            checkout=CHECKOUT,
        )
    )  # fmt: skip
    server = GatewayServer(f"http://127.0.0.1:{public}", f"tls://127.0.0.1:{schedulers}")
    with process([sys.executable, "-m", "dask_gateway_server", "-f", str(conf)], folder / "gateway.log"):
        _wait_until_well(server.address)
        yield server


def _wait_until_well(address: str) -> None:
    end = time.monotonic() + _STARTED_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{address}/api/health", timeout=5) as answer:
                if json.load(answer)["status"] == "pass":
                    return
        except (OSError, urllib.error.HTTPError):  # nobody listens yet, or the proxy has no way to the server yet
            time.sleep(0.1)
    raise AssertionError(f"the Gateway did not come up within {_STARTED_SECONDS} s")
