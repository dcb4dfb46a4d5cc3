"""TLS between all parts of a cluster, and who listens where.

Covers: certificates from files against a real scheduler and worker, a temporary pair for a cluster of our own, refusals
in one line, and listening sockets of every process of a run.
Does not cover: what tasks do (everything else), or Dask's own handling of keys.
"""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dask
import psutil
import pytest
from certificates import Certificates, made_certificates
from dask_processes import free_port
from distributed import Client

from funkflow.pipeline.cluster import security
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.events import Event, Postponed, StageAdvanced, StageStarted
from funkflow.pipeline.settings.sections import ClusterSettings, Settings
from funkflow.tasks.errors import SettingsError, TryAgainLater

_ENDING_WITH_US = ["setpriv", "--pdeathsig", "TERM", "--"]


@dataclass(frozen=True)
class Secured:
    """A scheduler with a worker, both of the certificates `right`; `foreign` ones are signed by somebody else."""

    address: str
    right: Certificates
    foreign: Certificates


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    right, foreign = (made_certificates(folder, name) for name in ("right", "foreign"))
    port = str(free_port())
    address = f"tls://127.0.0.1:{port}"
    # Even with --no-dashboard a worker would have a page open on all interfaces.
    page = ["--dashboard-address", "127.0.0.1:0"]
    place = ["--host", "127.0.0.1", "--port", port, *page]
    with ExitStack() as stack:
        start(stack, ["scheduler", *place, *right.options], folder)
        start(
            stack,
            [
                "worker",
                address,
                "--host",
                "127.0.0.1",
                "--nthreads",
                "1",
                "--no-nanny",
                *page,
                *right.options,
            ],
            folder,
        )
        yield Secured(address, right, foreign)


def start(stack: ExitStack, words: list[str], folder: Path) -> None:
    """Start a part of Dask that ends with `stack`, or with pytest."""
    command = [*_ENDING_WITH_US, sys.executable, "-m", "dask", *words]
    with open(folder / f"{words[0]}.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder)
    stack.callback(process.wait, 20)
    stack.callback(process.terminate)


def settings_for(address: str, certificates: Certificates | None) -> ClusterSettings:
    named = certificates.settings if certificates else {}
    return ClusterSettings(scheduler=address, wait_seconds=60 if certificates else 5, **named)


def test_the_right_certificate_works(secured: Secured) -> None:
    with open_client(settings_for(secured.address, secured.right)) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        assert all(address.startswith("tls://") for address in client.scheduler_info()["workers"])


def test_a_foreign_certificate_is_refused(secured: Secured) -> None:
    with (
        pytest.raises(SettingsError, match=r"^tls://127.0.0.1:\d+: the certificates do not match .*cluster\.tls_ca$"),
        open_client(settings_for(secured.address, secured.foreign)),
    ):
        pass


def test_a_pair_that_another_authority_signed_is_refused_by_the_scheduler(secured: Secured) -> None:
    """The client takes the scheduler for the right one; the scheduler does not take the client."""
    mixed = Certificates(secured.right.ca, secured.foreign.cert, secured.foreign.key)
    settings = settings_for(secured.address, mixed).model_copy(update={"wait_seconds": 3.0})
    with pytest.raises((SettingsError, TryAgainLater), match=r"tls://127.0.0.1:\d+: "), open_client(settings):
        pass


@pytest.mark.parametrize("scheme", ["tls://", "tcp://"])
def test_without_a_certificate_the_scheduler_is_out_of_reach(secured: Secured, scheme: str) -> None:
    address = secured.address.replace("tls://", scheme)
    expected = (SettingsError, "uses TLS; set") if scheme == "tls://" else (TryAgainLater, "tls://… if it speaks TLS")
    with pytest.raises(expected[0], match=expected[1]), open_client(settings_for(address, None)):
        pass


def test_an_address_without_tls_is_refused_where_tls_is_asked_for(secured: Secured) -> None:
    address = secured.address.replace("tls://", "tcp://")
    with (
        pytest.raises(SettingsError, match="asks for TLS, but this address has none"),
        open_client(settings_for(address, secured.right)),
    ):
        pass


@pytest.mark.parametrize("name", ["tls_ca", "tls_cert", "tls_key"])
def test_a_file_that_is_no_certificate_is_named(secured: Secured, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.pem").write_text("")
    settings = ClusterSettings(**{**secured.right.settings, name: str(tmp_path / "empty.pem")})
    with (
        pytest.raises(SettingsError, match=rf"cluster\.{name} = '.*empty\.pem'.*cannot be read"),
        open_client(settings),
    ):
        pass


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cluster.tls_ca=ca.pem"], "name all three files"),
        (["cluster.tls=temporary", "cluster.scheduler=tls://a:1"], "is for a cluster on this machine"),
        (["cluster.tls=off", *(f"cluster.tls_{each}=x.pem" for each in ("ca", "cert", "key"))], "excludes the tls_"),
    ],
)
def test_half_of_the_tls_settings_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Settings.build({}, words)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which somebody else has an account."""
    monkeypatch.setattr(security, "other_account", lambda: "account ann")


def test_where_others_have_accounts_a_cluster_of_our_own_lets_nobody_in(shared: None) -> None:
    told: list[str] = []
    with open_client(ClusterSettings(), told.append) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        address = client.scheduler_info()["address"]
        assert address.startswith("tls://127.0.0.1:")
        assert [line.startswith("other people may use this machine (account ann)") for line in told] == [True]
        with urllib.request.urlopen(client.dashboard_link, timeout=30) as page:
            assert page.status == 200
        for scheme in ("tls://", "tcp://"):  # an intruder has no certificate
            with (
                pytest.raises((SettingsError, TryAgainLater)),
                open_client(settings_for(address.replace("tls://", scheme), None)),
            ):
                pass


def test_a_run_says_so_once_when_it_has_done_some_work() -> None:
    """Where it fails before that, its error is the only line."""
    told: list[Event] = []
    postponed = Postponed(told.append)
    postponed.say("TLS is on")
    for event in (StageStarted("ingest"), StageAdvanced("ingest", 1, 2), StageAdvanced("ingest", 2, 2)):
        postponed(event)
        told.append(event)
    assert [type(event).__name__ for event in told] == ["StageStarted", "Noticed", "StageAdvanced", "StageAdvanced"]


PRESET = """class = "distributed.LocalCluster"
[kwargs]
n_workers = 1
dashboard_address = "127.0.0.1:0"
"""


@pytest.mark.parametrize(("more", "scheme"), [('host = "127.0.0.1"', "tls://"), ("processes = false", "inproc://")])
def test_so_is_one_of_a_file_that_opens_ports_here(shared: None, tmp_path: Path, more: str, scheme: str) -> None:
    told: list[str] = []
    (tmp_path / "mine.toml").write_text(PRESET + more)
    with open_client(ClusterSettings(preset=str(tmp_path / "mine.toml")), told.append) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        assert client.scheduler_info()["address"].startswith(scheme)
    assert len(told) == (scheme == "tls://")


def test_settings_come_before_the_rule(shared: None, secured: Secured) -> None:
    assert security.in_need_of_security(ClusterSettings())
    assert not security.in_need_of_security(ClusterSettings(tls="off"))
    assert not security.in_need_of_security(ClusterSettings(**secured.right.settings))
    with dask.config.set({"distributed.comm.require-encryption": True}):
        assert not security.in_need_of_security(ClusterSettings())
    told: list[str] = []
    with open_client(settings_for(secured.address, secured.right), told.append):
        assert told == []


def listening() -> set[tuple[str, int]]:
    """Return (address, port) of all that this process and those it started listen on."""
    us = psutil.Process()
    return {
        (connection.laddr.ip, connection.laddr.port)
        for process in (us, *us.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    }


def beyond_loopback(places: set[tuple[str, int]]) -> set[tuple[str, int]]:
    return {(address, port) for address, port in places if not ipaddress.ip_address(address).is_loopback}


def test_a_cluster_of_our_own_with_a_temporary_pair_listens_on_loopback_alone(client: Client) -> None:
    """With the shared cluster, which has no TLS, beside it; the dashboard of each is among them."""
    with open_client(ClusterSettings(tls="temporary", workers=2, threads=1)) as secured:
        assert secured.submit(sum, [1, 2]).result() == 3
        address = secured.scheduler_info()["address"]
        assert address.startswith("tls://127.0.0.1:")
        assert all(each.startswith("tls://127.0.0.1:") for each in secured.scheduler_info()["workers"])
        places = listening()
        pages = [int(each.dashboard_link.split(":")[2].split("/")[0]) for each in (client, secured)]
        with pytest.raises(TryAgainLater), open_client(settings_for(address.replace("tls://", "tcp://"), None)):
            pass
    ports = {port for _, port in places}
    assert int(address.rsplit(":", 1)[1]) in ports
    assert ports.issuperset(pages)
    assert beyond_loopback(places) == set()


def test_the_look_at_sockets_sees_what_listens_everywhere() -> None:
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen()
        assert beyond_loopback(listening()) == {("0.0.0.0", everywhere.getsockname()[1])}
