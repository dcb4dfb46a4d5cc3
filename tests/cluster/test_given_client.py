"""A Dask client of the user's: given or current, it is used as it is, stays open, and can be left alone.

Covers: pipeline/cluster/given_client.py, and runs on such a client. Does not cover: schedulers by address
(test_attach.py), tables (test_run_in_memory.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from distributed import Client, LocalCluster, get_client
from threadpoolctl import threadpool_info
from ungated import UNGATED

from funkflow import run
from funkflow.pipeline.cluster import open
from funkflow.pipeline.cluster.given_client import checked_client, current_client
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import SettingsError, TryAgainLater

FRAME = pd.DataFrame({"user": [each % 30 for each in range(300)], "item": [each // 10 for each in range(300)]}).assign(
    rating=[1.0 + each % 5 for each in range(300)]
)
SMALL = ["train.rank=2", "train.epochs=2", UNGATED]


@pytest.fixture
def in_process() -> Iterator[Client]:
    """What a user has who starts a client for small work."""
    with Client(processes=False, threads_per_worker=1, dashboard_address=None, set_as_default=False) as client:
        yield client


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a run fail that starts a cluster."""

    def refuse(*_arguments: Any, **_named: Any) -> Any:
        raise AssertionError("a second cluster")

    monkeypatch.setattr(open, "LocalCluster", refuse)
    monkeypatch.setattr("funkflow.pipeline.cluster.one_process.LocalCluster", refuse)


@pytest.mark.usefixtures("no_cluster")
def test_the_current_client_is_used_and_stays(two_workers: Client, tmp_path: Path) -> None:
    heard: list[Event] = []
    with two_workers.as_current():
        run(ratings=FRAME, overrides=[f"root={tmp_path}", *SMALL], until="ingest", listeners=[heard.append])
    said = [event.message for event in heard if isinstance(event, Noticed)]
    (line,) = [words for words in said if words.startswith("runs on the Dask client of this process")]
    assert "(2 workers)" in line
    assert "cluster.processes=several" in line
    assert two_workers.submit(sum, [1, 2], pure=False).result() == 3


@pytest.mark.usefixtures("no_cluster")
def test_a_run_in_the_users_own_process_has_the_bits_of_workers(
    in_process: Client, client: Client, tmp_path: Path
) -> None:
    words = [*SMALL, "train.goal=ratings"]
    threads = [each["num_threads"] for each in threadpool_info()]
    here = run(ratings=FRAME, overrides=[f"root={tmp_path}/one", *words], until="export", client=in_process)
    there = run(ratings=FRAME, overrides=[f"root={tmp_path}/two", *words], until="export", client=client)
    assert here.model.about["parts"] == there.model.about["parts"]
    assert in_process.status == "running"
    assert [each["num_threads"] for each in threadpool_info()] == threads
    assert 0 < here.worker_memory_bytes <= here.peak_memory_bytes


def test_who_chooses_a_cluster_leaves_the_current_client_alone(client: Client) -> None:
    with client.as_current():
        assert current_client(ClusterSettings()) is client
        assert current_client(ClusterSettings(workers=3)) is client
        for chosen in (
            {"processes": "one"}, {"processes": "several"}, {"scheduler": "tcp://a:1"}, {"scheduler_file": "a.json"},
            {"preset": "local"}, {"environment": False},
        ):  # fmt: skip
            assert current_client(ClusterSettings(**chosen)) is None, chosen
    assert current_client(ClusterSettings()) is None


def test_a_task_does_not_take_the_client_that_waits_for_it(in_process: Client) -> None:
    def asked() -> bool:
        with get_client().as_current():
            return current_client(ClusterSettings()) is None

    assert in_process.submit(asked).result() is True


def test_what_is_no_open_client_is_refused_in_a_line(in_process: Client) -> None:
    assert checked_client(in_process) is in_process
    with pytest.raises(SettingsError, match=r"^client= is a LocalCluster: give a dask.distributed.Client$"):
        run(ratings=FRAME, client=in_process.cluster)
    in_process.close()
    with pytest.raises(SettingsError, match=r"^client= is closed: give a Client that is connected$"):
        run(ratings=FRAME, client=in_process)


def test_an_asynchronous_client_is_refused(in_process: Client) -> None:
    async def asked() -> str:
        async with Client(in_process.scheduler.address, asynchronous=True, set_as_default=False) as client:  # type: ignore[union-attr]
            with pytest.raises(SettingsError) as refused:
                run(ratings=FRAME, client=client)
            return refused.value.message

    assert in_process.sync(asked).startswith("client= is asynchronous, and a run waits for its results")


def test_a_client_without_workers_is_waited_for(tmp_path: Path) -> None:
    words = [f"root={tmp_path}", "cluster.wait_seconds=0.2"]
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
        pytest.raises(TryAgainLater, match=r"\(0 workers\): no worker within 0.2 s; start some"),
    ):
        run(ratings=FRAME, overrides=words, client=client)
