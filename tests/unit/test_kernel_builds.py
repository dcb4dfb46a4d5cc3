"""Kernels that several threads ask for at once.

Covers: `built_once` (tasks/kernels/cache.py): whichever thread builds a kernel, all can call it.
Files of the cache that several processes wrote at once.
Does not cover: the folder of compiled kernels (tests/environments/test_kernel_cache.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CALLS = """
import sys
import threading
import time

import numpy as np
from numba.core.types import abstract

from funkflow.tasks.grid.ordered_ratings import as_records
from funkflow.tasks.kernels.blocks.pair_sums import add_items, add_users

number_type = abstract._autoincr


def number_type_late():
    time.sleep(0.001)  # threads change places while a type is made
    return number_type()


abstract._autoincr = number_type_late
together, refused = threading.Barrier(8), []


def call(width):
    rows, sums = (as_records(np.zeros((1, width), np.float32)) for _ in range(2))
    places = np.zeros((0, 3), np.int64), np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.uint16)
    together.wait()
    try:
        for kernel in (add_users, add_items):
            kernel(width, "f4")(*places, rows, sums)
    except TypeError as cause:
        refused.append(str(cause))


for width in range(1, 5):
    threads = [threading.Thread(target=call, args=(width,)) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
sys.exit(refused[0] if refused else 0)
"""
"""In a process of its own: types are made once in one."""


def test_threads_that_ask_for_a_kernel_at_once_can_call_it() -> None:
    done = subprocess.run([sys.executable, "-c", CALLS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


EXCHANGED = """
import numpy as np

from funkflow.tasks.grid.ordered_ratings import as_records
from funkflow.tasks.kernels.blocks.pair_sums import add_items

for width in (2, 3):
    rows, sums = (as_records(np.ones((1, width), np.float32)) for _ in range(2))
    tiles, cells = np.array([[0, 0, 1]]), np.zeros(1, np.uint16)
    add_items(width, "f4")(tiles, np.zeros(1, np.int32), np.array([0, 1]), cells, rows, sums)
    assert (sums["factors"] == 2).all()
"""


def test_a_file_with_the_kernel_of_another_signature_is_compiled_again(tmp_path: Path) -> None:
    """Processes that save at once can leave such a file."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", EXCHANGED], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        first, second = sorted(tmp_path.rglob("*_add_items*.nbc"))
        kept = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(kept)
