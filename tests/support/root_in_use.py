"""A root with a model in use.

Covers: the fixture. Does not cover: commands as such (program.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from program import SMALL, funkflow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root with a small model of the demo in use."""
    root = tmp_path_factory.mktemp("root")
    done = funkflow("export", "demo", "--root", str(root), *SMALL)
    assert done.returncode == 0, done.stderr
    return root
