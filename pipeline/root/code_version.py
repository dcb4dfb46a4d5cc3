"""Which funkflow this is: a checksum of its own source files, and the version that records name.

Covers: this process's code alone, without Dask.
Does not cover: whether workers run the same (pipeline/cluster/software.py).
"""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from funkflow.tasks.storage import files
from funkflow.tasks.versions import ALGORITHM_VERSION

_LEANT_ON = ("dask", "distributed", "numpy", "pandas", "pyarrow", "numba", "scipy", "bokeh", "fsspec")


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


@functools.cache
def code_version() -> dict[str, Any]:
    """Return the package's version, its algorithm's, the checksum of its code and, in a checkout, the git commit."""
    commit = _commit(Path(__file__).resolve().parents[2])
    return {
        "package": metadata.version("funkflow"),
        "algorithm": ALGORITHM_VERSION,
        "code": code(),
        **({"commit": commit} if commit else {}),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result leans on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _LEANT_ON}}


def _commit(checkout: Path) -> str:
    """Return the commit of a checkout; empty for an installed package, even one that lies in somebody's repository."""
    if not (checkout / ".git").exists():
        return ""
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
