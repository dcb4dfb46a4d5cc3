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
gc.set_threshold(500, 5, 5)
usual = gc.get_threshold()
garbage.search_as_usual()
print(gc.get_freeze_count() == 0, gc.get_threshold() == usual)
garbage.search_rarely()
print(gc.get_threshold()[0] > 1000 * usual[0], gc.get_freeze_count() == 0)
garbage.search_as_usual()
print(gc.get_threshold() == usual, gc.get_freeze_count() > 1000)
"""


def test_imports_are_not_searched_work_is_as_before_and_other_programs_are_left_alone() -> None:
    done = subprocess.run([sys.executable, "-c", _SEEN], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert done.stdout.split() == ["True"] * 6
