"""Client, scheduler and workers must run the same software: it is compared before anything else is asked of them.

Covers: versions of Python and of the packages that a result or a message between processes depends on, and funkflow's
own code, by a checksum of its files.
Does not cover: the CPU that kernels are compiled for (open.py: one_cpu_target), or whether a worker can read the
root (workers.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from distributed import Client

from funkflow.pipeline.root.code_version import code
from funkflow.tasks.errors import SettingsError

_BETWEEN_PROCESSES = ("dask", "distributed", "msgpack", "cloudpickle")
_IN_RESULTS = ("numpy", "pandas", "pyarrow", "scipy", "numba", "llvmlite", "funkflow")


def refuse_other_software(client: Client) -> None:
    """Compare this process with the scheduler and every worker.

    `Client.get_versions(check=True)` only warns, in a table, and does not know of funkflow's own code.

    Raises
    ------
    SettingsError
        The first that differs, by its address, and in what.
    """
    found = software_faults(client)
    if found:
        where, what = next(iter(found.items()))
        raise SettingsError(f"{where}: {what}")


def software_faults(client: Client, workers: list[str] | None = None) -> dict[str, str]:
    """Return what differs, by the name of the process: of the scheduler and all workers, or of `workers` only."""
    versions: Any = client.get_versions(packages=[*_BETWEEN_PROCESSES, *_IN_RESULTS])
    faults: dict[str, str] = {}
    if workers is None and (other := _difference(versions["client"], versions["scheduler"], _BETWEEN_PROCESSES)):
        faults["the scheduler"] = other
    for address, theirs in sorted(versions["workers"].items()):
        if workers is not None and address not in workers:
            continue
        other = _difference(versions["client"], theirs, (*_BETWEEN_PROCESSES, *_IN_RESULTS))
        if other:
            faults[f"worker {address}"] = other
    return faults or _code_faults(client, workers)


def _code_faults(client: Client, workers: list[str] | None) -> dict[str, str]:
    codes: dict[str, Any] = {}
    if workers is None:
        try:
            codes["the scheduler"] = client.run_on_scheduler(code)
        except Exception as cause:  # whatever hinders it there is raised here as it is
            codes["the scheduler"] = cause
    answers = client.run(code, workers=workers, on_error="return")
    codes |= {f"worker {address}": answers[address] for address in sorted(answers)}
    return {where: fault for where, theirs in codes.items() if (fault := _code_fault(theirs))}


def _code_fault(theirs: Any) -> str:
    if isinstance(theirs, BaseException):
        reason = f"cannot run funkflow ({type(theirs).__name__}: {theirs})".split("\n")[0]
    elif theirs != code():
        reason = f"runs another funkflow of version {metadata.version('funkflow')}: its code differs from this one's"
    else:
        return ""
    return f"{reason}; install the same wheel there as here"


def _difference(ours: Mapping[str, Any], theirs: Mapping[str, Any], packages: tuple[str, ...]) -> str:
    differing = []
    for name, here, there in [
        ("Python", _python(ours), _python(theirs)),
        *((name, ours["packages"].get(name), theirs["packages"].get(name)) for name in packages),
    ]:
        if here != there:
            differing.append(f"{name} {there or 'is missing'} there and {here} here")
    return f"{', '.join(differing)}; install the same versions, those of requirements.lock" if differing else ""


def _python(versions: Mapping[str, Any]) -> str:
    return ".".join(str(versions["host"]["python"]).split(".")[:2])
