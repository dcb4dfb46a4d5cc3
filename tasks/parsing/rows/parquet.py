"""Parse Parquet ratings to the same rows as text.

Covers: recognising the columns of a Parquet file and of its folders' names, cutting it by row groups, reading them.
Does not cover: converting values (typed_rows.py), or funkflow's own Parquet files (tasks/storage/files.py).
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.columns import ROLES, place_columns
from funkflow.tasks.parsing.format.field_values import Clock, is_integer
from funkflow.tasks.parsing.format.formats import Form, IdKind, Wanted
from funkflow.tasks.parsing.format.typed_columns import (
    column_form,
    is_instant_type,
    natural_id_type,
    plain_values,
    refuse_type,
    stored_type,
)
from funkflow.tasks.parsing.rows.rows import ParsedRows, column_names, row_schema
from funkflow.tasks.parsing.rows.typed_rows import convert
from funkflow.tasks.parsing.rows.typed_values import clock_of_values
from funkflow.tasks.parsing.sources.chunks import Chunk, Piece, RawFile
from funkflow.tasks.parsing.sources.folder_columns import columns_in, with_columns
from funkflow.tasks.parsing.sources.sources import read_range
from funkflow.tasks.storage.filesystems import filesystem, is_local, reaching

_MAGIC = b"PAR1"
_SAMPLE_ROWS = 1000


def recognise_parquet(file: RawFile, wanted: Wanted) -> Form:
    """Return the form of a Parquet file from its schema, the names of its folders and its first times.

    Raises
    ------
    BadInput
        The file is not Parquet or is cut short, or its columns are unclear or have unusable types.
    """
    source = _open_parquet(file)
    schema = source.schema_arrow
    in_folders = {name: value for name, value in columns_in(file.name).items() if name not in schema.names}
    names = (*schema.names, *in_folders)
    places = place_columns(names, wanted.columns, wanted.ratings, file.name, events=wanted.events)
    columns = {role: names[place] for role, place in zip(ROLES, places, strict=True) if place >= 0}
    _refuse_types(schema, columns, file.name)
    user_type, item_type = (
        kind if kind != "auto" else _guess_parquet_id_type(columns[role], schema, in_folders)
        for role, kind in (("user", wanted.user_type), ("item", wanted.item_type))
    )
    beside = f", from folders {', '.join(in_folders)}" if in_folders else ""
    if twice := [name for name in columns_in(file.name) if name in columns.values() and name in schema.names]:
        beside += f"; {', '.join(twice)} from the files, not from the names of folders"
    return column_form(
        kind="parquet",
        described=f"Parquet (columns {', '.join(schema.names)}{beside})",
        header=names,
        places=places,
        id_types=(user_type, item_type),
        clock=_guess_parquet_clock(source, columns.get("timestamp", ""), file),
        wanted=wanted,
    )


def cut_parquet(raw_files: list[RawFile], chunk_bytes: int) -> tuple[list[Chunk], int]:
    """Cut Parquet files by row groups into chunks of about `chunk_bytes` unpacked; return them and the row count."""
    chunks: list[Chunk] = []
    pieces: list[Piece] = []
    rows, gathered = 0, 0
    for file in raw_files:
        metadata = _open_parquet(file).metadata
        rows += metadata.num_rows
        for group in range(metadata.num_row_groups):
            size = metadata.row_group(group).total_byte_size
            if pieces and gathered + size > chunk_bytes:
                chunks.append(tuple(pieces))
                pieces, gathered = [], 0
            if pieces and (pieces[-1].file, pieces[-1].stop) == (file, group):
                pieces[-1] = Piece(file, pieces[-1].start, group + 1)
            else:
                pieces.append(Piece(file, group, group + 1))
            gathered += size
    if not pieces:  # no file has a row; the one chunk has the columns
        pieces = [Piece(raw_files[0], 0, 0)]
    return [*chunks, tuple(pieces)], rows


def parse_row_groups(chunk: Chunk, form: Form) -> ParsedRows:
    """Read the row groups of a chunk; the `line` of a rejected row is its number in the file, from 1."""
    parsed = [_parse_piece(piece, form) for piece in chunk]
    return ParsedRows(
        pa.concat_tables([part.table for part in parsed]), tuple(row for part in parsed for row in part.rejected)
    )


def _open_parquet(file: RawFile) -> pq.ParquetFile:
    if file.start:
        raise BadInput(f"{file.name}: Parquet inside an archive is not read; unpack it first")
    system, path = filesystem(file.url)
    try:
        with reaching(file.url):
            # Read only the requested ranges of a remote file, adjacent columns in one request.
            remote = not is_local(system)
            return pq.ParquetFile(system.open(path, "rb", cache_type="none" if remote else None), pre_buffer=remote)
    except (pa.ArrowException, OSError) as cause:
        if read_range(file.url, 0, len(_MAGIC)) != _MAGIC:
            raise BadInput(f"{file.name}: this is no Parquet; name it for what it is, or set ingest.format") from cause
        raise BadInput(
            f"{file.name}: not a whole Parquet file ({cause}); it is damaged or cut short, fetch it again"
        ) from cause


def first_rows(file: RawFile, form: Form, rows: int) -> pa.Table:
    """Return the good rows among the first `rows` rows of a file."""
    source = _open_parquet(file)
    columns = column_names(form)
    names = [name for name in columns.values() if name in source.schema_arrow.names]
    batch = next(source.iter_batches(rows, columns=names), None)
    if batch is None:
        return row_schema(form).empty_table()
    return convert(_columns_by_role(pa.table(batch), file, columns), form, file.name, 1).table


def _columns_by_role(raw: pa.Table, file: RawFile, columns: dict[str, str]) -> pa.Table:
    """Return the columns by role, including those of folder names."""
    return with_columns(raw, file.name, columns.values()).select(columns.values()).rename_columns(list(columns))


def _parse_piece(piece: Piece, form: Form) -> ParsedRows:
    file = piece.file
    source = _open_parquet(file)
    columns = column_names(form)
    in_file = [name for name in columns.values() if name in source.schema_arrow.names]
    for name in columns.values():
        if name not in in_file and name not in columns_in(file.name):
            raise BadInput(
                f"{file.name}: no column {name!r} among {', '.join(source.schema_arrow.names)}, unlike the first file; "
                "ingest them apart"
            )
    _refuse_types(source.schema_arrow, columns, file.name)
    try:
        with reaching(file.url):
            raw = source.read_row_groups(range(piece.start, piece.stop), columns=in_file)
    except (pa.ArrowException, OSError) as cause:
        raise _unreadable(file, cause) from cause
    raw = _columns_by_role(raw, file, columns)
    above = sum(source.metadata.row_group(group).num_rows for group in range(piece.start))
    return convert(raw, form, file.name, above + 1)


def _refuse_types(schema: pa.Schema, columns: dict[str, str], file: str) -> None:
    """Raise BadInput if a column of the file (names by role) has an unusable type."""
    for role, name in columns.items():
        if name in schema.names:
            refuse_type(schema.field(name).type, role, name, file)


def _guess_parquet_id_type(name: str, schema: pa.Schema, in_folders: dict[str, str | None]) -> IdKind:
    if name in schema.names:
        return natural_id_type(schema.field(name).type)
    return "integer" if is_integer(in_folders[name] or "") else "string"


def _guess_parquet_clock(source: pq.ParquetFile, name: str, file: RawFile) -> Clock:
    """Return the clock of the first times."""
    if name not in source.schema_arrow.names:
        return clock_of_values([columns_in(file.name).get(name)])
    if is_instant_type(stored_type(source.schema_arrow.field(name).type)):
        return "seconds"
    try:
        with reaching(file.url):
            batch = next(source.iter_batches(_SAMPLE_ROWS, columns=[name]), None)
    except (pa.ArrowException, OSError) as cause:
        raise _unreadable(file, cause) from cause
    return clock_of_values(plain_values(batch.column(0)).to_pylist() if batch else [])


def _unreadable(file: RawFile, cause: BaseException) -> BadInput:
    return BadInput(f"{file.name}: cannot be read ({cause}); it is damaged or cut short, fetch it again")
