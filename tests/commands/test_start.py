"""What a command loads before it has work to do: most of its processor time.

Covers: the heavy packages of `--version`, of the help, of `recommend` to one user, and of a small run; the allocator of
Arrow.
Does not cover: a run that is up to date (test_up_to_date.py); seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from loaded import HEAVY, heavy_of
from program import CHECKOUT, SMALL, funkflow

from funkflow import Model
from funkflow.pipeline.commands.names import COMMANDS

ONE_OF_EACH_FILE = {entry.module: name for name, entry in COMMANDS.items()}.values()


@pytest.mark.parametrize("words", [(), *((name,) for name in ONE_OF_EACH_FILE)], ids=" ".join)
def test_help_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    loaded, said = heavy_of(*words, "--help")
    assert "Usage: funkflow" in said
    assert loaded == set()


def test_the_version_loads_nothing_heavy() -> None:
    """Typer checks options with pydantic."""
    loaded, said = heavy_of("--version")
    assert said.startswith("funkflow 0.")
    assert loaded <= {"pydantic"}


def test_recommending_to_one_user_loads_what_reads_the_model(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    done = funkflow("export", "demo", "--root", root, *SMALL)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "root").glob("runs/*/model")
    user = str(Model.load(str(folder)).user_ids[0])
    loaded, said = heavy_of("recommend", "--model", str(folder), "--user", user)
    assert f"for user {user}" in said
    assert loaded == {"numpy", "pyarrow", "pydantic"}


def test_a_small_run_loads_no_dashboard_no_pandas_and_nothing_that_compiles(tmp_path: Path) -> None:
    """The first run writes the ratings, by a model of pandas, and fills the cache of kernels."""
    kernels = str(tmp_path / "kernels")
    first, _ = heavy_of("run", "demo", *SMALL, "--root", str(tmp_path / "first"), NUMBA_CACHE_DIR=kernels)
    assert first == HEAVY - {"bokeh"}
    (ratings,) = (tmp_path / "first").glob("raw/*/combined_data_1.txt")
    given = ("--ratings", str(ratings), *SMALL[2:], "--root", str(tmp_path / "again"))
    again, said = heavy_of("run", *given, NUMBA_CACHE_DIR=kernels)
    assert "report.html" in said
    assert HEAVY - again == {"bokeh", "numba.np.arraymath", "pandas", "scipy.linalg"}


_POOL = """
import os, sys

class Seen:
    @staticmethod
    def find_spec(name, *_more):
        if name == "pyarrow":
            print("pool:", os.environ.get("ARROW_DEFAULT_MEMORY_POOL"))

sys.meta_path.insert(0, Seen)
from funkflow.__main__ import main
main()
"""


def test_arrow_is_loaded_with_the_allocator_of_worker_processes(tmp_path: Path) -> None:
    words = ("ingest", "demo", *SMALL, "--root", str(tmp_path))
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ARROW_")}
    done = subprocess.run(
        [sys.executable, "-c", _POOL, *words], env={**variables, "PYTHONPATH": str(CHECKOUT)}, capture_output=True,
        text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines()[0] == "pool: system"
