"""A table in a Parquet file, decoded as far as somebody asks.

Covers: whole columns, one stretch of rows after another, and some rows.
Does not cover: whole tables (files.py), what the columns mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from funkflow.tasks.storage import files


class StoredTable:
    """A Parquet file that funkflow wrote. `names` : of its columns; `num_rows` : of its rows."""

    def __init__(self, url: str, expected_checksum: str | None = None) -> None:
        """Read the file; raise DamagedFile if it is missing or damaged."""
        self._url = url
        data = files.read_bytes(url, expected_checksum)
        with files.decoding(url):
            self._file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
        self.names: list[str] = self._file.schema_arrow.names
        self.num_rows: int = self._file.metadata.num_rows

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a whole column."""
        with files.decoding(self._url):
            return self._file.read(columns=[name], use_threads=False)[name]

    def stretches(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Yield some columns of the rows, row group by row group."""
        for group in range(self._file.num_row_groups):
            yield self._group(group, names)

    def take(self, rows: npt.NDArray[np.int64], names: Sequence[str]) -> pa.Table:
        """Return some columns of some rows, whose numbers ascend; memory holds one column of a row group at a time."""
        schema, stop = pa.schema([self._file.schema_arrow.field(name) for name in names]), 0
        groups = [schema.empty_table()]
        for group in range(self._file.num_row_groups):
            start, stop = stop, stop + self._file.metadata.row_group(group).num_rows
            first, end = np.searchsorted(rows, (start, stop))
            places = pa.array(rows[first:end] - start)
            columns = [self._group(group, [name])[name].take(places) for name in names] if len(places) else []
            groups += [pa.table(columns, schema=schema)] if columns else []
        return pa.concat_tables(groups).combine_chunks()

    def _group(self, group: int, names: Sequence[str]) -> pa.Table:
        with files.decoding(self._url):
            return self._file.read_row_group(group, list(names), use_threads=False)
