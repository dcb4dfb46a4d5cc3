"""A reconstruction as one chunked Zarr array, which numeric programs read piece by piece.

Covers: creating the arrays, writing rows, and the names of the files that hold given rows. Zarr is an optional extra
and slow to import, so only the first use imports it.
Does not cover: which task writes which rows (pipeline/stages/reconstruct.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.late import required
from funkflow.tasks.storage.filesystems import reaching

ARRAY = "ratings"
_CHUNK_BYTES = 16 * 2**20


def require_zarr() -> Any:
    """Return the package zarr; raise SettingsError if it is not installed."""
    return required("zarr", "--form zarr", "zarr")


def chunk_columns(rows: int, columns: int, itemsize: int) -> int:
    """Return the columns of a chunk of `rows` rows, for chunks of equal size of at most about 16 MiB."""
    chunks = max(1, math.ceil(rows * columns * itemsize / _CHUNK_BYTES))
    return math.ceil(columns / min(chunks, columns))


def make_arrays(
    url: str, user_ids: npt.NDArray[Any], item_ids: npt.NDArray[Any], rows: int, dtype: npt.DTypeLike
) -> None:
    """Create a group at `url` with an empty array `ratings` (users, items) and the raw ids `user` and `item`.

    `rows` : rows of a chunk. Chunks are not compressed: predictions look random and would shrink by a few percent.
    """
    zarr = require_zarr()
    with reaching(url):
        group = zarr.create_group(url, overwrite=True)
        for name, ids in (("user", user_ids), ("item", item_ids)):
            text = np.asarray(ids, dtype=np.dtypes.StringDType()) if ids.dtype == object else ids
            group.create_array(name, data=text)
        columns = chunk_columns(rows, len(item_ids), np.dtype(dtype).itemsize)
        group.create_array(
            ARRAY, shape=(len(user_ids), len(item_ids)), chunks=(rows, columns), dtype=dtype, compressors=None,
            fill_value=math.nan, dimension_names=("user", "item"),
        )  # fmt: skip


def write_zarr_rows(url: str, start: int, block: npt.NDArray[Any]) -> None:
    """Write whole rows (n, items) from row `start` on, a multiple of the chunk's rows."""
    zarr = require_zarr()
    with reaching(url):
        zarr.open_array(f"{url}/{ARRAY}", mode="r+")[start : start + len(block)] = block


def files_of_rows(start: int, rows: int, columns: int, itemsize: int) -> list[str]:
    """Return the files (Zarr's default names in the group's folder) that hold the chunks of these rows."""
    chunks = math.ceil(columns / chunk_columns(rows, columns, itemsize))
    return [f"{ARRAY}/c/{start // rows}/{column}" for column in range(chunks)]
