"""When Python searches for garbage in a program of ours.

Covers: tasks/garbage.py. Does not cover: seconds.
"""

from __future__ import annotations

import subprocess
import sys

from program import CHECKOUT

_SEEN = """
import gc
from funkflow.tasks import garbage
usual = gc.get_threshold()
garbage.search_rarely()
rare, frozen = gc.get_threshold(), gc.get_freeze_count()
garbage.search_as_usual()
print(rare[0] > 100 * usual[0], frozen == 0, gc.get_threshold() == usual, gc.get_freeze_count() > 1000)
"""


def test_imports_are_not_searched_and_work_is_as_always() -> None:
    done = subprocess.run([sys.executable, "-c", _SEEN], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert done.stdout.split() == ["True"] * 4
