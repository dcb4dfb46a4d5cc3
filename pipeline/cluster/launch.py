"""Start the cluster that a file describes, by Dask's deployment classes.

Covers: the class by its name, the extra that it needs, the names of its arguments, its start, its size and its end.
Does not cover: the keys of the file (pipeline/settings/cluster_preset.py), connecting and waiting (open.py).
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from distributed import Nanny, SpecCluster, Worker
from distributed.utils import import_term

from funkflow.pipeline.cluster.dask_settings import DaskSettings, as_environment
from funkflow.pipeline.settings.cluster_preset import ClusterPreset
from funkflow.tasks.errors import FunkflowError, SettingsError, TryAgainLater

_EXTRAS = {
    "dask_jobqueue.": ("dask_jobqueue", "slurm"),
    "dask_kubernetes.": ("dask_kubernetes", "kubernetes"),
    "dask_gateway.": ("dask_gateway", "gateway"),
    "distributed.SSHCluster": ("asyncssh", "ssh"),
}
"""By beginning of a class's name: the module that it needs, and the extra of funkflow that installs it."""
_PASSED_ON: dict[str, tuple[Callable[..., Any], ...]] = {
    "distributed.LocalCluster": (Nanny, Worker),
    "distributed.SSHCluster": (SpecCluster,),
}
"""Classes that pass arguments on, and the classes that take these."""


def listens_on_this_machine(preset: ClusterPreset) -> bool:
    """Return whether a cluster's processes are on this machine alone and talk by its ports.

    A single process of threads opens no port.
    """
    kwargs = preset.kwargs
    one_process = kwargs.get("processes") is False and "protocol" not in kwargs
    return preset.cluster_class == "distributed.LocalCluster" and not one_process


@contextmanager
def launch_cluster(preset: ClusterPreset, where: str, settings: DaskSettings) -> Iterator[Any]:
    """Start the cluster at its size and yield it; close it at the end.

    Parameters
    ----------
    where : name of the preset in messages.
    settings : Dask's settings by dotted key, for processes that do not inherit them.

    Raises
    ------
    SettingsError
        The class or its extra is missing, or the class does not take these arguments.
    TryAgainLater
        It did not start.
    """
    make = cluster_class(preset.cluster_class, where)
    refuse_unknown_arguments(make, preset, where)
    job = getattr(make, "job_cls", None)
    kwargs = preset.kwargs if job is None else _with_environment(preset.kwargs, settings)
    if job is not None:
        _refuse_without_queue(job, where)
    name = preset.cluster_class.rpartition(".")[2]
    try:
        cluster = make(**kwargs)
    except FunkflowError:
        raise
    except TypeError as cause:
        raise SettingsError(f"{where}: {name} does not take these [kwargs]: {_cause_line(cause)}") from cause
    except Exception as cause:  # its type depends on the class
        raise TryAgainLater(
            f"{where}: {name} did not start ({_cause_line(cause)}); see to that, or correct [kwargs], and run again"
        ) from cause
    try:
        _scale_cluster(cluster, preset, where)
    except BaseException:
        with suppress(Exception):  # Dask asserts that all jobs started
            cluster.close()
        raise
    with cluster:
        yield cluster


def _scale_cluster(cluster: Any, preset: ClusterPreset, where: str) -> None:
    """Scale the cluster. Wait for Dask's own classes, as only then a refusal by the queue is raised."""
    try:
        if preset.scale:
            cluster.scale(**preset.scale)
        if isinstance(cluster, SpecCluster):
            cluster.sync(_wait_started, cluster)
    except TypeError as cause:
        raise SettingsError(f"{where}: the class does not take this [scale]: {_cause_line(cause)}") from cause
    except Exception as cause:  # its type depends on the class
        raise TryAgainLater(f"{where}: its workers cannot be started ({_cause_line(cause)})") from cause


async def _wait_started(cluster: SpecCluster) -> None:
    """Wait until every worker has started, and raise the error of one, which the cluster itself forgets."""
    await cluster
    for worker in list(cluster.workers.values()):
        await worker


def cluster_class(name: str, where: str) -> Callable[..., Any]:
    """Return the class, or a function in its place, by its full name.

    Raises
    ------
    SettingsError
        The module or the class is missing (names the extra or the nearest name), or the class is no cluster.
    """
    for begin, (needed, extra) in _EXTRAS.items():
        if name.startswith(begin) and importlib.util.find_spec(needed) is None:
            raise SettingsError(f"{where}: {name} needs {needed}: pip install 'funkflow[{extra}]'")
    home, _, last = name.rpartition(".")
    try:
        found = import_term(name)
    except ImportError as cause:
        raise SettingsError(f"{where}: class = {name!r}: {home} cannot be imported ({_cause_line(cause)})") from cause
    except AttributeError as cause:
        there = [each for each in dir(sys.modules[home]) if each.endswith("Cluster")]
        near = difflib.get_close_matches(last, there, n=1, cutoff=0.0)
        hint = f"; the nearest is '{home}.{near[0]}'" if near else ""
        raise SettingsError(f"{where}: class = {name!r}: {home} has no {last}{hint}") from cause
    is_class = isinstance(found, type) and hasattr(found, "scale") and hasattr(found, "close")
    if not is_class and name not in _PASSED_ON:
        raise SettingsError(f"{where}: class = {name!r} is no Dask cluster")
    made: Callable[..., Any] = found
    return made


def refuse_unknown_arguments(make: Callable[..., Any], preset: ClusterPreset, where: str) -> None:
    """Raise SettingsError for a key of [kwargs] that the class does not take, if its signature shows that."""
    known = _argument_names(make, preset.cluster_class)
    if known is None:
        return
    for key in preset.kwargs:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0)[0]
            raise SettingsError(
                f"{where}: {preset.cluster_class} has no argument kwargs.{key}; the nearest is 'kwargs.{near}'"
            )


def _argument_names(make: Callable[..., Any], name: str) -> set[str] | None:
    """Return the names of all arguments; None if the class passes some on to an unlisted class."""
    job = getattr(make, "job_cls", None)
    targets = job.__mro__[:-1] if job is not None else _PASSED_ON.get(name)
    own = inspect.signature(make).parameters.values()
    if targets is None:
        if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in own):
            return None
        targets = ()
    several = [own, *(inspect.signature(each).parameters.values() for each in targets)]
    return {each.name for some in several for each in some if each.kind is not inspect.Parameter.VAR_KEYWORD}


def _with_environment(kwargs: Mapping[str, Any], settings: DaskSettings) -> dict[str, Any]:
    """Add Dask's settings to the jobs of a queue, as dask-jobqueue does not pass them on."""
    line = f"export DASK_INTERNAL_INHERIT_CONFIG={as_environment(settings)}"
    return {**kwargs, "job_script_prologue": [line, *kwargs.get("job_script_prologue", [])]}


def _refuse_without_queue(job: Any, where: str) -> None:
    command = str(getattr(job, "submit_command", "") or "").split()
    if command and shutil.which(command[0]) is None:
        raise TryAgainLater(f"{where}: this machine has no command {command[0]}; run this on a machine of the queue")


def _cause_line(cause: BaseException) -> str:
    """Return the first line of the deepest cause; for a failed command, its last line of output."""
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if not lines:
        return type(cause).__name__
    return lines[-1] if "stderr:" in lines else lines[0]
