"""A session of pytest within a test, in a process of its own.

Covers: starting it as a fork, and what it said as pytest's own result.
Does not cover: what the session tests (the callers write that).

Not pytester's `runpytest_inprocess`: it puts `sys.modules` back as they were, which fails where a thread that another
test left running (Dask's, execnet's) imports at that moment.
"""

from __future__ import annotations

import os
import time

import pytest

from chaos.forked import run

_SECONDS = 120


def run_pytest(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest with these arguments in the folder of `pytester`; a conftest.py there may set what plugins read."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for name in [each for each in environment if each.startswith("PYTEST_XDIST")]:
        del environment[name]  # that of the session around it
    begun = time.perf_counter()
    done = run(["pytest", "-p", "no:cacheprovider", *arguments], environment, _SECONDS, folder=str(pytester.path))
    seconds = time.perf_counter() - begun
    return pytest.RunResult(done.returncode, done.stdout.splitlines(), done.stderr.splitlines(), seconds)
