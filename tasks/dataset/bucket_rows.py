"""Rows of parsed chunks in buckets by user: write a chunk's rows, read a part's rows, settle duplicates.

Covers: writing one chunk's rows by the hash of the raw user, reading one part's rows of all chunks, one row per pair.
Does not cover: parsing (tasks/parsing/rows/text.py), dense ids and dataset files (write_part.py), the order of tasks
(pipeline/stages/ingest.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.dataset.chunk_rows import order_by_bucket
from funkflow.tasks.dataset.coded_ids import PartIds, gather_ids, write_distinct
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.rows.rows import quarantine_table
from funkflow.tasks.parsing.rows.transformed import parse_transformed
from funkflow.tasks.parsing.sources.chunks import Chunk
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import as_column, numbers_of
from funkflow.tasks.storage.arrow_groups import read_groups, write_groups
from funkflow.tasks.transform import Transform

Duplicates = Literal["last", "mean", "sum", "raise"]
MOST_BUCKETS = 4096


@dataclass(frozen=True)
class ChunkSummary:
    """Counts of one chunk after its rows are written. `fault`: the error message if the input is bad.

    `leaves_open` : the next chunk begins inside a quote.
    """

    rows: int = 0
    rejected: int = 0
    rating_minimum: float = float("inf")
    rating_maximum: float = float("-inf")
    fault: str = ""
    leaves_open: bool = False


def buckets_for(rows_at_most: int, part_rows: int) -> int:
    """Return the number of buckets for chunks: a power of two, at least the later number of parts."""
    return min(MOST_BUCKETS, _power_of_two(-(-rows_at_most // part_rows)))


def parts_for(rows: int, part_rows: int, buckets: int) -> int:
    """Return the number of parts: the least power of two with at most `part_rows` rows a part on average."""
    return min(buckets, _power_of_two(-(-rows // part_rows)))


def scatter_chunk(
    chunk: Chunk, form: Form, buckets: int, folder: str, number: int, stop_at_first: bool,
    transform: Transform = "none", compiled: bool = False,
) -> ChunkSummary:  # fmt: skip
    """Parse a chunk; write `folder`/chunk-NNNNN.arrow with one group per bucket, and the chunk's distinct ids.

    `compiled` : by compiled loops, with the same result.
    The function returns bad input instead of raising it, so that the caller can report the first fault of all chunks.
    """
    try:
        parsed = parse_transformed(chunk, form, stop_at_first, transform, compiled)
    except BadInput as fault:
        return ChunkSummary(fault=fault.message)
    if parsed.rejected and stop_at_first:
        return ChunkSummary(fault=parsed.rejected[0].message())
    rows, rejected, extremes = parsed.table.num_rows, parsed.rejected, _rating_range(parsed.table)
    leaves_open = parsed.leaves_open
    found = order_by_bucket(parsed.table, buckets, compiled)
    del parsed
    write_distinct(folder, "user", number, *found.users)
    write_distinct(folder, "item", number, *found.items)
    rows_in_order = pa.table({name: as_column(values) for name, values in found.columns.items()})
    write_groups(chunk_url(folder, number), rows_in_order, found.starts)
    if rejected:
        files.write_table(rejected_url(folder, number), quarantine_table(rejected))
    return ChunkSummary(rows, len(rejected), *extremes, leaves_open=leaves_open)


def _rating_range(table: pa.Table) -> tuple[float, float]:
    """Return the least and the greatest rating; (inf, -inf) without ratings."""
    if not table.num_rows or "rating" not in table.column_names:
        return float("inf"), float("-inf")
    extremes = pc.min_max(table["rating"]).as_py()
    return extremes["min"], extremes["max"]


def chunk_url(folder: str, number: int) -> str:
    """Return the path of the rows of chunk `number`."""
    return files.join(folder, f"chunk-{number:05d}.arrow")


def rejected_url(folder: str, number: int) -> str:
    """Return the path of the rejected rows of chunk `number`."""
    return files.join(folder, f"rejected-{number:05d}.parquet")


@dataclass(frozen=True)
class PartRows:
    """Rows of one part: ids of users and items, and the other columns by name, times in whole seconds since 1970."""

    users: PartIds
    items: PartIds
    rest: dict[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.users)


def gather_part(folder: str, chunks: int, part: int, parts: int, buckets: int) -> PartRows:
    """Read one part's rows of all chunks, in the order of the chunks; raw ids have any integer width."""
    width = buckets // parts
    groups = range(part * width, (part + 1) * width)
    tables = [read_groups(chunk_url(folder, number), groups) for number in range(chunks)]
    users, items = (gather_ids(folder, side, tables, groups) for side in ("user", "item"))
    names = [name for name in ("rating", "timestamp") if name in tables[0].column_names]
    rest = pa.concat_tables([table.select(names) for table in tables], promote_options="permissive")
    return PartRows(users, items, {name: numbers_of(rest[name]) for name in names})


def gather_rows(folder: str, chunks: int, part: int, parts: int, buckets: int) -> pa.Table:
    """Read one part's rows as `gather_part` does, with their raw ids in the columns user and item."""
    rows = gather_part(folder, chunks, part, parts, buckets)
    raw = pa.table({"user": rows.users.raw(), "item": rows.items.raw()})
    for name, values in rows.rest.items():
        column = as_column(values)
        raw = raw.append_column(
            name, column.cast(pa.int64()).cast(pa.timestamp("s")) if name == "timestamp" else column
        )
    return raw


def settle_duplicates(columns: dict[str, npt.NDArray[Any]], duplicates: Duplicates) -> dict[str, npt.NDArray[Any]]:
    """Keep one row of each (user, item); rows come sorted by pair, and within a pair in input order.

    "last" keeps the newest row, or the last of equal times; "mean" and "sum" also give it the mean or the sum of the
    pair's ratings.

    Parameters
    ----------
    columns : user and item int32 (n,), dense; rating float32 (n,) and timestamp (n,) if present.
    """
    user, item = columns["user"], columns["item"]
    is_first = np.ones(len(user), bool)
    is_first[1:] = (user[1:] != user[:-1]) | (item[1:] != item[:-1])
    if is_first.all():
        return columns
    starts = np.flatnonzero(is_first)
    counts = np.diff(np.append(starts, len(user)))
    last = starts + counts - 1
    if "timestamp" in columns:
        repeated = np.flatnonzero(np.repeat(counts > 1, counts))
        pair = np.repeat(starts, counts)[repeated]
        newest_last = repeated[np.lexsort((columns["timestamp"][repeated], pair))]  # lexsort is stable
        last[counts > 1] = newest_last[np.cumsum(counts[counts > 1]) - 1]
    rows = {name: values[last] for name, values in columns.items()}
    if duplicates in ("mean", "sum"):
        sums = np.add.reduceat(columns["rating"].astype(np.float64), starts)
        rows["rating"] = (sums / counts if duplicates == "mean" else sums).astype(np.float32)
    return rows


def rejected_rows(folder: str, scattered: Sequence[ChunkSummary], before: Sequence[str], in_clear: bool) -> pa.Table:
    """Return the rejected rows: first those in the files `before`, then those of all chunks in input order.

    `in_clear` : keep their text. False if the root has erased ids: a bad row may name one of them.
    """
    urls = [rejected_url(folder, number) for number, chunk in enumerate(scattered) if chunk.rejected]
    table = pa.concat_tables([quarantine_table(()), *(files.read_table(url) for url in [*before, *urls])])
    if in_clear:
        return table
    place = table.column_names.index("text")
    return table.set_column(place, "text", pa.array([""] * table.num_rows, pa.string()))


def _power_of_two(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()
