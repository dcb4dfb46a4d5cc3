"""Comparing the kernel with its twin can fail: a flipped sign in either is caught. Blocks with empty tiles agree, too.

Covers: that test_kernels.py's way of comparing tells right from wrong, and whole blocks. Does not cover: random ratings
(test_kernels.py).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tasks import kernels, plain
from tasks.blocks import TILE_ITEMS, TILE_USERS, RatingBlock, tiled
from tasks.descend import Descent, StepSizes, descend
from tasks.factors import FactorShard, initial_shard
from tasks.kernels import BIAS, BIAS_SQUARES, FACTOR_SQUARES, STATE_WIDTH, descend_ratings
from tasks.plain import Matrix, descend_plainly

Descend = Callable[..., float]

KERNEL_SIGNS = [
    ("ratings[n] - user_states", "ratings[n] + user_states"),
    ("item_states[b, BIAS] - product", "item_states[b, BIAS] + product"),
    ("g = error * y - l2 * x", "g = error * y + l2 * x"),
    ("h = error * x - l2 * y", "h = error * x + l2 * y"),
    ("u[f] = x + user_rate * g", "u[f] = x - user_rate * g"),
    ("v[f] = y + item_rate * h", "v[f] = y - item_rate * h"),
    ("g = error - l2 * user_states", "g = error + l2 * user_states"),
    ("h = error - l2 * item_states", "h = error + l2 * item_states"),
    ("+= item_squares * share", "-= np.float32(0.01) * item_squares * share"),
]
TWIN_SIGNS = [
    ("rating - (user_bias", "rating + (user_bias"),
    ("item_bias + u @ v", "item_bias - u @ v"),
    ("error * v - l2 * u", "error * v + l2 * u"),
    ("error * u - l2 * v", "error * u + l2 * v"),
    ("error - l2 * user_bias", "error + l2 * user_bias"),
    ("+= step * gradient", "-= step * gradient"),
    ("+= bias_step * bias_gradient", "-= bias_step * bias_gradient"),
    ("+= np.mean(gradient**2)", "-= 0.01 * np.mean(gradient**2)"),
]


def flipped(function: Any, module: Any, sign: tuple[str, str]) -> Descend:
    """The function's own source with one sign turned round, as plain Python."""
    source = inspect.getsource(getattr(function, "py_func", function))
    assert source.count(sign[0]) == 1, sign[0]
    names = dict(vars(module))
    exec(source[source.index("def ") :].replace(*sign), names)
    changed: Descend = names[getattr(function, "__name__", "descend_ratings")]
    return changed


def sides(rank: int = 5) -> tuple[FactorShard, FactorShard]:
    rng = np.random.default_rng(4)
    shards = []
    for rows in (4, 3):
        states = np.zeros((rows, STATE_WIDTH), dtype=np.float32)
        states[:, BIAS] = rng.normal(size=rows)
        states[:, FACTOR_SQUARES], states[:, BIAS_SQUARES] = 1.0 + rng.random((2, rows))
        shards.append(FactorShard(rng.normal(size=(rows, rank)).astype(np.float32), states))
    return shards[0], shards[1]


def as_plain(shard: FactorShard) -> dict[str, Matrix]:
    states = shard.states.astype(np.float64)
    columns = {"bias": BIAS, "factor_squares": FACTOR_SQUARES, "bias_squares": BIAS_SQUARES}
    return {"factors": shard.factors.astype(np.float64), **{name: states[:, at].copy() for name, at in columns.items()}}


def agree(kernel: Descend, twin: Descend) -> bool:
    """Whether the two end at the same factors and states after twenty ratings."""
    rng = np.random.default_rng(5)
    user_rows, item_rows = (rng.integers(0, rows, 20).astype(np.int32) for rows in (4, 3))
    ratings = rng.normal(size=20).astype(np.float32)
    users, items = sides()
    plain_users, plain_items = as_plain(users), as_plain(items)
    numbers = [np.float32(each) for each in (0.1, 0.05, 0.04)]
    arrays = (users.factors, users.states, items.factors, items.states)
    kernel(user_rows, item_rows, ratings, *arrays, *numbers)
    twin(user_rows, item_rows, ratings, plain_users, plain_items, *(float(each) for each in numbers))
    pairs = [(users, plain_users), (items, plain_items)]
    return all(
        np.allclose(as_plain(fast)[name], slow[name], rtol=1e-3, atol=1e-5) for fast, slow in pairs for name in slow
    )


def test_kernel_and_twin_agree() -> None:
    assert agree(descend_ratings, descend_plainly)


@pytest.mark.parametrize("sign", KERNEL_SIGNS, ids=lambda sign: str(sign[0]))
def test_a_flipped_sign_in_the_kernel_is_caught(sign: tuple[str, str]) -> None:
    assert not agree(flipped(descend_ratings, kernels, sign), descend_plainly)


@pytest.mark.parametrize("sign", TWIN_SIGNS, ids=lambda sign: str(sign[0]))
def test_a_flipped_sign_in_the_twin_is_caught(sign: tuple[str, str]) -> None:
    assert not agree(descend_ratings, flipped(descend_plainly, plain, sign))


@pytest.mark.parametrize("rank", [3, 8, 13])
def test_a_block_with_empty_tiles_equals_the_twin_in_its_order(rank: int) -> None:
    """Three ranges of users by three of items, of which the middle ones have no rating; a user has several."""
    rng = np.random.default_rng(rank)
    user_rows = np.concatenate([rng.integers(0, 40, 150), 2 * TILE_USERS + rng.integers(0, 40, 150)]).astype(np.int32)
    item_rows = np.concatenate([rng.integers(0, 9, 150), 2 * TILE_ITEMS + rng.integers(0, 9, 150)]).astype(np.int32)
    shape = (2 * TILE_USERS + 40, 2 * TILE_ITEMS + 9)
    cells = np.unique(np.stack([user_rows, item_rows], axis=1), axis=0)
    order = tiled(cells[:, 0], cells[:, 1])
    ratings = rng.integers(1, 6, len(cells)).astype(np.float32)
    users_in_order, items_in_order = cells[order, 0].copy(), cells[order, 1].copy()
    users, items = (
        initial_shard(np.ones(rows, dtype=np.bool_), rank, 1, side, 0, 1)
        for rows, side in zip(shape, ("user", "item"), strict=True)
    )
    steps = StepSizes(mean=3.1, deviation=1.3, l2=0.03, step=0.05, bias_step=0.05)
    block = RatingBlock(users_in_order, items_in_order, ratings, shape)
    after = descend(block, Descent(users, None, 0.0), items, steps, first=True)
    plain_users, plain_items = as_plain(users), as_plain(items)
    scaled = ((ratings - 3.1) / 1.3).astype(np.float32)
    error = descend_plainly(users_in_order, items_in_order, scaled, plain_users, plain_items, 0.03, 0.05, 0.05)
    assert math.isclose(after.squared_error, error, rel_tol=1e-4)
    assert after.items is not None
    for fast, slow in ((after.users, plain_users), (after.items, plain_items)):
        for name, values in as_plain(fast).items():
            np.testing.assert_allclose(values, slow[name], rtol=1e-3, atol=2e-5)
