"""When training stops. Covers: tasks/stopping.py. Does not cover: the loop that asks it (test_train.py)."""

from __future__ import annotations

import pytest

from tasks.stopping import Verdict, judge


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
