"""Columns of numbers that are written block by block, so that no file has to fit into memory.

Covers: a column, and raw ids as columns: integers, texts of one width, and texts as UTF-8 with offsets.
Does not cover: the files (npz_file.py, safetensors_file.py, onnx_graph.py), reading a saved model
(pipeline/models/saved_forms.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.storage.arrow_arrays import numbers_of

Texts = Callable[[], Iterator[pa.ChunkedArray]]
"""Reads a column of texts from its beginning, block by block."""


@dataclass(frozen=True)
class Column:
    """A named array of fixed dtype and shape. `blocks` : reads its rows in order; it may be called several times."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    blocks: Callable[[], Iterable[npt.NDArray[Any]]]

    @property
    def bytes(self) -> int:
        return int(self.dtype.itemsize * np.prod(self.shape, dtype=np.int64))

    def pieces(self) -> Iterator[memoryview]:
        """Yield the bytes of the rows in C order, little-endian."""
        for block in self.blocks():
            whole = np.ascontiguousarray(block, dtype=self.dtype)
            if whole.size:
                yield whole.reshape(-1).view(np.uint8).data

    def with_zero_row(self) -> Column:
        """Return the column with a row of zeros after the last one."""
        shape = (self.shape[0] + 1, *self.shape[1:])
        last = np.zeros((1, *self.shape[1:]), self.dtype)
        return replace(self, shape=shape, blocks=lambda: chain(self.blocks(), [last]))


def single_value(name: str, value: npt.ArrayLike) -> Column:
    """Return a column of one value, without dimensions."""
    array = np.asarray(value)
    return Column(name, array.dtype, array.shape, lambda: [array])


def of_one_width(name: str, rows: int, texts: Texts) -> Column:
    """Return texts as Unicode of one width, that of the longest, which NumPy reads without pickle; read them twice."""
    longest = max((pc.max(pc.utf8_length(block)).as_py() or 0 for block in texts()), default=0)
    dtype = np.dtype(f"<U{max(1, longest)}")
    return Column(name, dtype, (rows,), lambda: (np.array(block.to_pylist(), dtype) for block in texts()))


def as_utf8(name: str, rows: int, texts: Texts) -> tuple[Column, Column]:
    """Return texts as two columns: text n is bytes offsets[n] to offsets[n + 1] of the UTF-8; read them once more."""
    total = sum(int(_lengths(block).sum()) for block in texts())
    return (
        Column(f"{name}_offsets", np.dtype(np.int64), (rows + 1,), lambda: _offsets(texts())),
        Column(f"{name}_utf8", np.dtype(np.uint8), (total,), lambda: map(_utf8, texts())),
    )


def _offsets(blocks: Iterable[pa.ChunkedArray]) -> Iterator[npt.NDArray[np.int64]]:
    end = 0
    yield np.zeros(1, np.int64)
    for block in blocks:
        ends = end + np.cumsum(_lengths(block))
        end = int(ends[-1]) if len(ends) else end
        yield ends


def _lengths(block: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return numbers_of(pc.binary_length(block)).astype(np.int64)


def _utf8(block: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    return np.frombuffer("".join(block.to_pylist()).encode(), np.uint8)
