"""Pieces: the ratings that one part of a dataset has in one block, on their way from dataset files to blocks.

Covers: cutting a part into pieces, by NumPy or by compiled loops, their fingerprints, and their scratch file.
Does not cover: the tasks (scatter.py), the loops (tasks/kernels/blocks/cut.py), or blocks (block.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.grid.block import coded
from funkflow.tasks.kernels.blocks.cut import (
    MOST_CODED,
    PIECE_CODES,
    code_ratings,
    count_by_block,
    cut_by_block,
    fingerprint,
)
from funkflow.tasks.mix import mix
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import as_binary, from_binary
from funkflow.tasks.storage.arrow_groups import read_groups

_SLICE = 1 << 16
_USER, _ITEM, _RATING = (np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_NUMBER = "stretch"
_COLUMNS = ("user_rows", "ends", "item_rows", "codes")

Rows = npt.NDArray[np.int32]
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Piece:
    """Ratings by user and item, each user once.

    Attributes
    ----------
    user_rows, ends : int32 (users,), rows of the user shard, ascending, and where the ratings of each end.
    item_rows : uint16 (n,), rows of the item shard; int32 if it has more.
    codes, levels : as a RatingBlock's, but the levels are those of the stretch.
    """

    user_rows: Rows
    ends: Rows
    item_rows: npt.NDArray[Any]
    codes: npt.NDArray[Any]
    levels: npt.NDArray[np.float32]

    @property
    def places(self) -> tuple[npt.NDArray[Any], ...]:
        """Users, ends, item rows and codes, as kernels take them."""
        return self.user_rows, self.ends, self.item_rows, self.codes

    @property
    def is_coded(self) -> bool:
        """Whether the codes are not the ratings themselves."""
        return self.codes.dtype.kind == "u"

    @property
    def widths(self) -> tuple[str, str]:
        """The kernels for this piece: NumPy types of codes and of item rows."""
        return self.codes.dtype.str[1:], self.item_rows.dtype.str[1:]

    @property
    def rows_of_ratings(self) -> Rows:
        """The user row of each rating, int32 (n,)."""
        return np.repeat(self.user_rows, np.diff(self.ends, prepend=0))

    @property
    def ratings(self) -> npt.NDArray[np.float32]:
        """float32 (n,)."""
        return self.levels[self.codes] if self.is_coded else self.codes


@dataclass(frozen=True)
class CutPart:
    """The pieces of a stretch of a part in the order of the blocks, one array after another.

    `edges`, `user_edges` : int64 (P * P + 1,), where each piece begins among ratings and among users.
    """

    whole: Piece
    edges: npt.NDArray[np.int64]
    user_edges: npt.NDArray[np.int64]

    @property
    def sizes(self) -> list[int]:
        """The numbers of ratings of these blocks."""
        sizes: list[int] = np.diff(self.edges)[self.blocks].tolist()
        return sizes

    @property
    def blocks(self) -> list[int]:
        """The numbers a * P + b of the blocks with ratings."""
        return np.flatnonzero(np.diff(self.edges)).tolist()

    def pieces(self) -> Iterator[Piece]:
        """Yield the piece of each block with ratings."""
        whole = self.whole
        for block in self.blocks:
            users = slice(*self.user_edges[block : block + 2].tolist())
            ratings = slice(*self.edges[block : block + 2].tolist())
            yield Piece(
                whole.user_rows[users], whole.ends[users], whole.item_rows[ratings], whole.codes[ratings], whole.levels
            )

    def batch(self, number: int) -> pa.RecordBatch:
        """Return the pieces of `blocks`, a row each, as bytes; `number` : what they say whose they are."""
        users, ratings = ([*edges[self.blocks].tolist(), int(edges[-1])] for edges in (self.user_edges, self.edges))
        starts = dict(zip(_COLUMNS, (users, users, ratings, ratings), strict=True))
        columns = {name: as_binary(getattr(self.whole, name), np.array(starts[name])) for name in _COLUMNS}
        return pa.record_batch({_NUMBER: pa.array([number] * len(self.blocks), pa.int32()), **columns})


def write_pieces(url: str, cuts: Sequence[CutPart]) -> None:
    """Write the pieces of a part's stretches, a group each, stretch by stretch in the order of `blocks`."""
    about: dict[str, str | bytes] = {}
    for number, cut in enumerate(cuts):
        about |= {f"{name} {number}": getattr(cut.whole, name).dtype.str for name in _COLUMNS}
        about[f"levels {number}"] = cut.whole.levels.tobytes()
    batches = [cut.batch(number) for number, cut in enumerate(cuts)]
    schema = pa.schema([(_NUMBER, pa.int32()), *((name, pa.large_binary()) for name in _COLUMNS)], about)
    with files.opened_for_writing(url) as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            for row in range(len(batch)):
                writer.write_batch(batch.slice(row, 1))


def read_pieces(url: str, groups: Sequence[int]) -> list[Piece]:
    """Read some pieces of a part by the numbers of their groups."""
    table, pieces = read_groups(url, groups), []
    about = {key.decode(): value for key, value in table.schema.metadata.items()}
    for place, number in enumerate(table[_NUMBER].to_pylist()):
        users, ends, items, codes = (
            from_binary(table[name].slice(place, 1), about[f"{name} {number}"].decode())[0] for name in _COLUMNS
        )
        pieces.append(Piece(users, ends, items, codes, np.frombuffer(about[f"levels {number}"], np.float32)))
    return pieces


def cut_part(
    users: Rows, items: Rows, ratings: npt.NDArray[np.float32], is_left_out: _Flags, shards: int, is_long: bool
) -> tuple[CutPart, list[int]]:
    """Cut a stretch of a part into pieces, one for each of P x P blocks; return them and their fingerprints.

    A fingerprint is the sum, modulo 2⁶⁴, of a hash of every rating's rows and bits.

    Parameters
    ----------
    users, items, ratings : (n,), dense ids and ratings, by user and item; is_left_out : bool (n,), of each rating.
    is_long : compiled loops do it, if there are at most 65,536 different ratings.
    """
    if not is_long:
        return cut_plainly(users, items, *coded(ratings), is_left_out, shards)
    codes, levels = np.empty(len(ratings), np.uint8), np.empty(MOST_CODED, np.float32)
    count = code_ratings()(ratings, codes, levels)
    codes, levels = (codes, levels[:count]) if count >= 0 else coded(ratings)
    cut = cut_compiled if codes.dtype.str[1:] in PIECE_CODES else cut_plainly
    return cut(users, items, codes, levels, is_left_out, shards)


def cut_plainly(
    users: Rows, items: Rows, codes: npt.NDArray[Any], levels: npt.NDArray[np.float32], is_left_out: _Flags, shards: int
) -> tuple[CutPart, list[int]]:
    """Cut a part by NumPy; `codes`, `levels` : as a RatingBlock's."""
    last = shards * shards
    # NumPy sorts numbers of 8 or 16 bits by counting.
    blocks = (users % shards * shards + items % shards).astype(np.min_scalar_type(last))
    blocks[is_left_out] = last
    counts = np.bincount(blocks, minlength=last + 1)
    order = np.argsort(blocks, kind="stable")[: len(users) - counts[-1]]
    item_rows = (items // shards).astype(_item_type(items, shards))
    users, blocks, codes, edges = users[order], blocks[order], codes[order], _edges(counts[:-1])
    firsts = np.flatnonzero(np.append(True, (users[1:] != users[:-1]) | (blocks[1:] != blocks[:-1]))[: len(users)])
    user_counts = np.bincount(blocks[firsts], minlength=last)
    ends = np.append(firsts, len(users))[1:] - np.repeat(edges[:-1], user_counts)
    whole = Piece(users[firsts] // np.int32(shards), ends.astype(np.int32), item_rows[order], codes, levels)
    cut = CutPart(whole, edges, _edges(user_counts))
    return cut, [_fingerprint(piece) for piece in cut.pieces()]


def cut_compiled(
    users: Rows, items: Rows, codes: npt.NDArray[Any], levels: npt.NDArray[np.float32], is_left_out: _Flags, shards: int
) -> tuple[CutPart, list[int]]:
    """Cut a part by compiled loops; `codes`, `levels` : as a RatingBlock's that has levels."""
    counts, user_counts = np.zeros((2, shards * shards), np.int64)
    count_by_block()(users, items, is_left_out, shards, counts, user_counts)
    edges, user_edges = _edges(counts), _edges(user_counts)
    user_rows, starts = np.empty((2, user_edges[-1]), np.int32)
    item_rows, cut_codes = np.empty(edges[-1], _item_type(items, shards)), np.empty(edges[-1], codes.dtype)
    whole = Piece(user_rows, np.empty_like(starts), item_rows, cut_codes, levels)
    places = edges[:-1].copy(), user_edges[:-1].copy()
    cut_by_block(*whole.widths)(
        users, items, codes, is_left_out, shards, *places, user_rows, starts, item_rows, cut_codes
    )
    whole.ends[:-1] = starts[1:]
    filled = counts > 0
    whole.ends[user_edges[1:][filled] - 1] = counts[filled]
    cut = CutPart(whole, edges, user_edges)
    marks, compute = levels.view(np.uint32).astype(np.uint64) * _RATING, fingerprint(*whole.widths)
    return cut, [int(compute(*piece.places, _USER, _ITEM, marks)) for piece in cut.pieces()]


def _item_type(items: Rows, shards: int) -> type[np.integer]:
    return np.uint16 if int(items.max(initial=0)) // shards <= np.iinfo(np.uint16).max else np.int32


def _edges(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def _fingerprint(piece: Piece) -> int:
    total, rows, ratings = 0, piece.rows_of_ratings, piece.ratings
    for start in range(0, len(rows), _SLICE):
        part = slice(start, start + _SLICE)
        hashed = rows[part].astype(np.uint64) * _USER ^ piece.item_rows[part].astype(np.uint64) * _ITEM
        hashed ^= ratings[part].view(np.uint32).astype(np.uint64) * _RATING
        total += int(mix(hashed).sum())
    return total % 2**64
