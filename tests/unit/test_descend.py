"""A share of the grid in one task: several blocks at once, with the bits of one after the other.

Covers: tasks/training/sgd.py over more than one block: threads, shares of any size, what is refused.
Does not cover: one block (test_twins.py, test_kernels.py), the order of blocks (test_shares.py).
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from descending import STEPS, random_shard

from funkflow.tasks.errors import ShardMismatch
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import FactorShard, shard_rows
from funkflow.tasks.grid.visit_order import strata_of_shares
from funkflow.tasks.training import sgd as descending_room
from funkflow.tasks.training.sgd import Descent, descend, descend_in_place

SHARDS, USERS, ITEMS = 4, 83, 31
Shards = list[FactorShard]


@pytest.fixture(scope="module")
def rows() -> list[tuple[RatingBlock, ...]]:
    rng = np.random.default_rng(5)
    return [tuple(_block(rng, a, b) for b in range(SHARDS)) for a in range(SHARDS)]


def _block(rng: np.random.Generator, a: int, b: int) -> RatingBlock:
    shape = (shard_rows(USERS, SHARDS, a), shard_rows(ITEMS, SHARDS, b))
    cells = rng.choice(shape[0] * shape[1], 60, replace=False)
    return RatingBlock.of(*np.divmod(cells, shape[1]), rng.integers(1, 6, 60).astype(np.float32), shape)


def first_shards() -> tuple[Shards, Shards]:
    rng = np.random.default_rng(6)
    users, items = ([random_shard(rng, shard_rows(ids, SHARDS, a), 5) for a in range(SHARDS)] for ids in (USERS, ITEMS))
    return users, items


def epoch_by_shares(rows: list[tuple[RatingBlock, ...]], shares: int, threads: int) -> tuple[bytes, list[float]]:
    """Go through an epoch share by share, as the workers would; return all bits and the squared errors."""
    users, items = first_shards()
    size = SHARDS // shares
    cuts = [slice(start, start + size) for start in range(0, SHARDS, size)]
    states = [Descent.starting(users[mine]) for mine in cuts]
    for stratum in strata_of_shares(1, 1, SHARDS, shares):
        for share, (partner, visits) in enumerate(zip(stratum.partners, stratum.visits, strict=True)):
            met = cuts[partner]
            within = [(a - share * size, b - met.start) for a, b in visits]
            mine = [row[met] for row in rows[cuts[share]]]
            states[share] = descend(mine, within, states[share], items[met], STEPS, threads=threads)
            items[met] = states[share].items or ()
    every = [*(shard for state in states for shard in state.users), *items]
    bits = b"".join(shard.factors.tobytes() + shard.states.tobytes() for shard in every)
    return bits, [error for state in states for error in state.squared_errors]


@pytest.mark.parametrize("shares", [1, 2, 4])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_shares_and_threads_change_no_bit(rows: list[tuple[RatingBlock, ...]], shares: int, threads: int) -> None:
    users, items = first_shards()
    errors = [0.0] * SHARDS
    for stratum in strata_of_shares(1, 1, SHARDS, SHARDS):
        for ((a, b),) in stratum.visits:
            errors[a] += descend_in_place(rows[a][b], users[a], items[b], STEPS)
    expected = b"".join(shard.factors.tobytes() + shard.states.tobytes() for shard in (*users, *items))
    assert epoch_by_shares(rows, shares, threads) == (expected, errors)


def test_blocks_that_share_nothing_are_gone_through_at_the_same_time(
    rows: list[tuple[RatingBlock, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two threads waits in its block until the other is in another block."""
    both = threading.Barrier(2, timeout=60)

    def together(*about: Any) -> float:
        both.wait()
        return descend_in_place(*about)

    monkeypatch.setattr(descending_room, "descend_in_place", together)
    users, items = first_shards()
    visits = [(0, 0), (1, 1), (0, 1), (1, 0)]
    after = descend(rows[:2], visits, Descent.starting(users[:2]), items[:2], STEPS, threads=2)
    assert all(error > 0.0 for error in after.squared_errors)


def test_shards_of_another_size_are_refused(rows: list[tuple[RatingBlock, ...]]) -> None:
    users, items = first_shards()
    wrong = random_shard(np.random.default_rng(0), len(items[0].factors) + 1, 5)
    with pytest.raises(ShardMismatch, match=r"a block of \(21, 8\) rows met shards of 21 and 9 rows"):
        descend([rows[0]], [(0, 0)], Descent.starting(users[:1]), [wrong], STEPS)


def test_no_input_is_changed(rows: list[tuple[RatingBlock, ...]]) -> None:
    users, items = first_shards()
    before = [shard.copy() for shard in (users[0], items[0])]
    started = Descent((users[0],), None, (5.0,))
    after = descend([rows[0]], [(0, 0)], started, items[:1], STEPS)
    for now, then in zip((users[0], items[0]), before, strict=True):
        np.testing.assert_array_equal(now.factors, then.factors)
        np.testing.assert_array_equal(now.states, then.states)
    assert not np.array_equal(after.users[0].factors, users[0].factors)
    assert after.squared_errors[0] > 5.0
