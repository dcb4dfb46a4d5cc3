"""Where and with what a table was measured: the machine, and the version of everybody who took part.

Covers: what decides how fast a program is, as far as it can be asked for. Does not cover: names, users or paths.
"""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from bench.peers import libmf_build

_PACKAGES = ("funkflow", "dask", "distributed", "numba", "numpy", "pyarrow", "libmf", "cmfrec", "scikit-surprise",
             "implicit", "pyspark")  # fmt: skip


def machine() -> dict[str, Any]:
    """Return processor, cores, memory and load, as they are now."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_before": os.getloadavg()[0],
    }


def versions() -> dict[str, str]:
    """Return the version of each program that took part, "not installed" where there is none."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    found["libmf source"] = f"{libmf_build.VERSION}, {' '.join(libmf_build.COMPILE)}"
    found["g++"], found["java"] = _first_line("g++", "--version"), _first_line("java", "-version")
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _first_line(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return "not installed"
    return (done.stdout + done.stderr).strip().partition("\n")[0]
