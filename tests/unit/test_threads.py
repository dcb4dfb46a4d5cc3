"""Work that several threads share (tasks/kernels/threads.py), and what becomes of it where threads are short.

Covers: that threads are kept and really work at once, nested calls, failures, and a forked child.
Does not cover: the order of tiles (test_twins.py).
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from funkflow.tasks.kernels import threads
from funkflow.tasks.kernels.threads import map_threads, run_together
from funkflow.tasks.kernels.wavefront import visit_tiles


def test_calls_are_at_work_at_once_and_come_back_in_order() -> None:
    meeting = threading.Barrier(4, timeout=30)  # broken, and so an error, unless four are there at once

    def meet(number: int) -> int:
        meeting.wait()
        return number * number

    assert map_threads(meet, range(8), threads=4) == [number * number for number in range(8)]


def test_threads_are_kept_for_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kept threads do for three at once, twenty times over: none is made beside them."""
    monkeypatch.setattr(threads, "_pool", ThreadPoolExecutor(2))
    names: set[str] = set()
    for _ in range(20):
        meeting = threading.Barrier(3, timeout=30)

        def meet(meeting: threading.Barrier = meeting) -> None:
            names.add(threading.current_thread().name)
            meeting.wait()

        run_together(meet, 3)
    assert threading.current_thread().name in names
    assert len(names) == 3  # threads of their own each time: 41


def test_all_calls_are_made_and_the_first_failure_in_their_order_is_raised() -> None:
    called: list[int] = []

    def fail_on_odd(number: int) -> None:
        called.append(number)
        if number % 2:
            raise ValueError(f"call {number}")

    with pytest.raises(ValueError, match="call 1"):
        map_threads(fail_on_odd, range(6), threads=3)
    assert sorted(called) == list(range(6))


def test_where_no_thread_is_to_be_had_the_caller_does_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a single kept thread, calls within calls would wait for each other for ever."""
    monkeypatch.setattr(threads, "_pool", ThreadPoolExecutor(1))

    def inner(number: int) -> list[int]:
        return map_threads(lambda other: 10 * number + other, range(3), threads=3)

    assert map_threads(inner, range(4), threads=4) == [
        [10 * number + other for other in range(3)] for number in range(4)
    ]
    visited: list[int] = []
    visit_tiles([(0, 0), (1, 1), (0, 1)], visited.append, 4)
    assert sorted(visited) == [0, 1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_threads_of_its_own() -> None:
    assert map_threads(abs, [-1, 2], threads=2) == [1, 2]
    child = os.fork()
    if child == 0:
        meeting = threading.Barrier(2, timeout=20)

        def meet() -> None:
            meeting.wait()

        try:
            run_together(meet, 2)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
