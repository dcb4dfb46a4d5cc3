"""Columns that stand in the names of folders, as Hive, Spark and pandas lay out Parquet: year=2018/part-0.parquet.

Covers: the columns that a file's path gives, what such a file is called within its set, and which folders are walked.
Does not cover: listing (sources.py), or what the values mean: they are text, and converted like text
(tasks/parsing/rows/typed_rows.py).
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from urllib.parse import unquote

import pyarrow as pa

_NULL = "__HIVE_DEFAULT_PARTITION__"


def is_partition(folder: str) -> bool:
    """Say whether the last part of a folder's path names a column and its value."""
    name, sign, _ = posixpath.basename(folder.rstrip("/")).partition("=")
    return bool(name and sign)


def columns_in(path: str) -> dict[str, str | None]:
    """Return the columns that the folders right above a file name, the outermost first; None is Hive's null."""
    pairs = (folder.partition("=") for folder in _partitions(path))
    return {unquote(name): None if value == _NULL else unquote(value) for name, _, value in pairs}


def name_within(path: str) -> str:
    """Return a file's last name, below the folders that give it columns: these are part of what it holds."""
    return posixpath.join(*_partitions(path), posixpath.basename(path))


def is_left_out(path: str) -> bool:
    """Say whether a part of a path marks what is no data: _SUCCESS, _temporary/, .hidden."""
    return any(part.startswith(("_", ".")) for part in path.split("/"))


def with_columns(table: pa.Table, path: str, names: Collection[str]) -> pa.Table:
    """Return a table with those of the columns `names` that it lacks and its path gives, as text."""
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
