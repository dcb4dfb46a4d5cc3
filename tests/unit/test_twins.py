"""Comparing the kernel with its twin can fail: a flipped sign in either is caught. Blocks with empty tiles agree, too.

Covers: that test_kernels.py's way of comparing tells right from wrong; blocks of many tiles; threads within a block.
Does not cover: random ratings (test_kernels.py).
"""

from __future__ import annotations

import inspect
import sys
import threading
from types import ModuleType
from typing import Any

import descending
import numpy as np
import pytest
from descending import STEPS, as_plain, plain_tiles, random_block, random_shard, twin_of
from sessions import only_long

from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.kernels import reference
from funkflow.tasks.kernels import sgd as sgd_kernel
from funkflow.tasks.kernels import vector as kernels_vector
from funkflow.tasks.kernels.tiles import TILE_ITEMS, TILE_USERS
from funkflow.tasks.kernels.wavefront import visit_tiles
from funkflow.tasks.training import sgd
from funkflow.tasks.training.sgd import Descent, descend_in_place
from funkflow.tasks.training.sgd import descend as descend_purely

KERNEL_SIGNS = [
    (kernels_vector, "- Vector(builder, arguments[7])", "+ Vector(builder, arguments[7])"),
    (kernels_vector, "arguments[6]) - user[BIAS]", "arguments[6]) + user[BIAS]"),
    (kernels_vector, "- item[BIAS] -", "+ item[BIAS] -"),
    (kernels_vector, "* own + pull", "* own - pull"),
    (kernels_vector, "own[BIAS] + own[BIAS_RATE]", "own[BIAS] - own[BIAS_RATE]"),
    (kernels_vector, "own[FACTOR_SQUARES] + squared", "own[FACTOR_SQUARES] - squared"),
    (kernels_vector, "own[BIAS_SQUARES] + squared", "own[BIAS_SQUARES] - squared"),
    (sgd_kernel, "_ONE - rate * l2", "_ONE + rate * l2"),
    (sgd_kernel, "_ONE - bias_rate * l2", "_ONE + bias_rate * l2"),
]
TWIN_SIGNS = [
    ('rating - (users["bias"]', 'rating + (users["bias"]'),
    ('items["bias"][b] + u @ v', 'items["bias"][b] - u @ v'),
    ("user_rates[a] * (error * v - l2 * u)", "user_rates[a] * (error * v + l2 * u)"),
    ("item_rates[b] * (error * u - l2 * v)", "item_rates[b] * (error * u + l2 * v)"),
    ('error - l2 * users["bias"]', 'error + l2 * users["bias"]'),
    ('error - l2 * items["bias"]', 'error + l2 * items["bias"]'),
    ("+= user_rates[a]", "-= user_rates[a]"),
    ("+= item_rates[b]", "-= item_rates[b]"),
    ("+= user_bias_rates[a]", "-= user_bias_rates[a]"),
    ("+= item_bias_rates[b]", "-= item_bias_rates[b]"),
    ("+= error**2 * item_squares[b]", "-= 0.01 * error**2 * item_squares[b]"),
    ("+= error**2 * user_squares[a]", "-= 0.01 * error**2 * user_squares[a]"),
    ('users["bias_squares"][a] += error', 'users["bias_squares"][a] -= 0.01 * error'),
    ('items["bias_squares"][b] += error', 'items["bias_squares"][b] -= 0.01 * error'),
]


def changed(module: ModuleType, old: str = "", new: str = "", **replaced: ModuleType) -> ModuleType:
    """The module's own source with one thing changed, as a module of another name; it takes `replaced` for others."""
    source = inspect.getsource(module).replace(
        "from funkflow.tasks.kernels.cache import built_once, compiled",
        "from funkflow.tasks.kernels.cache import built_once\ncompiled = numba.njit",
    )
    assert not old or source.count(old) == 1, old
    source = source.replace(old, new) if old else source
    for name, other in replaced.items():
        source = source.replace(f"from funkflow.tasks.kernels.{name} import", f"from {other.__name__} import")
    made = ModuleType(f"changed_{module.__name__.rpartition('.')[2]}")
    sys.modules[made.__name__] = made
    exec(compile(source, made.__name__, "exec"), vars(made))
    return made


def block_of_four_tiles() -> RatingBlock:
    rng = np.random.default_rng(5)
    users, items = np.array([0, 1, 33, TILE_USERS + 2]), np.array([0, 1, TILE_ITEMS + 1])
    return random_block(rng, users, items, 40, (TILE_USERS + 3, TILE_ITEMS + 2))


def agree() -> bool:
    """Whether kernel and twin end at the same factors and states after going through four tiles."""
    block, rng = block_of_four_tiles(), np.random.default_rng(4)
    users, items = (random_shard(rng, rows, 5) for rows in block.shape)
    plain_users, plain_items, _ = twin_of(block, users, items)
    descend_in_place(block, users, items, STEPS)
    pairs = [(users, plain_users), (items, plain_items)]
    return all(
        np.allclose(as_plain(fast)[name], slow[name], rtol=1e-4, atol=1e-6) for fast, slow in pairs for name in slow
    )


def test_kernel_and_twin_agree() -> None:
    assert len(block_of_four_tiles().tiles) == 4
    assert agree()


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [KERNEL_SIGNS[0], *(only_long(*signs) for signs in KERNEL_SIGNS[1:])],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_flipped_sign_in_the_kernel_is_caught(
    module: ModuleType, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vector = changed(kernels_vector, *((old, new) if module is kernels_vector else ()))
    loop = changed(sgd_kernel, *((old, new) if module is sgd_kernel else ()), vector=vector)
    monkeypatch.setattr(sgd, "descend_tiles", loop.descend_tiles)
    assert not agree()


@pytest.mark.parametrize("sign", TWIN_SIGNS, ids=lambda sign: str(sign[0]))
def test_a_flipped_sign_in_the_twin_is_caught(sign: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descending, "descend_plainly", changed(reference, *sign).descend_plainly)
    assert not agree()


def test_rates_are_looked_at_when_tiles_and_runs_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """All ratings as one tile and one run, whose rates are looked at once, give something else."""

    def joined(block: RatingBlock, steps: Any) -> Any:
        return [[[rating for tile in plain_tiles(block, steps) for run in tile for rating in run]]]

    monkeypatch.setattr(descending, "plain_tiles", joined)
    assert not agree()


@pytest.mark.parametrize("rank", [3, 8, 13, 16, 40])
def test_a_block_with_empty_tiles_equals_the_twin_in_its_order(rank: int) -> None:
    """Three ranges of users by three of items, of which the middle ones have no rating; a run with more than 32."""
    rng = np.random.default_rng(rank)
    block = random_block(
        rng, np.concatenate([np.arange(40), 2 * TILE_USERS + np.arange(40)]),
        np.concatenate([np.arange(9), 2 * TILE_ITEMS + np.arange(9)]), 400, (2 * TILE_USERS + 40, 2 * TILE_ITEMS + 9),
    )  # fmt: skip
    assert len(block.tiles) == 4
    assert np.diff(block.run_starts).max() > 32
    users, items = (random_shard(rng, rows, rank) for rows in block.shape)
    after = descend_purely([(block,)], [(0, 0)], Descent.starting([users]), [items], STEPS)
    plain_users, plain_items, error = twin_of(block, users, items)
    assert after.squared_errors[0] == pytest.approx(error, rel=1e-4)
    assert after.items is not None
    for fast, slow in ((after.users[0], plain_users), (after.items[0], plain_items)):
        for name, values in as_plain(fast).items():
            np.testing.assert_allclose(values, slow[name], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_within_a_block_change_no_bit(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads are seen to work on it; each time all tiles are gone through, and everything is the same."""
    rng = np.random.default_rng(1)
    shape = (6 * TILE_USERS, 5 * TILE_ITEMS)
    block = random_block(rng, np.arange(shape[0]), np.arange(shape[1]), 60_000, shape)
    assert len(block.tiles) == 30
    users, items = (random_shard(rng, rows, 16) for rows in shape)
    alone = descend_purely([(block,)], [(0, 0)], Descent.starting([users]), [items], STEPS)
    seen, another = set(), threading.Event()

    def watched(places: Any, visit: Any, count: int) -> None:
        def noted(tile: int) -> None:
            seen.add(threading.get_ident())
            if len(seen) > 1:
                another.set()
            if tile > 0:  # with the first tile done two are ready: whoever takes one waits until another thread comes
                another.wait(60)
            visit(tile)

        visit_tiles(places, noted, count)

    monkeypatch.setattr(sgd, "visit_tiles", watched)
    together = descend_purely([(block,)], [(0, 0)], Descent.starting([users]), [items], STEPS, threads=threads)
    assert len(seen) > 1
    assert together.squared_errors == alone.squared_errors
    assert alone.items is not None
    assert together.items is not None
    for one, other in ((alone.users[0], together.users[0]), (alone.items[0], together.items[0])):
        assert one.factors.tobytes() == other.factors.tobytes()
        assert one.states.tobytes() == other.states.tobytes()


def test_tiles_that_share_a_row_or_a_column_keep_their_order() -> None:
    places = [(row, (row + step) % 4) for step in range(4) for row in range(4)]
    visited: list[int] = []
    visit_tiles(places, visited.append, 4)
    assert sorted(visited) == list(range(16))
    for line in range(2):
        for number in range(4):
            among = [tile for tile in visited if places[tile][line] == number]
            assert among == sorted(among)


def test_what_fails_in_a_tile_is_raised_and_its_followers_are_left() -> None:
    visited: list[int] = []

    def visit(tile: int) -> None:
        visited.append(tile)
        if tile == 1:
            raise ValueError("tile 1")

    with pytest.raises(ValueError, match="tile 1"):
        visit_tiles([(0, 0), (1, 1), (1, 0), (0, 2)], visit, 2)
    assert 2 not in visited
    assert 3 in visited


def test_after_a_far_outlier_both_rows_take_small_steps() -> None:
    """One rating of ten thousand standard deviations, first of its tile: factors stay as small as the twin's."""
    rng = np.random.default_rng(6)
    ratings = rng.normal(3.0, 1.0, 64 * 20).astype(np.float32)
    ratings[0] = 10_000.0
    block = RatingBlock.of(*np.divmod(np.arange(64 * 20), 20), ratings, (64, 20))
    users, items = (random_shard(rng, rows, 5) for rows in block.shape)
    plain_users, plain_items, _ = twin_of(block, users, items)
    descend_in_place(block, users, items, STEPS)
    for shard, twin in ((users, plain_users), (items, plain_items)):
        assert np.abs(shard.factors).max() == pytest.approx(np.abs(twin["factors"]).max(), rel=0.01)
    error = descend_in_place(block, users, items, STEPS)
    assert np.isfinite(error)
