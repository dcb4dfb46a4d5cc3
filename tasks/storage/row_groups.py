"""Parquet files in row groups, written and read a group at a time.

Covers: writing tables as groups of one file with a checksum, and reading single groups.
Does not cover: whole tables (files.py), the meaning of columns (tasks/model/draws/drawn_rows.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.late import late
from funkflow.tasks.redact import masked
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import opened

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa, pq = late("pyarrow"), late("pyarrow.parquet")


class _Summed:
    """A file to write, with the checksum of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest, self._written = file, hashlib.blake2b(digest_size=files.CHECKSUM_BYTES), 0
        self.closed = False

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self._written += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True


def write_row_groups(url: str, tables: Iterable[pa.Table], schema: pa.Schema, dictionaries: Sequence[str]) -> str:
    """Write each table as a row group of one Parquet file, without compression; return the file's checksum.

    `dictionaries` : columns to encode with dictionaries. One table at a time is in memory.
    """
    with files.opened_for_writing(url) as file:
        summed = _Summed(file)
        with pq.ParquetWriter(summed, schema, compression="none", use_dictionary=list(dictionaries)) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=max(1, table.num_rows))
        return summed.digest.hexdigest()


def group_rows(url: str, expected_bytes: int) -> list[int]:
    """Return the rows of each group of a file.

    Raises
    ------
    DamagedFile
        It is missing, or has another length.
    """
    found = files.size(url)
    if found != expected_bytes:
        there = "missing" if found < 0 else found
        raise DamagedFile(f"{masked(url)}: {there} instead of {expected_bytes} bytes; run its settings again")
    with opened(url) as file, files.decoding(url):
        footer = pq.ParquetFile(file, pre_buffer=False).metadata
        return [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]


def read_row_groups(url: str, groups: Sequence[int], columns: Sequence[str]) -> list[pa.Table]:
    """Return some groups of a file, of which nothing else but its footer is read."""
    with opened(url) as file, files.decoding(url):
        table = pq.ParquetFile(file, pre_buffer=False)
        return [table.read_row_group(group, columns=list(columns), use_threads=False) for group in groups]
