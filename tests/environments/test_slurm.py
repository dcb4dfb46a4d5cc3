"""Training on jobs of a real Slurm queue, started by a cluster file.

Covers: a run with the bits of any other cluster, a queue that is full, and one that refuses the jobs.
Does not cover: other queues that dask-jobqueue knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dask.config
import pytest
from dask_processes import CHECKOUT
from skip_list import slurm_is_here
from slurm_queue import jobs, slurm_queue
from training import trained

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import TryAgainLater

PRESET = """
class = "dask_jobqueue.SLURMCluster"
wait_for_workers = {workers}
wait_timeout_seconds = {seconds}
[kwargs]
queue = "{queue}"
cores = 1
processes = 1
memory = "1 GB"
interface = "lo"
local_directory = "{folder}"
log_directory = "{folder}/logs"
job_script_prologue = ["export PYTHONPATH={checkout}"]
[kwargs.scheduler_options]
host = "127.0.0.1"
dashboard_address = "127.0.0.1:0"
[scale]
jobs = {workers}
"""


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if not slurm_is_here():
        pytest.skip("no Slurm that we may start: as root, apt-get install slurmctld slurmd slurm-client munge")
    with slurm_queue(tmp_path_factory.mktemp("slurm")) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment


def preset(folder: Path, workers: int, queue: str = "debug", seconds: float = 60) -> ClusterSettings:
    file = folder / "slurm.toml"
    file.write_text(PRESET.format(workers=workers, queue=queue, seconds=seconds, folder=folder, checkout=CHECKOUT))
    return ClusterSettings(preset=str(file))


def test_two_jobs_train_to_the_same_bits_and_leave_the_queue_empty(
    queue: dict[str, str], tmp_path: Path, context: Context
) -> None:
    with open_client(preset(tmp_path, workers=2)) as client:
        assert jobs(queue) == ["RUNNING", "RUNNING"]
        assert set(client.run(dask.config.get, "distributed.comm.timeouts.tcp").values()) == {
            "14s"
        }  # conf/dask.yaml has reached the nodes
        bits = trained(Context(client, Store(str(tmp_path / "slurm")), lambda event: None, "slurm"))[1]
    assert set(jobs(queue)) <= {"COMPLETING"}
    assert bits == trained(context)[1]


def test_a_full_queue_is_try_again_later(queue: dict[str, str], tmp_path: Path) -> None:
    """Three jobs for two nodes."""
    with (
        pytest.raises(TryAgainLater, match=r"slurm.toml: [012] of 3 workers came within 2 s"),
        open_client(preset(tmp_path, workers=3, seconds=2)),
    ):
        pass


def test_jobs_that_the_queue_refuses_are_told_with_its_reason(queue: dict[str, str], tmp_path: Path) -> None:
    with (
        pytest.raises(TryAgainLater, match=r"its workers cannot be started .sbatch: error: .*Invalid partition"),
        open_client(preset(tmp_path, workers=1, queue="nowhere")),
    ):
        pass
