"""Columns in the names of folders, as Hive, Spark and pandas write Parquet: year=2018/part-0.parquet.

Covers: the columns of a file's path, the file's name within its set, and folders to skip.
Does not cover: listing (sources.py), or converting the values, which are text (tasks/parsing/rows/typed_rows.py).
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import unquote

from funkflow.tasks.late import late

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = late("pyarrow")


_NULL = "__HIVE_DEFAULT_PARTITION__"


def is_partition(folder: str) -> bool:
    """Return whether the last part of a folder's path is a column and its value."""
    name, sign, _ = posixpath.basename(folder.rstrip("/")).partition("=")
    return bool(name and sign)


def columns_in(path: str) -> dict[str, str | None]:
    """Return the columns and values of the folders right above a file, the outermost first; None is Hive's null."""
    pairs = (folder.partition("=") for folder in _partitions(path))
    return {unquote(name): None if value == _NULL else unquote(value) for name, _, value in pairs}


def name_within(path: str) -> str:
    """Return a file's name with the folders that give it columns, as these are part of its content."""
    return posixpath.join(*_partitions(path), posixpath.basename(path))


def is_left_out(path: str) -> bool:
    """Return whether a part of a path marks files without data: _SUCCESS, _temporary/, .hidden."""
    return any(part.startswith(("_", ".")) for part in path.split("/"))


def with_columns(table: pa.Table, path: str, names: Collection[str]) -> pa.Table:
    """Add those of the columns `names` that a table lacks and its path has, as text."""
    for name, value in columns_in(path).items():
        if name in names and name not in table.column_names:
            column = pa.nulls(table.num_rows, pa.string()) if value is None else pa.repeat(value, table.num_rows)
            table = table.append_column(name, column)
    return table


def _partitions(path: str) -> list[str]:
    found: list[str] = []
    folder = posixpath.dirname(path)
    while is_partition(folder):
        found.insert(0, posixpath.basename(folder))
        folder = posixpath.dirname(folder)
    return found
