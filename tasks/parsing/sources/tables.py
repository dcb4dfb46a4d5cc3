"""Ratings in memory, written as Parquet files that ingest reads like any others.

Covers: tables of pandas, polars, Arrow and all that speaks Arrow's C stream, sparse matrices of SciPy; plain column
types, so that equal tables of any library give equal bytes; what a worker does with a partition of a Dask DataFrame.
Does not cover: where the files lie, and Dask (pipeline/running/memory_inputs.py); columns and rows
(tasks/parsing/format/columns.py, tasks/parsing/rows/parquet.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import as_column, let_pandas_in

if TYPE_CHECKING:
    from scipy import sparse
else:  # for matrices alone
    sparse = late("scipy.sparse")

PART_ROWS = 2**21
"""Rows of a file, and the most that are held beside the table itself: 50 MB of user, item and rating."""
_GROUP_ROWS = 2**19
_FORMATS = ("coo", "csr", "csc", "lil", "dok")
"""Formats of sparse matrices whose entries are all meant; the others store zeros to fill up."""
_PLAIN = {
    pa.large_string(): pa.string(), pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(), pa.binary_view(): pa.binary(),
}  # fmt: skip


@dataclass(frozen=True)
class PartFile:
    """A file as written: its URL, rows and checksum."""

    url: str
    rows: int
    checksum: str


def refuse_other_kinds(given: Any, name: str) -> None:
    """Raise SettingsError for what is no table of ratings; `name` : of the argument, in messages."""
    kind = type(given).__name__
    if isinstance(given, np.ndarray):
        shape = " x ".join(map(str, given.shape))
        raise SettingsError(
            f"{name} is a dense array of {shape}, in which no cell is missing: give the rated cells alone, as "
            "scipy.sparse.coo_array((ratings, (users, items))), or as a table of user, item and rating"
        )
    if _is_sparse(given):
        if given.ndim != 2:
            raise SettingsError(f"{name} is a sparse array of {given.ndim} dimension: give one of users x items")
        if given.format not in _FORMATS:
            raise SettingsError(
                f"{name} is a matrix in {given.format} format, which stores zeros to fill up, and a stored zero is a "
                f"rating of 0: give its ratings in one of {', '.join(_FORMATS)}"
            )
        return
    if not (is_dask(given) or _is_frame(given) or any(hasattr(given, each) for each in _STREAMS) or _is_lazy(given)):
        raise SettingsError(
            f"{name} is a {kind}: give a DataFrame of pandas, polars or Dask, an Arrow table, a sparse matrix of "
            "SciPy, or paths"
        )


_STREAMS = ("__arrow_c_stream__", "__arrow_c_array__", "scanner", "to_reader")


def is_dask(given: Any) -> bool:
    """Return whether this is a Dask DataFrame."""
    return hasattr(given, "__dask_graph__") and hasattr(given, "columns") and getattr(given, "ndim", 0) == 2


def write_parts(given: Any, folder: str, name: str) -> list[PartFile]:
    """Write a table that is not Dask's as part-00000.parquet and so on; return the files in order.

    Raises
    ------
    SettingsError
        It cannot be read as a table, or a column has a type that Parquet does not have.
    """
    with _readable(name):
        stream = _stream_of(given)
        return [_write(table, part_url(folder, number)) for number, table in enumerate(_cut(stream))]


def write_partition(frame: Any, url: str, name: str) -> PartFile:
    """Write one partition of a Dask DataFrame, which is a pandas DataFrame, as one file."""
    with _readable(name):
        return _write(_table_of_frame(frame), url)


def part_url(folder: str, number: int) -> str:
    """Return the URL of a file, by its place."""
    return files.join(folder, f"part-{number:05d}.parquet")


def as_arrow(given: Any, name: str) -> pa.Table:
    """Return a table that is not Dask's, or a sparse matrix, as one Arrow table in memory, with plain types.

    Raises
    ------
    SettingsError
        It cannot be read as a table.
    """
    with _readable(name):
        table = _stream_of(given).read_all()
        return pa.table([_plain(column) for column in table.columns], table.column_names)


def _write(table: pa.Table, url: str) -> PartFile:
    """Write a table with plain types. Row groups are cut from whole columns, so that the bytes tell no batches."""
    names = table.column_names
    if len(set(names)) < len(names):
        raise ValueError(f"Duplicate column names: {', '.join(names)}")
    whole = pa.table([_plain(column) for column in table.columns], names).combine_chunks()
    checksum = files.write_table(url, whole, row_group_rows=_GROUP_ROWS, compression="lz4")
    return PartFile(url, whole.num_rows, checksum)


def _stream_of(given: Any) -> pa.RecordBatchReader:
    if _is_sparse(given):
        return _stream_of_matrix(given)
    if _is_frame(given):
        return _table_of_frame(given).to_reader()
    if _is_lazy(given):
        given = given.collect()
    if hasattr(given, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(given)
    if hasattr(given, "scanner"):  # a pyarrow Dataset
        given = given.scanner()
    if hasattr(given, "to_reader"):
        return given.to_reader()
    return pa.Table.from_batches([pa.record_batch(given)]).to_reader()


def _table_of_frame(frame: Any) -> pa.Table:
    """Return a pandas DataFrame without its index."""
    let_pandas_in()
    return pa.Table.from_pandas(frame, preserve_index=False)


def _stream_of_matrix(matrix: Any) -> pa.RecordBatchReader:
    """Return user, item and rating of all stored entries, by row and column."""
    rows = sparse.csr_array(matrix)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    kinds = [pa.int64(), pa.int64(), pa.from_numpy_dtype(rows.dtype)]
    schema = pa.schema(list(zip(("user", "item", "rating"), kinds, strict=True)))

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows.nnz, _GROUP_ROWS):
            entries = np.arange(start, min(start + _GROUP_ROWS, rows.nnz))
            users = np.searchsorted(rows.indptr, entries, side="right") - 1
            items, ratings = rows.indices[entries].astype(np.int64), rows.data[entries]
            values = pa.array(ratings) if ratings.dtype == bool else as_column(ratings)
            columns = [as_column(users.astype(np.int64)), as_column(items), values]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _cut(stream: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Yield tables of PART_ROWS rows, the last one shorter; one without rows if there are none."""
    gathered: list[pa.RecordBatch] = []
    rows, is_first = 0, True
    for batch in stream:
        while batch.num_rows:
            taken = batch.slice(0, PART_ROWS - rows)
            gathered.append(taken)
            rows += taken.num_rows
            batch = batch.slice(taken.num_rows)
            if rows == PART_ROWS:
                yield pa.Table.from_batches(gathered, stream.schema)
                gathered, rows, is_first = [], 0, False
    if rows or is_first:
        yield pa.Table.from_batches(gathered, stream.schema)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values of a column in a plain type, whatever type a library has for them."""
    if not pa.types.is_dictionary(column.type):
        return column.cast(_PLAIN.get(column.type, column.type))
    kind = _PLAIN.get(column.type.value_type, column.type.value_type)
    coded = [pa.DictionaryArray.from_arrays(each.indices, each.dictionary.cast(kind)) for each in column.chunks]
    return pa.chunked_array([each.dictionary_decode() for each in coded], kind)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Raise SettingsError in one line where the body cannot read a table."""
    try:
        yield
    except (pa.ArrowException, TypeError, ValueError) as cause:
        reason = " ".join(str(each) for each in cause.args).split("\n")[0] or type(cause).__name__
        raise SettingsError(
            f"{name} cannot be written as a table ({reason}); leave out columns that are not user, item, rating or "
            "time, and give each of these values of one type"
        ) from cause


def _is_frame(given: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(given, pandas.DataFrame)


def _is_lazy(given: Any) -> bool:
    """Return whether this is a LazyFrame of polars."""
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(given, polars.LazyFrame)


def _is_sparse(given: Any) -> bool:
    return "scipy.sparse" in sys.modules and bool(sparse.issparse(given))
