"""When training stops, and how L2 falls meanwhile.

Covers: tasks/training/early_stopping.py, and what tasks/grid/default_rule.py says of L2, of the first step and of
initial rows.
Does not cover: the loop that asks them (test_train.py), or how good what comes of it is (test_standstill.py).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from funkflow.tasks.grid.default_rule import INITIAL_LENGTH, STEP, initial_length_for, l2_of_epoch, step_for
from funkflow.tasks.training.early_stopping import StoppingRule, Verdict, judge, judge_history


@pytest.mark.parametrize(
    ("rmses", "verdict"),
    [
        ([], Verdict(0, False)),
        ([1.0], Verdict(1, False)),
        ([1.0, 0.9, 0.95], Verdict(2, False)),
        ([1.0, 0.9, 0.95, 0.96], Verdict(2, True)),
        ([1.0, 0.9, 0.95, 0.89], Verdict(4, False)),
        # Gains below the minimum are kept as the best, but do not renew the patience.
        ([1.0, 0.99999, 0.99998], Verdict(3, True)),
        ([1.0, 0.99994, 0.99988], Verdict(3, False)),
        ([1.0, 1.0, 1.0], Verdict(1, True)),
    ],
)
def test_verdict(rmses: list[float], verdict: Verdict) -> None:
    assert judge(rmses, patience=2, minimum_gain=1e-4) == verdict


def test_an_ndcg_decides_where_there_is_one_and_the_greatest_is_the_best() -> None:
    """A gain is a part of 1 - NDCG: 0.0005 of 0.7 here."""
    history = [(1.0, None, 9.0, 1.0, ndcg) for ndcg in (0.2, 0.3, 0.3003, 0.29, 0.25)]
    assert [judge_history(history[:count], 3, 5e-4) for count in range(1, 6)] == [
        Verdict(1, False), Verdict(2, False), Verdict(3, False), Verdict(3, False), Verdict(3, True),
    ]  # fmt: skip


def test_the_ndcg_of_the_start_model_is_epoch_0_and_only_a_greater_one_beats_it() -> None:
    history = [(1.0, None, 9.0, 1.0, ndcg) for ndcg in (0.29, 0.3, 0.31)]
    assert [judge_history(history[:count], 3, 5e-4, start=0.3).best_epoch for count in range(1, 4)] == [0, 0, 3]


RULE = StoppingRule(patience=2, minimum_gain=1e-4, waits=True)


@pytest.mark.parametrize(
    ("rmses", "carried", "stop"),
    [
        ([1.0, 1.0, 1.0], [0.001, 0.002, 0.004], False),  # factors set out, and say nothing yet
        ([1.0, 1.01, 1.02], [0.001, 0.002, 0.004], False),  # biases learn noise meanwhile
        ([1.0, 1.0, 1.0], [0.001, 0.001, 0.001], True),  # nothing grows
        ([1.0, 1.0, 1.0], [0.1, 0.2, 0.4], False),
        ([1.0, 1.01, 1.02], [0.2, 0.4, 0.6], True),  # they carry something, and it is of no use
        ([1.0, 1.0, 1.0], [0.8, 0.81, 0.82], True),  # converged
        ([1.0, 1.2, 1.1], [0.5, 0.5, 0.5], False),  # on its way back from a rise
        ([1.0, 1.2, 1.1, 1.15], [0.5, 0.5, 0.5, 0.5], True),
        ([1.0, 1.2, 1.2, 1.1999], [0.5, 0.5, 0.5, 0.5], True),
        ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], True),
    ],
)
def test_a_standstill_is_told_from_the_end(rmses: list[float], carried: list[float], stop: bool) -> None:
    history = [(1.0, *both) for both in zip(rmses, carried, strict=True)]
    assert RULE.judge(history) == Verdict(1, stop)
    assert replace(RULE, waits=False).judge(history) == Verdict(1, stop=True)


def test_where_nothing_is_held_out_there_is_nothing_to_wait_for() -> None:
    assert RULE.judge([(1.0, None, None)] * 5) == Verdict(5, stop=False)


@pytest.mark.parametrize(
    ("epoch", "rmses", "share"),
    [
        (1, [], 1.0),
        (4, [2.0, 2.0, 0.2], 1.0),  # epoch 3 is not known yet
        (5, [2.0, 2.0, 0.2], 0.02),
        (9, [2.0, 1.0, 1.5, 3.0], 0.5),  # the best counts: (1 / 2)^2 is half of the half from which it falls
        (9, [1.5, 1.42], 1.0),
    ],
)
def test_l2_falls_with_the_noise(epoch: int, rmses: list[float], share: float) -> None:
    assert l2_of_epoch(epoch, 0.3, rmses, deviation=2.0) == pytest.approx(0.3 * share)


def test_l2_goes_by_the_model_that_training_starts_from_too() -> None:
    assert l2_of_epoch(1, 0.3, [], deviation=2.0, start=1.0) == pytest.approx(0.15)


@pytest.mark.parametrize(("ratings", "share"), [(10, 0.25), (5_000, 0.25), (20_000, 0.5), (80_000, 1.0), (10**9, 1.0)])
def test_few_ratings_take_longer_steps_from_shorter_rows(ratings: int, share: float) -> None:
    assert initial_length_for(ratings) == pytest.approx(share * INITIAL_LENGTH)
    assert step_for(ratings) == pytest.approx(STEP / share**0.5)
    if share == 1.0:  # not by a rounding: MovieLens keeps its bits
        assert (initial_length_for(ratings), step_for(ratings)) == (INITIAL_LENGTH, STEP)
