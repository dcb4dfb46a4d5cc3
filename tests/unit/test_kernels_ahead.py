"""Kernels that are compiled while a run still reads its ratings.

Covers: pipeline/training/kernels_ahead.py: which runs do so, a kernel that fails, and the end before all are compiled.
Does not cover: the bits of kernels, which are those of tasks that compile them (tests/cluster/test_one_process.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal

import pytest

from funkflow.pipeline.settings.train import TrainSettings
from funkflow.pipeline.training import kernels_ahead
from funkflow.pipeline.training.kernels_ahead import compile_ahead


def with_kernels(monkeypatch: pytest.MonkeyPatch, *kernels: Callable[[], object]) -> None:
    monkeypatch.setattr(kernels_ahead, "_kernels", lambda _train, _ranks: list(kernels))


@pytest.mark.parametrize(
    ("train", "trains", "compiles"),
    [({}, True, True), ({}, False, False), ({"method": "als"}, True, False), ({"method": "funk"}, True, False)],
)
def test_descent_on_ratings_compiles_ahead(
    monkeypatch: pytest.MonkeyPatch, train: dict[str, Any], trains: bool, compiles: bool
) -> None:
    done = threading.Event()
    with_kernels(monkeypatch, done.set)
    with compile_ahead(TrainSettings(**train), trains, ranks=True):
        assert done.wait(10 if compiles else 0) == compiles
    assert done.is_set() == compiles


def test_a_failure_is_left_to_the_task_and_the_end_waits_for_one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, end, never = (threading.Event() for _ in range(3))

    def fails() -> None:
        raise RuntimeError("no compiler")

    def in_work() -> None:
        begun.set()
        end.wait(10)

    with_kernels(monkeypatch, fails, in_work, never.set)
    before = threading.active_count()
    with compile_ahead(TrainSettings(), trains=True, ranks=False):
        assert begun.wait(10)
        threading.Timer(0.05, end.set).start()
    assert end.is_set()
    assert not never.is_set()
    assert threading.active_count() <= before + 1  # the timer may not have ended


@pytest.mark.parametrize(("implicit", "ranks", "count"), [("none", False, 3), ("none", True, 5), ("auto", False, 6)])
def test_second_factors_and_a_ranking_have_kernels_of_their_own(
    implicit: Literal["none", "auto"], ranks: bool, count: int
) -> None:
    assert len(kernels_ahead._kernels(TrainSettings(rank=8, implicit=implicit), ranks)) == count
