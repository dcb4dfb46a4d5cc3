"""Packages that a command has loaded by its end, in a process of its own.

Covers: the list.
Does not cover: which ones a command may load (test_start.py).
"""

from __future__ import annotations

import os
import subprocess
import sys

from program import CHECKOUT

HEAVY = frozenset(
    {"bokeh", "dask", "distributed", "jinja2", "llvmlite", "numba", "numba.np.arraymath", "numpy", "pandas", "pyarrow",
     "pydantic", "scipy", "scipy.linalg"}
)  # fmt: skip
"""Packages of which each takes a tenth of a second or more, and parts of two: numba looks at SciPy's version, and
compiles with its `arraymath`."""
_PROGRAM = """
import atexit, sys
atexit.register(lambda: print("loaded:", *sys.modules, file=sys.__stderr__))
from funkflow.__main__ import main
main()
"""


def heavy_of(*words: str, **environment: str) -> tuple[set[str], str]:
    """Run the command with these words, and return the heavy packages that it loaded, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **environment},
    )
    assert done.returncode == 0, done.stderr
    said, _, loaded = done.stderr.rpartition("loaded:")
    return set(HEAVY & set(loaded.split())), done.stdout + said
