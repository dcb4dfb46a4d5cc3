"""Processes of the program that skip its start: forks of one that has imported all of it (preloaded.py).

A command takes some 2 s of processor time to import what it needs, and each of its workers as much again, most of what
a run of a small set costs. Forks are processes all the same: each with its own environment, folder, files and network,
killed and waited for as any other; what differs is who their parent is, and that libraries are there already.

Covers: `python -m MODULE WORDS` as a fork, and the workers that a fork starts. Does not cover: what starts anew, as
users have it (subprocess), which is what memory and the start itself are measured on.
"""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from multiprocessing import connection, forkserver, resource_tracker
from pathlib import Path
from typing import Any

import dask.config
from distributed.utils import get_mp_context

DASK_OF_FORKS = {
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
}
"""Dask's settings: a nanny forks its worker from this process's own server of forks, and idle clusters cost little.

With Dask's own, a cluster of one worker takes 5.8 % of a core while it does nothing, for profiles and charts that
nobody looks at here; with these 1.3 % (2 cores, Zen 4, shared).
"""
_PRELOADED = "chaos.preloaded"
_NETWORK_NAMESPACE = 0x40000000  # CLONE_NEWNET of sched.h


@cache
def preload() -> None:
    """Have all forks of this process, Dask's workers too, made from one that has imported everything."""
    with dask.config.set(DASK_OF_FORKS):
        get_mp_context()  # sets its own list, once
    multiprocessing.set_forkserver_preload([_PRELOADED])


class Forked:
    """A running fork, to be used as a `subprocess.Popen`.

    Parameters
    ----------
    words : those after `python -m`: the module, and its own.
    environment : whole. Of Dask's variables those count that are there now; what another library reads as it is
        imported, it has read before.
    outputs : files that standard output and error are appended to; None: nowhere.
    folder : to work in.
    network : file of the network namespace to be in; empty: this process's own.
    """

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], outputs: tuple[str | None, str | None],
        folder: str = "", network: str = "",
    ) -> None:  # fmt: skip
        preload()
        self.args = ["python", "-m", *words]
        place = (folder or os.getcwd(), network)
        context = multiprocessing.get_context("forkserver")
        self._process = context.Process(target=_run, args=(list(words), dict(environment), outputs, place))
        self._process.start()
        self.pid = self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, negative for a signal.

        Raises
        ------
        subprocess.TimeoutExpired
            It still runs.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = Forked | subprocess.Popen[bytes]


def started(
    words: Sequence[str], environment: Mapping[str, str], outputs: tuple[str | None, str | None], folder: str = "",
    network: str = "", anew: bool = False,
) -> Process:  # fmt: skip
    """Start `python -m` with these words: as a fork, or anew as users have it. The rest is as for `Forked`."""
    if not anew:
        return Forked(words, environment, outputs, folder, network)
    within = ("nsenter", f"--net={network}") if network else ()
    line = [*within, sys.executable, "-m", *words]
    with open(outputs[0] or os.devnull, "ab") as output, open(outputs[1] or os.devnull, "ab") as errors:
        return subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=dict(environment), cwd=folder or None
        )


def run(
    words: Sequence[str], environment: Mapping[str, str], timeout: float, folder: str = "", network: str = "",
    anew: bool = False,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run `python -m` with these words to its end, as a fork or anew, and return that and what it said.

    Raises
    ------
    subprocess.TimeoutExpired
        It took longer, with what it said till then; it is killed.
    """
    with tempfile.TemporaryDirectory(prefix="funkflow-forked-") as place:
        output, errors = (Path(place, name) for name in ("output", "errors"))
        output.touch()
        errors.touch()
        process = started(words, environment, (str(output), str(errors)), folder, network, anew)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as late:
            late.stdout, late.stderr = output.read_bytes(), errors.read_bytes()
            raise
        finally:
            process.kill()
        said = (each.read_text(encoding="utf-8", errors="replace") for each in (output, errors))
        return subprocess.CompletedProcess(["python", "-m", *words], code, *said)


def _run(words: list[str], environment: dict[str, str], outputs: Iterable[str | None], place: tuple[str, str]) -> None:
    """Be `python -m` with these words, from within the fork."""
    folder, network = place
    for descriptor, path in enumerate(outputs, start=1):
        opened = os.open(path or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    if network:
        _enter(network)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    dask.config.paths[:] = dask.config._get_paths()
    dask.config.refresh()
    dask.config.set(DASK_OF_FORKS)
    _track_resources_apart()
    _serve_forks()
    sys.argv = list(words)
    sys.path.insert(0, os.getcwd())
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out


def _enter(network: str) -> None:
    descriptor = os.open(network, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NETWORK_NAMESPACE) != 0:
        raise OSError(ctypes.get_errno(), f"cannot enter {network}")
    os.close(descriptor)


def _track_resources_apart() -> None:
    """Have semaphores that a killed fork leaves cleared away with it, not by the process that asked for the fork."""
    tracker: Any = resource_tracker._resource_tracker
    tracker._fd = tracker._pid = None


def _serve_forks() -> None:
    """Have this fork's workers forked from a copy of it as it is now, with one thread and nothing begun.

    Left to itself, multiprocessing would start a server of forks that imports everything anew; this sets what its
    `ForkServer.ensure_running` sets once it has done so.
    """
    address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    alive, keeps_alive = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(keeps_alive)
        try:
            forkserver.main(listener.fileno(), alive, [])
        finally:
            os._exit(0)
    os.close(alive)
    listener.close()
    server: Any = forkserver._forkserver
    server._forkserver_address, server._forkserver_alive_fd, server._forkserver_pid = address, keeps_alive, process
