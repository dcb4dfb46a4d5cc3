"""The version of funkflow: a checksum of its source files, and the version for records.

Covers: the code of this process, without Dask.
Does not cover: the code of workers (pipeline/cluster/software.py).
"""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib import metadata, resources
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from funkflow.tasks.storage import files
from funkflow.tasks.versions import ALGORITHM_VERSION

_PACKAGES = ("dask", "distributed", "numpy", "pandas", "pyarrow", "numba", "scipy", "bokeh", "fsspec")


@functools.cache
def code() -> str:
    """Return a checksum of funkflow's own source files, as this process would import them."""
    return files.checksum_of(_sources(resources.files("funkflow"), "funkflow"))


def _sources(folder: Any, name: str) -> list[bytes]:
    found: list[bytes] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: str(entry.name)):
        if entry.is_dir() and entry.name != "__pycache__":
            found += _sources(entry, f"{name}/{entry.name}")
        elif entry.name.endswith(".py"):
            found += [f"{name}/{entry.name}\n".encode(), entry.read_bytes()]
    return found


class CodeVersion(TypedDict):
    """Versions of the package and of its algorithm, the checksum of its code and, in a checkout, the git commit."""

    package: str
    algorithm: int
    code: str
    commit: NotRequired[str]


@functools.cache
def code_version() -> CodeVersion:
    """Return the version of this funkflow."""
    version = CodeVersion(package=metadata.version("funkflow"), algorithm=ALGORITHM_VERSION, code=code())
    commit = _commit(Path(__file__).resolve().parents[2])
    return {**version, "commit": commit} if commit else version


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}}


def _commit(checkout: Path) -> str:
    """Return the commit of a checkout; "" for an installed package, even inside another repository."""
    if not (checkout / ".git").exists():
        return ""
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
