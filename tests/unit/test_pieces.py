"""Pieces of parts and blocks made of them: the compiled loops give the bits of NumPy.

Covers: tasks/grid/pieces.py, the two ways to put pieces in order in tasks/grid/scatter.py, and which way is taken.
Does not cover: the order of a block (test_grid.py), or datasets and grids on a cluster (test_growing_blocks.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.tasks.grid import pieces, scatter
from funkflow.tasks.grid.block import RatingBlock, coded
from funkflow.tasks.grid.factor_shard import shard_rows
from funkflow.tasks.grid.pieces import CutPart, Piece, cut_compiled, cut_part, cut_plainly, read_pieces, write_pieces
from funkflow.tasks.grid.scatter import BuiltBlock, build_block, order_compiled, order_plainly, scatter_part
from funkflow.tasks.kernels.blocks.cut import MOST_CODED, code_ratings
from funkflow.tasks.storage import files

FEW_LEVELS, SOME_LEVELS = [1.0, 1.5, 4.0, -0.25], (np.arange(700) / 8).tolist()
SHAPES = [(5, 7), (60, 1), (9_000, 40), (40, 2_500), (20_000, 3_000), (30, 140_000)]
Part = tuple[np.ndarray, np.ndarray, np.ndarray]


def parts_of(seed: int, shape: tuple[int, int], ratings: int, levels: list[float], count: int) -> list[Part]:
    """Return so many parts of random ratings, each with the ratings of some users by user and item."""
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, shape[0] * shape[1], ratings))
    users, items = (each.astype(np.int32) for each in np.divmod(pairs, shape[1]))
    values, home = rng.choice(np.array(levels, np.float32), len(pairs)), rng.integers(0, count, shape[0])[users]
    return [(users[home == part], items[home == part], values[home == part]) for part in range(count)]


def columns(thing: Piece | RatingBlock) -> dict[str, tuple[Any, ...]]:
    arrays = {name: value for name, value in vars(thing).items() if isinstance(value, np.ndarray)}
    return {name: (value.dtype, value.shape, value.tolist()) for name, value in arrays.items()}


def both_cuts(part: Part, left_out: np.ndarray, shards: int) -> CutPart:
    """Return the pieces of a part, which both ways cut alike."""
    users, items, ratings = part
    (plain, hashes), (fast, fast_hashes) = (
        cut(users, items, *coded(ratings), left_out, shards) for cut in (cut_plainly, cut_compiled)
    )
    assert columns(plain.whole) == columns(fast.whole)
    assert (plain.edges.tolist(), plain.user_edges.tolist()) == (fast.edges.tolist(), fast.user_edges.tolist())
    assert hashes == fast_hashes
    return plain


@settings(deadline=None, max_examples=examples(40))
@given(
    st.integers(0, 99), st.sampled_from(SHAPES), st.integers(0, 3_000), st.sampled_from([FEW_LEVELS, SOME_LEVELS]),
    st.integers(1, 5), st.sampled_from([0.0, 0.3, 1.0]),
)  # fmt: skip
def test_compiled_loops_and_numpy_agree(
    seed: int, shape: tuple[int, int], ratings: int, levels: list[float], shards: int, left_out: float
) -> None:
    parts = parts_of(seed, shape, ratings, levels, 3)
    flags = [np.random.default_rng(seed).random(len(users)) < left_out for users, _, _ in parts]
    cuts = [both_cuts(part, out, shards) for part, out in zip(parts, flags, strict=True)]
    for block in range(shards * shards):
        own = [piece for cut in cuts for number, piece in zip(cut.blocks, cut.pieces(), strict=True) if number == block]
        sizes = shard_rows(shape[0], shards, block // shards), shard_rows(shape[1], shards, block % shards)
        expected, counts = order_plainly(own, sizes, sizes)
        kept = [
            (u[here] // shards, i[here] // shards, r[here])
            for (u, i, r), out in zip(parts, flags, strict=True)
            for here in [~out & (u % shards * shards + i % shards == block)]
        ]
        rows, items, values = (np.concatenate(column) for column in zip(*kept, strict=True))
        direct = RatingBlock.of(rows, items, values, sizes)
        assert columns(expected) == columns(direct)
        assert counts.tolist() == [int((direct.ratings == level).sum()) for level in direct.levels]
        if own:
            fast, fast_counts = order_compiled(own, sizes, sizes)
            assert columns(fast) == columns(expected)
            assert fast_counts.tolist() == counts.tolist()


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False).map(lambda each: each + 0.0), max_size=60))
def test_codes_of_ratings(values: list[float]) -> None:
    ratings = np.array(values, np.float32)
    codes, levels = np.empty(len(ratings), np.uint8), np.empty(MOST_CODED, np.float32)
    count = code_ratings()(ratings, codes, levels)
    expected = coded(ratings)
    assert (codes.tolist(), levels[:count].tolist()) == (expected[0].tolist(), expected[1].tolist())


def test_more_levels_than_codes_of_a_byte() -> None:
    ratings = np.arange(300, dtype=np.float32)
    assert code_ratings()(ratings[:256], np.empty(256, np.uint8), np.empty(MOST_CODED, np.float32)) == 256
    assert code_ratings()(ratings, np.empty(300, np.uint8), np.empty(MOST_CODED, np.float32)) == -1


@pytest.mark.parametrize("levels", [FEW_LEVELS, SOME_LEVELS, np.arange(70_000).tolist()], ids=["u1", "u2", "f4"])
def test_pieces_in_their_file(tmp_path: Path, levels: list[float]) -> None:
    ((users, items, ratings),) = parts_of(3, (2_000, 90), 90_000, levels, 1)
    half = len(users) // 2
    cuts = [
        cut_part(users[part], items[part], ratings[part], users[part] % 4 == 1, 4, False)[0]
        for part in (slice(half), slice(half, None))
    ]
    write_pieces(url := str(tmp_path / "part.arrow"), cuts)
    assert all(cut.blocks == [*range(4), *range(8, 16)] for cut in cuts), "no group for a block without ratings"
    assert sum(sum(cut.sizes) for cut in cuts) == int((users % 4 != 1).sum())
    pieces_of_both = [piece for cut in cuts for piece in cut.pieces()]
    assert [columns(each) for each in read_pieces(url, range(24))] == [columns(each) for each in pieces_of_both]
    assert [columns(each) for each in read_pieces(url, [3, 15])] == [columns(pieces_of_both[each]) for each in (3, 15)]


def test_a_pair_with_two_ratings_is_refused() -> None:
    ones = np.ones(2, np.int32)
    piece = Piece(ones[:1], 2 * ones[:1], ones.astype(np.uint16), np.zeros(2, np.uint8), np.ones(1, np.float32))
    with pytest.raises(ValueError, match="two ratings of a block have the same user and item"):
        order_compiled([piece], (2, 2), (2, 2))


def test_long_parts_and_large_blocks_take_the_compiled_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users, items, ratings = parts_of(5, (300, 200), 4_000, FEW_LEVELS, 1)[0]
    url, checksum = (
        (part := str(tmp_path / "part.parquet")),
        files.write_table(part, pa.table({"user": users, "item": items, "rating": ratings}), row_group_rows=900),
    )
    taken: list[str] = []

    def noted(name: str, own: Callable[..., Any], *given: Any) -> Any:
        taken.append(name)
        return own(*given)

    for module, name in ((pieces, "cut_compiled"), (scatter, "order_compiled")):
        monkeypatch.setattr(module, name, partial(noted, name, getattr(module, name)))

    def go_through() -> tuple[BuiltBlock, int]:
        taken.clear()
        groups = scatter_part(url, checksum, [], 1, scratch := str(tmp_path / "part.arrow"))
        assert len(groups) == 5, "one for each stretch"
        built = build_block([(scratch, range(5))], (300, 200), (300, 200), str(tmp_path))
        return built, len(taken)

    plain, count = go_through()
    assert count == 0, "few ratings"
    monkeypatch.setattr(scatter, "FEW_ROWS", 3_000)
    monkeypatch.setattr(scatter, "FEW_RATINGS", 3_000)
    assert go_through() == (plain, 6)
    monkeypatch.setattr(scatter, "_LEAST_A_RUN", 40)
    assert go_through() == (plain, 5), "few ratings for the runs"
