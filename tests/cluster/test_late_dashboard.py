"""Dask's dashboard and the live page of a scheduler in the client's process, which load at the first request.

Covers: the pages, the metrics without them, addresses that nobody has, and the address that a run names.
Does not cover: what the pages show (tests/environments/test_live.py), what a run loads (tests/commands/test_start.py).
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.live.first_request import is_late
from funkflow.pipeline.progress.live.plugin import LivePlugin
from funkflow.pipeline.progress.live.sending import page_address
from funkflow.pipeline.settings.cluster import ClusterSettings


@pytest.fixture(params=["one process", "a worker process"])
def watched(request: pytest.FixtureRequest) -> Iterator[tuple[Any, str]]:
    """A scheduler with the plugin of a run, and the address of its live page."""
    settings = ClusterSettings(workers=1, threads=1, memory=2**30)
    with open_client(settings, one_process=request.param == "one process") as client:
        client.register_plugin(LivePlugin())
        cluster: Any = client.cluster
        yield cluster.scheduler, page_address(client)


def answer(url: str) -> tuple[str, str]:
    with urllib.request.urlopen(url, timeout=60) as page:
        return page.url, page.read().decode()


def test_the_pages_come_at_the_first_request(watched: tuple[Any, str]) -> None:
    scheduler, address = watched
    host = address.removesuffix("/funkflow")
    assert "funkflow_run_state" in answer(f"{host}/metrics")[1]
    assert is_late(scheduler)
    where, page = answer(address)
    assert (where, "Funkflow" in page) == (address, True)
    assert not is_late(scheduler)
    assert 'href="funkflow"' in answer(f"{host}/")[1]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        answer(f"{host}/nobody")


def test_a_request_leads_to_no_other_host(watched: tuple[Any, str]) -> None:
    scheduler, address = watched
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        answer(f"{address.removesuffix('/funkflow')}//example.org/status")
    assert refused.value.url == f"{address.removesuffix('/funkflow')}/example.org/status"
    assert not is_late(scheduler)
