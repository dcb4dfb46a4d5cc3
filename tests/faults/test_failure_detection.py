"""How soon a lost host is noticed with the settings that ship, and that a short outage is not taken for one.

Covers: hosts as network namespaces, a link cut in the middle of an epoch, and healed; settings somebody has chosen.
Does not cover: frozen processes and long compiles, which take minutes (docs/faults.md says how to see them).
"""

from __future__ import annotations

import os
from pathlib import Path

import dask
import pytest
from dask.utils import parse_timedelta
from striking import AWAY, objections, try_kind

from chaos.deeds import BLIP_SECONDS, COMPILE_SECONDS
from chaos.hosts import may_make_hosts
from chaos.room import Room
from chaos.strikes import Strike
from chaos.trial import Trial, seconds_to_removal, trials
from funkflow.pipeline.cluster import workers
from funkflow.pipeline.cluster.dask_settings import dask_settings
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.cluster.workers import reading_faults
from funkflow.pipeline.settings.sections import ClusterSettings

pytestmark = pytest.mark.alone
IN_TRAINING = ("train", "descend-", 9)


@pytest.fixture(scope="module")
def struck(room: Room) -> dict[str, Trial]:
    """A run whose worker's host vanishes, and at the same time one whose network is away for a while."""
    if not may_make_hosts():
        pytest.skip("may not make network namespaces: run as root, with iproute2 installed")
    kinds = ["host vanishes", AWAY]
    done = trials(room, [[Strike(kind, *IN_TRAINING)] for kind in kinds])
    return dict(zip(kinds, done, strict=True))


@pytest.mark.long
def test_a_host_that_vanishes_is_dropped_within_15_seconds(struck: dict[str, Trial]) -> None:
    done = struck["host vanishes"]
    assert done.complaints == []
    (seconds,) = seconds_to_removal(done.attempts[0])
    assert seconds < 15


@pytest.mark.long
def test_a_network_that_is_away_for_8_seconds_drops_nobody(struck: dict[str, Trial]) -> None:
    done = struck[AWAY]
    assert done.complaints == []
    run = done.attempts[0]
    (cut,), (healed,) = run.of("struck"), run.of("healed")
    assert healed["time"] - cut["time"] >= BLIP_SECONDS
    end = run.of("ran")[-1]["time"]
    assert healed["time"] < end  # the run was not over before
    assert seconds_to_removal(run, end) == []


@pytest.mark.long
def test_such_a_network_drops_nobody_at_any_stage(room: Room) -> None:
    """The test before this one shows it in training."""
    assert objections(AWAY, True, try_kind(room, AWAY, True)) == []


def leave(_url: str, _checksum: str) -> None:
    os._exit(1)


def test_a_worker_that_is_lost_while_it_is_asked_is_not_called_blind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_read_probe", leave)
    with open_client(ClusterSettings(workers=1, threads=1)) as client:
        assert reading_faults(client, str(tmp_path)) == {}


def test_the_worst_case_for_a_frozen_process_is_90_seconds_and_a_long_compile_is_none() -> None:
    shipped = dask_settings()
    silent = parse_timedelta(shipped["distributed.scheduler.worker-ttl"])
    asked = parse_timedelta(shipped["distributed.comm.timeouts.connect"])
    assert 2 * silent + asked <= 90
    assert silent > COMPILE_SECONDS + 5


def test_what_somebody_has_chosen_is_left_alone() -> None:
    """Dask's own defaults are replaced, anything else is not."""
    ttl = "distributed.scheduler.worker-ttl"
    with dask.config.set({ttl: "7 minutes"}):
        assert dask_settings() == {**dask_settings({ttl: "38s"}), ttl: "7 minutes"}
        assert dask_settings()["distributed.comm.timeouts.tcp"] == "14s"
