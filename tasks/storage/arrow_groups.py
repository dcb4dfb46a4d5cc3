"""Scratch files that carry rows from one task to another in groups; a task reads only the groups it needs.

Covers: writing a table group by group, reading some groups, and storing integers in the narrowest type.
Does not cover: which rows make up a group (tasks/dataset/bucket_rows.py, tasks/grid/pieces.py). No file outlives its
stage.

The format is Arrow IPC without compression. On 3.1 M Netflix rows in 128 groups it writes five times as fast as
Parquet with dictionaries, and reads without decoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import opened

_WIDTHS = (np.int16, np.int32, np.int64)
Narrow = npt.NDArray[np.signedinteger]


def write_groups(url: str, table: pa.Table, starts: Sequence[int]) -> None:
    """Write rows in their order; group g holds rows starts[g] to starts[g + 1] - 1. Groups may be empty."""
    whole = table.combine_chunks()
    columns = [column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in whole.columns]
    with files.opened_for_writing(url) as file, pa.ipc.new_file(file, table.schema) as writer:
        for start, stop in pairwise(starts):
            group = [column.slice(start, stop - start) for column in columns]
            writer.write_batch(pa.record_batch(group, schema=table.schema))


def read_groups(url: str, groups: Iterable[int] | None = None) -> pa.Table:
    """Return the rows of the groups with these numbers, in this order, a piece of each column a group; None: of all.

    Raises
    ------
    DamagedFile
        The file is missing or incomplete.
    """
    try:
        with opened(url) as file, pa.ipc.open_file(file) as reader:
            numbers = range(reader.num_record_batches) if groups is None else groups
            return pa.Table.from_batches([reader.get_batch(group) for group in numbers], reader.schema)
    except (pa.ArrowException, OSError) as cause:
        raise DamagedFile(f"{url}: scratch cannot be read ({cause}); run again") from cause


def narrow_integers(column: pa.ChunkedArray) -> Narrow:
    """Return integers (n,), or times in seconds, in the narrowest of int16, int32 and int64 that holds them all."""
    integers = pa.chunked_array([chunk.cast(pa.int64()) for chunk in column.chunks], pa.int64())
    extremes = pc.min_max(integers).as_py() if len(integers) else {"min": 0, "max": 0}
    narrow, start = np.empty(len(integers), narrowest_type(extremes["min"], extremes["max"])), 0
    for chunk in integers.chunks:  # chunk by chunk: each fits the cache
        narrow[start : start + len(chunk)] = chunk.to_numpy()
        start += len(chunk)
    return narrow


def narrowest_type(least: int, greatest: int) -> type[np.signedinteger]:
    """Return the narrowest of int16, int32 and int64 that holds both."""
    return next(each for each in _WIDTHS if np.iinfo(each).min <= least and greatest <= np.iinfo(each).max)
