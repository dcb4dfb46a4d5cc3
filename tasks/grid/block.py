"""A block of the P x P grid: its ratings in compact form, by tiles and runs, in memory and on disk.

Covers: the block, its rows and ratings as arrays, reading and writing blocks.
Does not cover: the number of shards (layout.py), the order inside a block (tasks/kernels/tiles.py), moving ratings from
dataset files to blocks (scatter.py), the blocks of a grid (pipeline/stages/grid.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.kernels.tiles import (
    GROUP_USERS,
    ITEM_BITS,
    TILE_ITEMS,
    TILE_USERS,
    cells_of,
    first_rows_of,
    key_bits,
    order_keys,
    runs_of,
    tiles_of,
    whole_tiles,
)
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import as_binary, from_binary

BLOCK_FORMAT = [4, TILE_USERS, TILE_ITEMS, GROUP_USERS]
"""Part of every grid's id: it must change whenever the order of the same ratings in a block changes."""
MOST_LEVELS = 1 << 16
"""Most different ratings that a block stores as codes; with more, it stores the ratings."""
_CODE_BITS, _CODE_MASK = np.uint64(16), np.uint64(0xFFFF)
_LOST = 1e-6
"""Part of the deviation that a mean can lose as float32. More than 65,536 levels need a spread that loses less."""
_SLICE, _ITEM_MASK = 1 << 18, (1 << ITEM_BITS) - 1


@dataclass(frozen=True)
class RatingBlock(Weighed):
    """The ratings of one user shard for one item shard: 3 bytes each, 4 with more than 256 levels, else 6.

    Attributes
    ----------
    tiles : int64 (tiles, 3), for each tile with ratings its first item row, its first run, and where its runs end.
    runs : int64 (runs,), the number of each run, ascending: a run has the ratings of a group of users in a tile.
    run_users : int32 (runs,), first user row of each run's group.
    run_starts : int64 (runs + 1,), where the ratings of each run begin.
    cells : uint16 (n,), 1,024 times the user's place in the group plus the item's place in the tile.
    codes : ratings are levels[codes], in rating units: uint8 or uint16 (n,); with more levels than that, the float32
        ratings themselves.
    levels : float32, ascending; empty where codes are the ratings.
    shape : (int, int), rows of the user shard and of the item shard.
    laid : (int, int), the rows that tiles are numbered for: `shape` or more, which stays as a dataset grows.
    further : pairs that are known without their rating, as a block of the same shape; None for none.
    """

    tiles: npt.NDArray[np.int64]
    runs: npt.NDArray[np.int64]
    run_users: npt.NDArray[np.int32]
    run_starts: npt.NDArray[np.int64]
    cells: npt.NDArray[np.uint16]
    codes: npt.NDArray[Any]
    levels: npt.NDArray[np.float32]
    shape: tuple[int, int]
    laid: tuple[int, int]
    further: RatingBlock | None = None

    @classmethod
    def of(
        cls, user_rows: npt.NDArray[Any], item_rows: npt.NDArray[Any], ratings: npt.NDArray[np.float32],
        shape: tuple[int, int], laid: tuple[int, int] | None = None,
    ) -> RatingBlock:  # fmt: skip
        """Put ratings in order; (user, item) pairs are distinct, so the order of the input does not matter.

        user_rows, item_rows : integers (n,), rows local to the shards; ratings : float32 (n,).
        """
        laid = whole_tiles(laid or shape)
        codes, levels = coded(ratings)
        keys, cells = np.empty(len(ratings), np.uint64), np.empty(len(ratings), np.uint16)
        # In slices: long arrays for each step would take more time than the steps.
        for part in _slices(len(ratings)):
            keys[part] = order_keys(user_rows[part], item_rows[part], laid)
        if len(levels) and key_bits(laid) <= 64 - int(_CODE_BITS):
            # A key fits beside its code, and sorting numbers takes a fraction of the time of sorting positions.
            for part in _slices(len(ratings)):
                keys[part] = keys[part] << _CODE_BITS | codes[part]
            keys.sort()
            for part in _slices(len(ratings)):
                codes[part] = keys[part] & _CODE_MASK
                keys[part] >>= _CODE_BITS
        else:
            order = np.argsort(keys)
            keys, codes = keys[order], codes[order]
        for part in _slices(len(ratings)):
            cells[part] = cells_of(keys[part])
        runs, ends = _runs(pa.array(runs_of(keys)))
        return cls.assembled(runs, ends, cells=cells, codes=codes, levels=levels, shape=shape, laid=laid)

    @classmethod
    def assembled(
        cls, runs: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], *, cells: npt.NDArray[np.uint16],
        codes: npt.NDArray[Any], levels: npt.NDArray[np.float32], shape: tuple[int, int], laid: tuple[int, int],
    ) -> RatingBlock:  # fmt: skip
        """Return the block of ratings in order, from the number and the end of each run, and the cells."""
        first_users, first_items = first_rows_of(runs, laid)
        first = np.flatnonzero(np.diff(tiles_of(runs), prepend=-1))
        tiles = np.stack([first_items[first], first, np.append(first, len(runs))[1:]], axis=1)
        starts = np.concatenate([np.zeros(1, np.int64), ends])
        return cls(
            tiles=tiles, runs=runs, run_users=first_users.astype(np.int32), run_starts=starts,
            cells=cells, codes=codes, levels=levels, shape=shape, laid=laid,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def places(self) -> tuple[npt.NDArray[Any], ...]:
        """Tiles, first users and starts of runs, and cells, as kernels take them."""
        return self.tiles, self.run_users, self.run_starts, self.cells

    @property
    def known_pairs(self) -> tuple[RatingBlock, ...]:
        """The blocks whose pairs are known: this one, and that of further pairs."""
        return (self,) if self.further is None else (self, self.further)

    @property
    def coding(self) -> str:
        """The kernels for this block: u1, u2 or f4."""
        return str(self.codes.dtype.str[1:])

    @property
    def user_rows(self) -> npt.NDArray[np.int32]:
        """int32 (n,), a new array at each access."""
        return np.repeat(self.run_users, np.diff(self.run_starts)) + (self.cells >> ITEM_BITS).astype(np.int32)

    @property
    def item_rows(self) -> npt.NDArray[np.int32]:
        """int32 (n,), a new array at each access."""
        of_run = np.repeat(self.tiles[:, 0], self.tiles[:, 2] - self.tiles[:, 1]).astype(np.int32)
        return np.repeat(of_run, np.diff(self.run_starts)) + (self.cells & _ITEM_MASK).astype(np.int32)

    @property
    def ratings(self) -> npt.NDArray[np.float32]:
        """float32 (n,), in rating units."""
        return self.codes if self.coding == "f4" else self.levels[self.codes]

    def scaled_levels(self, mean: float, deviation: float) -> npt.NDArray[np.float32]:
        """Return the levels centred and scaled, for kernels; without levels, the two numbers to do that with."""
        share = np.float32(1.0 / deviation)
        if self.coding == "f4":
            return np.array([mean, share], np.float32)
        if abs(float(np.float32(mean)) - mean) > _LOST * deviation:
            return ((self.levels.astype(np.float64) - mean) / deviation).astype(np.float32)
        return (self.levels - np.float32(mean)) * share


@dataclass(frozen=True)
class StoredRow(Sequence[RatingBlock]):
    """The blocks of one user shard, in the order of the item shards; each access reads a block again.

    folder : of the blocks; checksums, shapes : of each block; further : checksums of blocks of further pairs, if any.
    """

    folder: str
    checksums: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    further: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.checksums)

    @overload
    def __getitem__(self, column: int) -> RatingBlock: ...
    @overload
    def __getitem__(self, column: slice) -> Sequence[RatingBlock]: ...
    def __getitem__(self, column: int | slice) -> RatingBlock | Sequence[RatingBlock]:
        if isinstance(column, slice):
            further = self.further[column]
            return replace(self, checksums=self.checksums[column], shapes=self.shapes[column], further=further)
        block = read_block(self.folder, self.checksums[column], self.shapes[column])
        if not self.further:
            return block
        return replace(block, further=read_block(self.folder, self.further[column], self.shapes[column]))

    def read(self) -> tuple[RatingBlock, ...]:
        """Read all of them."""
        return tuple(self)


BlockRow = tuple[RatingBlock, ...] | StoredRow


class WrittenBlock(TypedDict):
    """The file of a block, in its manifest entry."""

    checksum: str
    rows: int
    bytes: int
    rating_bytes: int


def write_block(folder: str, block: RatingBlock) -> WrittenBlock:
    """Write one block under its checksum, so that equal blocks are one file; return its manifest entry.

    A row a run: its number, int64, and the bytes of its cells and codes as in memory (little-endian), so that reading
    is little more than copying. The metadata of the schema has the levels, and the rows that tiles are numbered for, so
    a block is the same when its shards grow.
    """
    about = {"coding": block.coding, "levels": json.dumps(block.levels.tolist()), "laid": json.dumps(block.laid)}
    columns = {
        "run": pa.array(block.runs),
        "cells": as_binary(block.cells, block.run_starts),
        "codes": as_binary(block.codes, block.run_starts),
    }
    # Cells are close to random: compression costs more than it saves.
    packed = {"run": "zstd", "cells": "none", "codes": "none" if block.coding == "f4" else "zstd"}
    table = pa.table(columns).replace_schema_metadata(about)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, row_group_size=max(1, len(table)), use_dictionary=False, write_statistics=False, compression=packed
    )
    data = memoryview(sink.getvalue())
    name = files.checksum(data)
    files.write_bytes(files.join(folder, f"{name}.parquet"), data)
    a_rating = block.cells.itemsize + block.codes.itemsize
    return WrittenBlock(checksum=name, rows=len(block), bytes=len(data), rating_bytes=a_rating)


def read_block(folder: str, name: str, shape: tuple[int, int]) -> RatingBlock:
    """Read the block of that checksum.

    Raises
    ------
    DamagedFile
        Missing, changed since it was written, or with rows outside `shape`.
    """
    url = files.join(folder, f"{name}.parquet")
    table = files.read_table(url, expected_checksum=name).combine_chunks()
    about = table.schema.metadata
    levels = np.array(json.loads(about[b"levels"]), np.float32)
    cells, ends = from_binary(table["cells"], "u2")
    codes, _ = from_binary(table["codes"], about[b"coding"].decode())
    users, items = json.loads(about[b"laid"])
    block = RatingBlock.assembled(
        table["run"].to_numpy(), ends, cells=cells, codes=codes, levels=levels, shape=shape, laid=(users, items)
    )
    _refuse_rows_outside(block, url)
    return block


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + _SLICE) for start in range(0, count, _SLICE))


def _runs(column: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the distinct values of a sorted column, and the end of each."""
    encoded = pc.run_end_encode(column, run_end_type=pa.int64())
    return encoded.values.to_numpy(), encoded.run_ends.to_numpy()


def code_type(levels: npt.NDArray[np.float32]) -> type[np.unsignedinteger[Any]]:
    """Return the type of the codes of up to 65,536 levels."""
    return np.uint8 if len(levels) <= 256 else np.uint16


def coded(ratings: npt.NDArray[np.float32]) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    """Return codes and levels of ratings, see RatingBlock; levels ascend, so equal ratings give equal codes."""
    encoded = pa.array(ratings).dictionary_encode()
    found: npt.NDArray[np.float32] = encoded.dictionary.to_numpy()
    if len(found) > MOST_LEVELS:
        return ratings, found[:0]
    order = np.argsort(found)
    code_of = np.empty(len(found), code_type(found))
    code_of[order] = np.arange(len(found))
    return code_of[encoded.indices.to_numpy()], found[order]


def _refuse_rows_outside(block: RatingBlock, url: str) -> None:
    """Check the runs that reach the edge of the shards; all others end before it."""
    first_items = np.repeat(block.tiles[:, 0], block.tiles[:, 2] - block.tiles[:, 1])
    for first, width, size, cells in (
        (block.run_users, GROUP_USERS, block.shape[0], block.cells >> ITEM_BITS),
        (first_items, TILE_ITEMS, block.shape[1], block.cells & _ITEM_MASK),
    ):
        for run in np.flatnonzero((first < 0) | (first + width > size)).tolist():
            last = int(first[run]) + int(cells[block.run_starts[run] : block.run_starts[run + 1]].max())
            if not (first[run] >= 0 and last < size):
                raise DamagedFile(f"{url}: row {last} lies outside its shard of {size} rows; delete it and run again")
