"""Kernels that several threads ask for at once.

Covers: `built_once` (tasks/kernels/cache.py): whichever thread builds a kernel, all can call it.
Does not cover: the folder of compiled kernels (tests/environments/test_kernel_cache.py).
"""

from __future__ import annotations

import subprocess
import sys

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
