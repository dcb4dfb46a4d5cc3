"""A real Slurm queue of two one-core nodes on this machine, in a folder of its own and on loopback only.

Covers: munged, slurmctld and one slurmd a node, started and ended by a context manager.
Does not cover: installing them (.ci/run), or what is run on the queue (test_slurm.py).
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dask_processes import free_ports, process

_NODES = ("n1", "n2")
_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/ctl
SlurmdSpoolDir={folder}/d.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
MpiDefault=none
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30
KillWait=2
{nodes}
PartitionName=debug Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


@contextmanager
def slurm_queue(folder: Path) -> Iterator[dict[str, str]]:
    """Run the queue; yield the environment that its commands need."""
    environment = {
        "SLURM_CONF": str(folder / "slurm.conf"),
        "DASK_CONFIG": str(folder / "dask"),  # dask-jobqueue would write to the user's own
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
    }
    _write_conf(folder)
    key = folder / "munge.key"
    key.touch(mode=0o400)
    key.chmod(0o600)
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    munge = [
        f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("socket", "pid-file", "seed-file", "log-file")
    ]
    with ExitStack() as stack:
        command = ["/usr/sbin/munged", "-F", "--force", f"--key-file={key}", *munge, "--num-threads=2"]
        stack.enter_context(process(command, folder / "munged.out"))
        _wait_for(lambda: (folder / "munge.socket").exists())
        conf = str(folder / "slurm.conf")
        stack.enter_context(process(["/usr/sbin/slurmctld", "-D", "-f", conf], folder / "slurmctld.out"))
        for node in _NODES:
            stack.enter_context(process(["/usr/sbin/slurmd", "-D", "-N", node, "-f", conf], folder / f"{node}.out"))
        _wait_for(lambda: _output(["sinfo", "-h", "-o", "%D %t"], environment) == "2 idle")
        yield environment
        subprocess.run(["scancel", "--user", "root"], env={**os.environ, **environment}, check=False)
        _wait_for(lambda: jobs(environment) == [])


def jobs(environment: dict[str, str]) -> list[str]:
    """Return the states of all jobs in the queue."""
    return _output(["squeue", "-h", "-o", "%T"], environment).split()


def _write_conf(folder: Path) -> None:
    host, ports = socket.gethostname(), free_ports(len(_NODES) + 1)
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000 State=UNKNOWN"
        for node, port in zip(_NODES, ports[1:], strict=True)
    )
    for name in ("ctl", "dask", *(f"d.{node}" for node in _NODES)):
        (folder / name).mkdir()
    text = _CONF.format(host=host, controller=ports[0], folder=folder, nodes=nodes)
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    # Without it slurmd ends where /sys/fs/cgroup is missing.
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n", encoding="utf-8")


def _output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=30
    )
    return done.stdout.strip()


def _wait_for(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "Slurm did not come up in time"
        time.sleep(0.1)
