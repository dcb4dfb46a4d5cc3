"""Zarr, an optional extra: a reconstruction as one chunked array that numeric programs read piece by piece.

Covers: making the arrays, writing rows, and the names of the files that rows lie in. Zarr is imported when it is first
asked for, as only some have it, and importing it takes as long as all the rest.
Does not cover: which rows are written when (pipeline/stages/reconstruct.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import SettingsError
from funkflow.tasks.storage.filesystems import reaching

ARRAY = "ratings"
_CHUNK_BYTES = 16 * 2**20


def require_zarr() -> Any:
    """Return the package.

    Raises
    ------
    SettingsError
        It is not installed.
    """
    try:
        import zarr
    except ImportError as cause:
        raise SettingsError("--form zarr needs the package zarr: pip install 'funkflow[zarr]'") from cause
    return zarr


def chunk_columns(rows: int, columns: int, itemsize: int) -> int:
    """Return how many columns a chunk of that many rows has: some 16 MiB of them, of about equal size."""
    chunks = max(1, math.ceil(rows * columns * itemsize / _CHUNK_BYTES))
    return math.ceil(columns / min(chunks, columns))


def make_arrays(
    url: str, user_ids: npt.NDArray[Any], item_ids: npt.NDArray[Any], rows: int, dtype: npt.DTypeLike
) -> None:
    """Make `url` a group of `ratings` (users, items), without values yet, and the raw ids of `user` and `item`.

    `rows` : of a chunk. Chunks are not compressed: predictions are close to random, and would shrink by a few percent.
    """
    zarr = require_zarr()
    with reaching(url):
        _make_arrays(zarr, url, user_ids, item_ids, rows, dtype)


def _make_arrays(
    zarr: Any, url: str, user_ids: npt.NDArray[Any], item_ids: npt.NDArray[Any], rows: int, dtype: npt.DTypeLike
) -> None:
    group = zarr.create_group(url, overwrite=True)
    for name, ids in (("user", user_ids), ("item", item_ids)):
        text = np.asarray(ids, dtype=np.dtypes.StringDType()) if ids.dtype == object else ids
        group.create_array(name, data=text)
    columns = chunk_columns(rows, len(item_ids), np.dtype(dtype).itemsize)
    group.create_array(
        ARRAY, shape=(len(user_ids), len(item_ids)), chunks=(rows, columns), dtype=dtype, compressors=None,
        fill_value=math.nan, dimension_names=("user", "item"),
    )  # fmt: skip


def write_rows(url: str, start: int, block: npt.NDArray[Any]) -> None:
    """Write whole rows from `start` on, which is a multiple of the chunk's rows."""
    zarr = require_zarr()
    with reaching(url):
        zarr.open_array(f"{url}/{ARRAY}", mode="r+")[start : start + len(block)] = block


def files_of_rows(start: int, rows: int, columns: int, itemsize: int) -> list[str]:
    """Return the files, from the group's folder, that the chunks of those rows lie in: Zarr's default names."""
    chunks = math.ceil(columns / chunk_columns(rows, columns, itemsize))
    return [f"{ARRAY}/c/{start // rows}/{column}" for column in range(chunks)]
