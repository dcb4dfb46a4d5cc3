"""Read files of (user, item) pairs to predict, and write predictions as a Netflix Prize submission.

Covers: raw ids of CSV, TSV, Parquet and qualifying.txt in file order; finding the line of a pair.
Does not cover: predicting (tasks/model/model.py), or validation pairs, which are read by part
(tasks/dataset/hold_out.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.erased_ids import NOBODY
from funkflow.tasks.parsing.format.columns import Column
from funkflow.tasks.parsing.format.formats import Form, IdType, Wanted
from funkflow.tasks.parsing.format.quoting import Quoting
from funkflow.tasks.parsing.format.records import continue_chunk, read_records, split_records
from funkflow.tasks.parsing.prepare import prepare_leniently, unpack_here
from funkflow.tasks.parsing.rows.jsonl import numbered_rows
from funkflow.tasks.parsing.rows.lines import LineReader
from funkflow.tasks.parsing.rows.rows import ParsedRows
from funkflow.tasks.parsing.rows.text import parse_chunk, parse_in_order
from funkflow.tasks.parsing.sources.chunks import Chunk, read_lines
from funkflow.tasks.parsing.sources.sources import find_sources
from funkflow.tasks.parsing.understood import describe_first_file
from funkflow.tasks.storage import files

_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Pairs:
    """Pairs of raw ids, int64 or string, in the order of the file, with times where the file has some.

    `is_netflix`: the file has movie headers; `understood`: one line about its form, for the user.
    """

    table: pa.Table
    is_netflix: bool
    understood: str


def read_pairs(
    url: str,
    user_type: IdType = "auto",
    item_type: IdType = "auto",
    columns: Sequence[Column] = (),
    quoting: Quoting = "auto",
) -> Pairs:
    """Read the pairs of one file, without ratings.

    Parameters
    ----------
    columns : names of the columns of users, items and times, as far as they are unusual.

    Raises
    ------
    BadInput
        There is no such file, its columns are unclear, or a line is malformed.
    """
    (source,), (user, item, timestamp) = find_sources([url]), (*columns, None, None, None)[:3]
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Wanted(
            columns=(user, item, None, timestamp),
            user_type=user_type,
            item_type=item_type,
            ratings=False,
            quoting=quoting,
        )
        plain = unpack_here(source, scratch)
        prepared = prepare_leniently(plain, wanted, _CHUNK_BYTES)
        line = describe_first_file(plain[0], prepared.form, NOBODY)
        tables = [
            _select_pairs(parsed) for parsed in parse_in_order(prepared.chunks, prepared.form, stop_at_first=True)
        ]
    return Pairs(pa.concat_tables(tables), prepared.form.kind == "netflix", line)


def write_netflix_predictions(url: str, items: pa.ChunkedArray | pa.Array, ratings: npt.NDArray[np.floating]) -> None:
    """Write a submission: a movie header at each change of the item, and one prediction a line, in order."""
    names = items.to_pylist()
    lines: list[str] = []
    before: object = None
    for name, rating in zip(names, ratings.tolist(), strict=True):
        if name != before:
            lines.append(f"{name}:")
            before = name
        lines.append(f"{rating:.4f}")
    files.write_bytes(url, ("\n".join(lines) + "\n").encode())


def find_line(
    chunks: Iterable[Chunk], form: Form, pairs: set[tuple[int | str, int | str]]
) -> tuple[str, int, tuple[int | str, int | str]] | None:
    """Return file, line and pair of the first of `pairs` in the chunks. Slow: use it only for a message."""
    for file, line, pair in _numbered_pairs(chunks, form):
        if pair in pairs:
            return file, line, pair
    return None


def _select_pairs(parsed: ParsedRows) -> pa.Table:
    if parsed.rejected:
        row = parsed.rejected[0]
        raise BadInput(f"{row.file}:{row.line}: {row.reason}: {row.text[:80]!r}; mend or remove the line")
    there = parsed.table.column_names
    return parsed.table.select([name for name in ("user", "item", "timestamp") if name in there])


def _numbered_pairs(chunks: Iterable[Chunk], form: Form) -> Iterator[tuple[str, int, tuple[int | str, int | str]]]:
    line, item = 1, ""
    before: Chunk | None = None
    leaves_open = False
    for piece in (piece for chunk in chunks for piece in chunk):
        if piece.start == piece.file.start:
            line, item = 1, ""
        if form.kind == "parquet":
            table = parse_chunk((piece,), form).table
            for pair in zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True):
                yield piece.file.name, line, pair
                line += 1
            continue
        if form.kind == "jsonl":
            for number, row in numbered_rows(piece, form, line):
                yield piece.file.name, number, (row[0], row[1])
            line += read_lines(piece)[0].count(b"\n")
            continue
        reader = LineReader(form, piece.file.name, line, item)
        (begun,) = continue_chunk((piece,), before, leaves_open)
        found = read_records(begun, form)
        before, leaves_open = (piece,), found.leaves_open
        for record in split_records(found.data, form):
            reader.rows.clear()
            line = reader.line
            reader.read(record)
            for row in reader.rows:
                yield piece.file.name, line, (row[0], row[1])
        line, item = reader.line, reader.item
