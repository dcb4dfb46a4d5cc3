"""Client, scheduler and workers must run the same software; a run compares it first.

Covers: versions of Python and of packages on which a result or a message between processes depends, and the code of
funkflow, by a checksum of its files.
Does not cover: the CPU target of kernels (open.py: one_cpu_target), or access to the root (workers.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from distributed import Client

from funkflow.pipeline.root.code_version import code
from funkflow.tasks.errors import SettingsError

_BETWEEN_PROCESSES = ("dask", "distributed", "msgpack", "cloudpickle")
_Versions = Mapping[str, Any]
_IN_RESULTS = ("numpy", "pandas", "pyarrow", "scipy", "numba", "llvmlite", "funkflow")


def refuse_other_software(client: Client) -> None:
    """Compare this process with the scheduler and every worker.

    `Client.get_versions(check=True)` only warns, in a table, and ignores the code of funkflow.

    Raises
    ------
    SettingsError
        A process runs different software: names the first one and the difference.
    """
    found = software_faults(client)
    if found:
        where, what = next(iter(found.items()))
        raise SettingsError(f"{where}: {what}")


def software_faults(client: Client, workers: list[str] | None = None) -> dict[str, str]:
    """Return differences by name of the process, for the scheduler and all workers, or for `workers` only."""
    versions: Any = client.get_versions(packages=[*_BETWEEN_PROCESSES, *_IN_RESULTS])
    faults: dict[str, str] = {}
    if workers is None and (
        other := _version_difference(versions["client"], versions["scheduler"], _BETWEEN_PROCESSES)
    ):
        faults["the scheduler"] = other
    for address, versions_there in sorted(versions["workers"].items()):
        if workers is not None and address not in workers:
            continue
        other = _version_difference(versions["client"], versions_there, (*_BETWEEN_PROCESSES, *_IN_RESULTS))
        if other:
            faults[f"worker {address}"] = other
    return faults or _code_faults(client, workers)


def _code_faults(client: Client, workers: list[str] | None) -> dict[str, str]:
    codes: dict[str, Any] = {}
    if workers is None:
        try:
            codes["the scheduler"] = client.run_on_scheduler(code)
        except Exception as cause:  # the scheduler raises its own errors here
            codes["the scheduler"] = cause
    answers = client.run(code, workers=workers, on_error="return")
    codes |= {f"worker {address}": answers[address] for address in sorted(answers)}
    return {where: fault for where, answer in codes.items() if (fault := _code_fault(answer))}


def _code_fault(answer: Any) -> str:
    if isinstance(answer, BaseException):
        reason = f"cannot run funkflow ({type(answer).__name__}: {answer})".split("\n")[0]
    elif answer != code():
        reason = f"runs another funkflow of version {metadata.version('funkflow')}: its code differs from this one's"
    else:
        return ""
    return f"{reason}; install the same wheel there as here"


def _version_difference(here: _Versions, there: _Versions, packages: tuple[str, ...]) -> str:
    differing = []
    for name, ours, theirs in [
        ("Python", _python(here), _python(there)),
        *((name, here["packages"].get(name), there["packages"].get(name)) for name in packages),
    ]:
        if ours != theirs:
            differing.append(f"{name} {theirs or 'is missing'} there and {ours} here")
    return f"{', '.join(differing)}; install the same versions, those of requirements.lock" if differing else ""


def _python(versions: _Versions) -> str:
    return ".".join(str(versions["host"]["python"]).split(".")[:2])
