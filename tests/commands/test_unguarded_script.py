"""A script that calls `run()` at its top level is told how to do so.

Covers: the one line that a user sees. Does not cover: clients and workers that are killed (test_faults.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.long
def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    """Worker processes import the script: without the guard each would start a run of its own."""
    program = tmp_path / "unguarded.py"
    program.write_text(f"from funkflow import run\nrun('demo', ['root={tmp_path}/root', 'synth.fraction=0.02'])\n")
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert done.returncode == 1
    assert 'put the call under: if __name__ == "__main__":' in done.stderr
    assert "the workers on this machine did not start" in done.stderr.splitlines()[-1]
