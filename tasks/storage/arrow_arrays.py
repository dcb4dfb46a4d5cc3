"""Columns of numbers between Arrow and NumPy, without pandas.

Covers: `numbers_of` and `as_column`, each without a copy, and a column of texts; arrays of numbers as values of bytes;
`leave_pandas_out`, for programs, and `let_pandas_in`.
Does not cover: nulls, and all else that `pa.array` and `to_numpy` can do: both import pandas first, to see whether they
have to do with its own types, which takes longer than a recommendation to one user.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def numbers_of(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a column of numbers (n,) in their own dtype, to read; raise if there is a null."""
    return np.from_dlpack(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)


def as_column(numbers: npt.NDArray[Any]) -> pa.Array:
    """Return numbers (n,) as a column of their own type."""
    whole = np.ascontiguousarray(numbers)
    return pa.Array.from_buffers(pa.from_numpy_dtype(whole.dtype), len(whole), [None, pa.py_buffer(whole)])


def as_texts(texts: Sequence[str]) -> pa.Array:
    """Return texts (n,) as a column of `pa.large_string()`; raise UnicodeEncodeError if one is not UTF-8."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)


def as_binary(numbers: npt.NDArray[Any], starts: npt.NDArray[np.int64]) -> pa.Array:
    """Return a column of bytes: value n has the numbers starts[n] to starts[n + 1] - 1, as in memory."""
    buffers = [None, pa.py_buffer((starts * numbers.itemsize).astype(np.int64)), pa.py_buffer(numbers)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(starts) - 1, buffers)


def from_binary(column: pa.ChunkedArray, dtype: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return the numbers of all values of a column of bytes, and the end of each value."""
    size = np.dtype(dtype).itemsize
    if not len(column):
        return np.empty(0, dtype), np.empty(0, np.int64)
    whole = column.combine_chunks()
    _, places, data = whole.buffers()
    ends = np.frombuffer(places, np.int64)[whole.offset :][: len(whole) + 1] // size
    return np.frombuffer(data, dtype, int(ends[-1])), ends[1:]


def leave_pandas_out() -> None:
    """Keep pyarrow from importing pandas in this process for `pa.array` and `to_numpy`.

    pyarrow asks once whether there is pandas; it looks again where it has to make a pandas object. Before that, it
    takes a pandas object for any sequence, so this is for the processes of our own programs, and not for a user's.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas)
        try:
            pa.array([])
        finally:
            sys.meta_path.remove(_NoPandas)


def let_pandas_in() -> None:
    """Undo `leave_pandas_out`, for a task that got a pandas object: pyarrow looks for pandas again as it makes one."""
    pa.array([0]).to_pandas()


class _NoPandas:
    """A finder of modules that knows of one that it is missing."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
