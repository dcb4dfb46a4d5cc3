"""Sizes beyond which numbers of 32 or 64 bits no longer tell everything apart.

Covers: blocks of very large shards, and more ids than dense ids can count.
Does not cover: blocks of ordinary shards (test_grid.py), memory and time of large runs (test_scale_plan.py).
"""

from __future__ import annotations

import numpy as np
import pytest

from funkflow.tasks.errors import BadInput
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.kernels.tiles import key_bits, order_keys
from funkflow.tasks.parsing.ids import MOST_IDS, refuse_too_many_ids


@pytest.mark.parametrize("shape", [(100_000_000, 10_000_000), (300_000_000, 50), (40_000, 90_000_000)])
def test_a_block_of_a_very_large_shard_keeps_its_ratings(shape: tuple[int, int]) -> None:
    """With a billion users on ten shards a key has 51 bits, which leaves none for 16 bits of code beside it."""
    rng = np.random.default_rng(0)
    users, items = (np.append(rng.integers(0, size, 500), size - 1) for size in shape)
    pairs, first = np.unique(np.stack([users, items]), axis=1, return_index=True)
    ratings = rng.integers(1, 6, len(users)).astype(np.float32)[first]
    block = RatingBlock.of(pairs[0], pairs[1], ratings, shape)
    found = np.stack([block.user_rows, block.item_rows])
    order = np.lexsort(found[::-1])
    assert (found[:, order] == pairs).all()
    assert (block.ratings[order] == ratings).all()


def test_no_key_has_more_bits_than_are_said() -> None:
    for shape in ((1, 1), (8_192, 1_024), (100_000, 3_000), (3_000_000, 900_000), (100_000_000, 10_000_000)):
        rng = np.random.default_rng(0)
        users, items = (np.append(rng.integers(0, size, 20_000), size - 1) for size in shape)
        assert int(order_keys(users, items, shape).max()).bit_length() <= key_bits(shape)


def test_more_ids_than_dense_ids_can_count_are_refused() -> None:
    refuse_too_many_ids(MOST_IDS, "user")
    with pytest.raises(BadInput, match=r"2,147,483,648 different user ids: at most 2,147,483,647 fit"):
        refuse_too_many_ids(MOST_IDS + 1, "user")
