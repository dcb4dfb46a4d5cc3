"""Start: processor time of commands on few ratings, in units of the imports that every such program needs.

Covers: imports, commands that do nothing, a run on 100,000 synthetic ratings stage by stage, up to date, and with no
kernel compiled; each command is a process of its own, and each run has a fresh root.
Does not cover: which modules a command loads (tests/commands/test_start.py), runs of many ratings (jobs.py).

Processor time is that of all threads, so it hardly depends on what else the machine does. The unit is measured among
the others, in turn with them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.context import Bench
from bench.measure import Measurement, Row
from bench.ours import Failed

SECTION = "start: processor seconds of all threads"
_UNIT = "import numpy, pandas, pyarrow.parquet"
_IMPORTS = ("numba", "distributed", "funkflow.pipeline.flow")
_STAGES = ("ingest", "split", "grid", "train", "evaluate", "export", "ranking", "run")
_REPEATS = 5
_SET = ("--set", "synth.fraction=0.1", "--set", "train.rank=64")


def rows(bench: Bench) -> list[Row]:
    """Return a row for each import and command; `ratio` is in units."""
    unit: dict[str, Callable[[], Measurement]] = {"unit": partial(_python, "-c", _UNIT)}
    with tempfile.TemporaryDirectory() as folder:
        runs = _Runs(Path(folder))
        cases: dict[str, dict[str, Callable[[], Measurement]]] = {
            "imports": {name: partial(_python, "-c", f"import {name}") for name in _IMPORTS},
            "commands": {" ".join(words): partial(_ours, *words) for words in (("--version",), ("run", "--help"))},
            "100,000 ratings, up to": {stage: partial(runs.fresh, stage) for stage in _STAGES},
            "a whole run": {"up to date": runs.up_to_date, "nothing compiled": runs.nothing_compiled},
        }
        return [row for case, all_ in cases.items() for row in bench.compare(SECTION, case, unit | all_, _REPEATS)]


class _Runs:
    """Runs on one set, below a folder, with a cache of kernels of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._kernels, self._done = folder, folder / "kernels", folder / "done"
        self._words = ("demo", *_SET)
        _ours("run", *self._words, "--root", str(self._done), kernels=self._kernels)
        (raw,) = self._done.glob("raw/*")
        self._given = ("--ratings", str(raw / "combined_data_1.txt"), *self._words[1:])

    def fresh(self, stage: str, kernels: Path | None = None) -> Measurement:
        """Measure all stages up to this one under a fresh root."""
        root = self._folder / "fresh"
        try:
            return _ours(stage, *self._given, "--root", str(root), kernels=kernels or self._kernels)
        finally:
            shutil.rmtree(root, ignore_errors=True)

    def up_to_date(self) -> Measurement:
        return _ours("run", *self._words, "--root", str(self._done), kernels=self._kernels)

    def nothing_compiled(self) -> Measurement:
        empty = self._folder / "empty"
        try:
            return self.fresh("run", kernels=empty)
        finally:
            shutil.rmtree(empty, ignore_errors=True)


def _ours(*words: str, kernels: Path | None = None) -> Measurement:
    return _python("-m", "funkflow", *words, kernels=kernels)


def _python(*words: str, kernels: Path | None = None) -> Measurement:
    """Measure a process of Python from its start to its end; it may keep bytecode."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if kernels is not None:
        variables["NUMBA_CACHE_DIR"] = str(kernels)
    with subprocess.Popen(
        [sys.executable, *words], env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{' '.join(words)}: exit code {process.returncode}")
    return Measurement(used.ru_utime + used.ru_stime, peak_memory_bytes=used.ru_maxrss * 1024)
