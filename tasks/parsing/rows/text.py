"""Parse raw text with pyarrow's CSV reader, and the few lines it cannot read with the reference parser.

Covers: the fast path for Netflix and delimited text, and narrowing a fault down to a few lines.
Does not cover: cutting files (tasks/parsing/sources/chunks.py), parsing single lines (lines.py), Parquet (parquet.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from funkflow.tasks.parsing.format.delimiters import SPACES, single_spaces
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.format.padded_ids import may_have_padded
from funkflow.tasks.parsing.format.quoting import ends_open, is_sound, record_end
from funkflow.tasks.parsing.format.records import continue_chunk
from funkflow.tasks.parsing.rows.arrow_columns import column_types, id_column, item_column, rating_column, time_column
from funkflow.tasks.parsing.rows.jsonl import parse_json_lines
from funkflow.tasks.parsing.rows.lines import LineReader
from funkflow.tasks.parsing.rows.parquet import parse_row_groups
from funkflow.tasks.parsing.rows.plain_lines import read_plain_lines
from funkflow.tasks.parsing.rows.rows import ParsedRows, RejectedRow, refuse_too_many_rejected, row_schema
from funkflow.tasks.parsing.rows.texts import Text, can_join, join_texts, read_text
from funkflow.tasks.parsing.sources.chunks import Chunk, count_lines_before

SLOW_BYTES = 128 * 1024
"""If the fast path fails, the parser reads text up to this size line by line, and halves longer text."""

_CSV_BLOCK_BYTES = 2**20  # measured: 8.3 M Netflix rows/s, against 6.2 with blocks of 4 MiB, which leave the cache


def parse_chunk(chunk: Chunk, form: Form, stop_at_first: bool = False, compiled: bool = False) -> ParsedRows:
    """Read one chunk; rows keep their input order.

    Parameters
    ----------
    stop_at_first : return at the first rejected row, without the rows after it.
    compiled : read plain lines by compiled loops, which take longer to load than a few million rows to read.

    Raises
    ------
    BadInput
        A whole file is bad: not readable, cut short, not UTF-8, or with another header than the first file's.
    """
    if form.kind == "parquet":
        return parse_row_groups(chunk, form)
    if form.kind == "jsonl":
        return parse_json_lines(chunk, form, stop_at_first)
    texts = [read_text(piece, form) for piece in chunk]
    fast = _read_fast(join_texts(texts), form, texts[0].item, compiled) if can_join(texts, form) else None
    if fast is not None:
        return ParsedRows(fast[0], (), texts[-1].leaves_open)
    tables: list[pa.Table] = []
    rejected: list[RejectedRow] = []
    for text in texts:
        reader = _Narrowing(form, text, stop_at_first, tables, rejected, compiled)
        first_line = 1 + text.lines_above + count_lines_before(text.file, text.begin, form.line_end)
        reader.read(text.data, text.item, first_line)
        if rejected and stop_at_first:
            break
    table = pa.concat_tables(tables) if tables else row_schema(form).empty_table()
    return ParsedRows(table, tuple(rejected), texts[-1].leaves_open)


def parse_in_order(
    chunks: Iterable[Chunk], form: Form, stop_at_first: bool = False, compiled: bool = False
) -> Iterator[ParsedRows]:
    """Read chunks in order, so that the end of each shows whether the next begins inside a quote."""
    before: Chunk | None = None
    leaves_open = False
    for chunk in chunks:
        parsed = parse_chunk(continue_chunk(chunk, before, leaves_open), form, stop_at_first, compiled)
        before, leaves_open = chunk, parsed.leaves_open
        yield parsed


@dataclass
class _Narrowing:
    """Reads a text with faults: the fast path reads the good halves, the reference parser small bad parts."""

    form: Form
    text: Text
    stop_at_first: bool
    tables: list[pa.Table]
    rejected: list[RejectedRow]
    compiled: bool

    def read(self, data: bytes, item: str, line: int) -> str:
        """Read records from line `line` on; return the movie in effect after them."""
        is_readable = not self.form.quoted or is_sound(data, self.form.delimiter)
        fast = _read_fast(data, self.form, item, self.compiled) if is_readable else None
        if fast is not None:
            self.tables.append(fast[0])
            return fast[1]
        middle = _middle(data, self.form)
        if len(data) <= SLOW_BYTES or middle == 0:
            slow = LineReader(self.form, self.text.file.name, line, item)
            slow.read(data)
            parsed = slow.parsed()
            self.tables.append(parsed.table)
            self.rejected.extend(parsed.rejected)
            refuse_too_many_rejected(self.rejected)
            return slow.item
        item = self.read(data[:middle], item, line)
        if self.rejected and self.stop_at_first:
            return item
        return self.read(data[middle:], item, line + data.count(b"\n", 0, middle))


def _middle(data: bytes, form: Form) -> int:
    """Return the start of a record near the middle; 0 for none."""
    middle = data.rfind(b"\n", 0, len(data) // 2) + 1
    if form.quoted and ends_open(data[:middle], form.delimiter):
        length = record_end(data[middle:], form.delimiter, inside=True)
        middle = middle + length if length > 0 else 0
    return middle if middle < len(data) else 0


def _read_fast(data: bytes, form: Form, item: str, compiled: bool) -> tuple[pa.Table, str] | None:
    """Return the rows and the movie after them, or None if anything is unusual.

    The caller excludes text after a closing quote: pyarrow would drop the quotes and keep the text.
    """
    if not data:
        return row_schema(form).empty_table(), item
    if form.delimiter == SPACES:
        data = single_spaces(data)
    if compiled and (plain := read_plain_lines(data, form, item)) is not None:
        table = _to_table(plain[0], plain[0][f"c{form.item}"], form)
        return None if table is None else (table, plain[1])
    if _is_ambiguous(data):
        return None
    headers: list[tuple[int, str]] = []
    try:
        if _has_padded_ids(data, form):
            return None
        raw = _read_csv(data, form, column_types(form), headers)
    except pa.ArrowException:
        return None
    items = item_column(headers, item, raw.num_rows, form) if form.kind == "netflix" else raw[f"c{form.item}"]
    table = _to_table(raw, items, form)
    return None if table is None else (table, headers[-1][1] if headers else item)


def _to_table(
    raw: pa.Table | dict[str, pa.ChunkedArray], items: pa.ChunkedArray | pa.Array | None, form: Form
) -> pa.Table | None:
    """Return rows of columns as read; None if a value is unusual."""
    columns = [id_column(raw[f"c{form.user}"]), None if items is None else id_column(items)]
    if form.rating >= 0:
        columns.append(rating_column(raw[f"c{form.rating}"], form.scale))
    if form.timestamp >= 0:
        columns.append(time_column(raw[f"c{form.timestamp}"], form.clock))
    return None if any(column is None for column in columns) else pa.table(columns, schema=row_schema(form))


def _is_ambiguous(data: bytes) -> bool:
    """Return whether the text has 0x1F, which Arrow reads as an integer, or a carriage return as line end."""
    if any(
        letter in data and b"0" + letter in data for letter in (b"x", b"X")
    ):  # one byte is found much quicker than two
        return True
    return b"\r" in data and data.count(b"\r") != data.count(b"\r\n")


def _has_padded_ids(data: bytes, form: Form) -> bool:
    """Return whether Arrow would read some id as another integer, such as 007."""
    places = {form.user: form.user_type, form.item: form.item_type}
    found = [place for place, kind in places.items() if place >= 0 and kind == "integer"]
    names = [f"c{place}" for place in found]
    if not found or not may_have_padded(data, form.delimiter, first=min(found) == 0, later=max(found) > 0):
        return False
    written = _read_csv(data, form, dict.fromkeys(names, pa.string()), [])
    return any(pc.any(pc.match_substring_regex(written[name], r"^\s*[+-]?0[0-9]|^\s*-0")).as_py() for name in names)


def _read_csv(data: bytes, form: Form, types: dict[str, pa.DataType], headers: list[tuple[int, str]]) -> pa.Table:
    if form.kind == "netflix" and form.width == 1:
        # In one column a header "17:" looks like a row; as "17," it has one column too many, so Arrow rejects it.
        if b"," in data:
            raise pa.ArrowInvalid("a comma among bare users")
        data = data.replace(b":", b",")
    gaps = form.delimiter == "::"
    names = [
        f"{'c' if not gaps or number % 2 == 0 else 'gap'}{number // 2 if gaps else number}"
        for number in range(2 * form.width - 1 if gaps else form.width)
    ]
    types = types | {name: pa.null() for name in names if name.startswith("gap")}

    # Of wider rows, "5," is a damaged row and no header.
    mark = "," if form.width == 1 else ":"

    def header(row: pyarrow.csv.InvalidRow) -> str:
        if form.kind != "netflix" or not re.fullmatch(rf"[0-9]+{mark}", row.text):
            return "error"
        headers.append((row.number, row.text[:-1]))
        return "skip"

    return pyarrow.csv.read_csv(
        pa.BufferReader(data),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=_CSV_BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=form.delimiter[0],
            quote_char='"' if form.quoted else False,
            newlines_in_values=form.quoted and b'"' in data,
            invalid_row_handler=header,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types, include_columns=list(types), null_values=[""], decimal_point=form.decimal
        ),
    )
