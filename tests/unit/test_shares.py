"""The order of an epoch's blocks, and that shares of any size keep it.

Covers: tasks/grid/visit_order.py.
Does not cover: that training by shares gives the same bits (test_train.py).
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.tasks.grid.visit_order import prime_factors, shares_for, strata_of_epoch, strata_of_shares

GRIDS = st.integers(1, 60)
SEEDS = st.integers(0, 2**32)


@given(GRIDS, SEEDS)
def test_an_epoch_meets_every_block_once_in_strata_that_share_nothing(shards: int, seed: int) -> None:
    strata = strata_of_epoch(seed, 1, shards)
    assert all(sorted(columns) == list(range(shards)) for columns in strata)
    assert len({(a, b) for columns in strata for a, b in enumerate(columns)}) == shards**2 == len(strata) * shards


@given(GRIDS, SEEDS, st.integers(1, 70))
def test_shares_keep_the_order_of_every_shard(shards: int, seed: int, workers: int) -> None:
    """However the epoch is cut to strata, each user shard and each item shard meets its blocks in the same order."""
    shares = shares_for(shards, workers)
    whole = [(a, b) for columns in strata_of_epoch(seed, 1, shards) for a, b in enumerate(columns)]
    strata = strata_of_shares(seed, 1, shards, shares)
    by_shares = [visit for stratum in strata for visits in stratum.visits for visit in visits]
    for side in range(2):
        for shard in range(shards):
            expected = [visit for visit in whole if visit[side] == shard]
            assert [visit for visit in by_shares if visit[side] == shard] == expected


@given(GRIDS, SEEDS, st.integers(1, 70))
def test_in_a_turn_no_two_shares_have_a_shard_in_common(shards: int, seed: int, workers: int) -> None:
    shares = shares_for(shards, workers)
    size = shards // shares
    for stratum in strata_of_shares(seed, 1, shards, shares):
        assert sorted(stratum.partners) == list(range(shares))
        for share, (partner, visits) in enumerate(zip(stratum.partners, stratum.visits, strict=True)):
            assert {(a // size, b // size) for a, b in visits} == {(share, partner)}
            assert len(set(visits)) == size**2


@pytest.mark.parametrize(
    ("shards", "workers", "shares"), [(4, 1, 1), (4, 2, 2), (4, 3, 4), (4, 9, 4), (12, 3, 4), (12, 5, 12), (7, 2, 7)]
)
def test_every_worker_has_a_share(shards: int, workers: int, shares: int) -> None:
    assert shares_for(shards, workers) == shares


@given(st.integers(1, 5000))
def test_prime_factors_multiply_to_the_number(number: int) -> None:
    factors = prime_factors(number)
    assert math.prod(factors) == number
    assert factors == sorted(factors)
    assert all(factor > 1 and all(factor % smaller for smaller in range(2, factor)) for factor in factors)


def test_epochs_and_seeds_differ_and_repeat() -> None:
    orders = [strata_of_epoch(seed, epoch, 8) for seed, epoch in ((0, 1), (0, 2), (1, 1))]
    assert orders[0] not in orders[1:]
    assert orders[1] != orders[2]
    assert strata_of_epoch(0, 1, 8) == orders[0]
