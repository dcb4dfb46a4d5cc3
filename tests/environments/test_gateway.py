"""Training on a cluster that a real Dask Gateway hands out, by a cluster file such as conf/clusters/gateway.toml.

Covers: the bits, a cluster that is gone in the end, and a Gateway that cannot be reached.
Does not cover: a Gateway on Kubernetes or a queue, which hands out clusters in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dask_gateway import Gateway
from gateway_server import GatewayServer, gateway_server
from training import trained

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import TryAgainLater

PRESET = """
class = "dask_gateway.GatewayCluster"
wait_for_workers = 2
wait_timeout_seconds = 60
[kwargs]
address = "{address}"
proxy_address = "{proxy_address}"
shutdown_on_close = true
[scale]
n = 2
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayServer]:
    with gateway_server(tmp_path_factory.mktemp("gateway")) as server:
        yield server


def preset(folder: Path, server: GatewayServer) -> ClusterSettings:
    file = folder / "gateway.toml"
    file.write_text(PRESET.format(address=server.address, proxy_address=server.proxy_address))
    return ClusterSettings(preset=str(file))


@pytest.mark.long
def test_a_cluster_of_the_gateway_trains_to_the_same_bits_and_is_gone_afterwards(
    server: GatewayServer, tmp_path: Path, context: Context
) -> None:
    with open_client(preset(tmp_path, server)) as client, Gateway(server.address) as gateway:
        assert str(client.scheduler_info(n_workers=-1)["address"]).startswith("tls://")
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == 2
        assert len(gateway.list_clusters()) == 1
        bits = trained(Context(client, Store(str(tmp_path / "gateway")), lambda event: None, "gateway"))[1]
    with Gateway(server.address) as gateway:
        assert gateway.list_clusters() == []
    assert bits == trained(context)[1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of dask-gateway's own destructor
def test_a_gateway_that_is_not_there_is_try_again_later(tmp_path: Path) -> None:
    nowhere = GatewayServer("http://127.0.0.1:9", "tls://127.0.0.1:9")
    with (
        pytest.raises(TryAgainLater, match=r"gateway.toml: GatewayCluster did not start .*Connect call failed"),
        open_client(preset(tmp_path, nowhere)),
    ):
        pass
