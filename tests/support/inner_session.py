"""A session of pytest within a test, in a process of its own.

Covers: its folder, starting it as a fork, and what it said as pytest's own result.
Does not cover: what the session tests (the callers write that).

Not pytest's fixture `pytester`: it puts `sys.modules` back as they were, and where a thread that another test left
running (Dask's, execnet's) imports at that moment, a package such as importlib is there twice.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from textwrap import dedent

import pytest

from chaos.forked import run

_SECONDS = 120


class InnerFolder:
    """The folder of a session: `path`, and files with Python in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, **sources: str) -> None:
        """Write a file NAME.py for each NAME=source; the source may be indented."""
        for name, source in sources.items():
            (self.path / f"{name}.py").write_text(dedent(source), encoding="utf-8")


@pytest.fixture
def inner(tmp_path_factory: pytest.TempPathFactory) -> InnerFolder:
    """Return a new folder that no other fixture has."""
    return InnerFolder(tmp_path_factory.mktemp("inner"))


def run_pytest(inner: InnerFolder, *arguments: str) -> pytest.RunResult:
    """Run pytest with these arguments in the folder of `inner`; a conftest.py there may set what plugins read."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for name in [each for each in environment if each.startswith("PYTEST_XDIST")]:
        del environment[name]  # that of the session around it
    begun = time.perf_counter()
    done = run(["pytest", "-p", "no:cacheprovider", *arguments], environment, _SECONDS, folder=str(inner.path))
    seconds = time.perf_counter() - begun
    return pytest.RunResult(done.returncode, done.stdout.splitlines(), done.stderr.splitlines(), seconds)
