"""Raw text to columns at the speed of pyarrow's CSV reader; what it stumbles over goes to the slow twin.

Covers: the fast path for Netflix and delimited text, and narrowing a fault down to the few lines that have it.
Does not cover: cutting files (tasks/parsing/sources/chunks.py), judging single lines (lines.py), Parquet (parquet.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.delimiters import SPACES, single_spaces
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.format.padded_ids import may_have_padded
from funkflow.tasks.parsing.format.quoting import is_sound, record_end, stays_open
from funkflow.tasks.parsing.format.records import continued
from funkflow.tasks.parsing.rows.arrow_columns import column_types, identifiers, items, ratings, times
from funkflow.tasks.parsing.rows.jsonl import parse_json_lines
from funkflow.tasks.parsing.rows.lines import LineReader
from funkflow.tasks.parsing.rows.parquet import parse_row_groups
from funkflow.tasks.parsing.rows.rows import Parsed, Rejected, row_schema
from funkflow.tasks.parsing.rows.texts import Text, joinable, joined, read_text
from funkflow.tasks.parsing.sources.chunks import Chunk, count_lines_before

SLOW_BYTES = 128 * 1024
"""Text up to this size is read line by line once the fast path has failed on it; more is halved and tried again."""

MOST_REJECTED = 200_000
"""So many bad rows in one chunk are no stray rows, and to keep them all would take memory without bound."""

_CSV_BLOCK_BYTES = 2**20  # measured: 8.3 M Netflix rows/s, against 6.2 with blocks of 4 MiB, which leave the cache


def parse_chunk(chunk: Chunk, form: Form, stop_at_first: bool = False) -> Parsed:
    """Read one chunk. The rows keep their order in the input.

    Parameters
    ----------
    stop_at_first : return as soon as one row is rejected; the rows after it are then missing.

    Raises
    ------
    BadInput
        A fault of a whole file: not readable, cut short, not UTF-8, another header than the first file's.
    """
    if form.kind == "parquet":
        return parse_row_groups(chunk, form)
    if form.kind == "jsonl":
        return parse_json_lines(chunk, form, stop_at_first)
    texts = [read_text(piece, form) for piece in chunk]
    fast = _fast(joined(texts), form, texts[0].item) if joinable(texts, form) else None
    if fast is not None:
        return Parsed(fast[0], (), texts[-1].leaves_open)
    tables: list[pa.Table] = []
    rejected: list[Rejected] = []
    for text in texts:
        reader = _Narrowing(form, text, stop_at_first, tables, rejected)
        first_line = 1 + text.lines_above + count_lines_before(text.file, text.begin, form.line_end)
        reader.read(text.data, text.item, first_line)
        if rejected and stop_at_first:
            break
    table = pa.concat_tables(tables) if tables else row_schema(form).empty_table()
    return Parsed(table, tuple(rejected), texts[-1].leaves_open)


def parse_in_order(chunks: Iterable[Chunk], form: Form, stop_at_first: bool = False) -> Iterator[Parsed]:
    """Read chunks one after another, so that each is known to begin inside a quote or not."""
    before: Chunk | None = None
    leaves_open = False
    for chunk in chunks:
        parsed = parse_chunk(continued(chunk, before, leaves_open), form, stop_at_first)
        before, leaves_open = chunk, parsed.leaves_open
        yield parsed


@dataclass
class _Narrowing:
    """Reads a text in which something is wrong: fast halves stay fast, and only small parts go line by line."""

    form: Form
    text: Text
    stop_at_first: bool
    tables: list[pa.Table]
    rejected: list[Rejected]

    def read(self, data: bytes, item: str, line: int) -> str:
        """Read records of which the first begins on line `line`; return the movie in effect after them."""
        fast = _fast(data, self.form, item) if not self.form.quoted or is_sound(data, self.form.delimiter) else None
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
            if len(self.rejected) > MOST_REJECTED:
                raise BadInput(
                    f"{self.rejected[0].message()}; more than {MOST_REJECTED:,} rows from there on are bad, "
                    "so check ingest.format, ingest.columns and ingest.scale"
                )
            return slow.item
        item = self.read(data[:middle], item, line)
        if self.rejected and self.stop_at_first:
            return item
        return self.read(data[middle:], item, line + data.count(b"\n", 0, middle))


def _middle(data: bytes, form: Form) -> int:
    """Return where a record near the middle begins; 0 for none."""
    middle = data.rfind(b"\n", 0, len(data) // 2) + 1
    if form.quoted and stays_open(data[:middle], form.delimiter):
        length = record_end(data[middle:], form.delimiter, inside=True)
        middle = middle + length if length > 0 else 0
    return middle if middle < len(data) else 0


def _fast(data: bytes, form: Form, item: str) -> tuple[pa.Table, str] | None:
    """Return the rows and the movie after them, or None if anything at all is out of the ordinary.

    No quote is followed by text of its field: pyarrow would drop the quotes and take the text.
    """
    if not data:
        return row_schema(form).empty_table(), item
    if _ambiguous(data):
        return None
    headers: list[tuple[int, str]] = []
    if form.delimiter == SPACES:
        data = single_spaces(data)
    try:
        if _has_padded_ids(data, form):
            return None
        raw = _read_csv(data, form, column_types(form), headers)
    except pa.ArrowException:
        return None
    columns = _converted(raw, headers, item, form)
    if any(column is None for column in columns):
        return None
    return pa.table(columns, schema=row_schema(form)), headers[-1][1] if headers else item


def _converted(
    raw: pa.Table, headers: list[tuple[int, str]], item: str, form: Form
) -> list[pa.ChunkedArray | pa.Array | None]:
    found = items(headers, item, raw.num_rows, form) if form.kind == "netflix" else raw[f"c{form.item}"]
    columns = [identifiers(raw[f"c{form.user}"]), None if found is None else identifiers(found)]
    if form.rating >= 0:
        columns.append(ratings(raw[f"c{form.rating}"], form.scale))
    if form.timestamp >= 0:
        columns.append(times(raw[f"c{form.timestamp}"], form.clock))
    return columns


def _ambiguous(data: bytes) -> bool:
    """Arrow reads 0x1F as an integer and a lone carriage return as a line end; the slow path judges both."""
    if any(
        letter in data and b"0" + letter in data for letter in (b"x", b"X")
    ):  # one byte is found much quicker than two
        return True
    return b"\r" in data and data.count(b"\r") != data.count(b"\r\n")


def _has_padded_ids(data: bytes, form: Form) -> bool:
    """Say whether an id is an integer that Arrow would read as another one, such as 007."""
    places = {form.user: form.user_type, form.item: form.item_type}
    names = [f"c{place}" for place, kind in places.items() if place >= 0 and kind == "integer"]
    if not names or not may_have_padded(data, form.delimiter):
        return False
    written = _read_csv(data, form, dict.fromkeys(names, pa.string()), [])
    return any(pc.any(pc.match_substring_regex(written[name], r"^\s*[+-]?0[0-9]|^\s*-0")).as_py() for name in names)


def _read_csv(data: bytes, form: Form, types: dict[str, pa.DataType], headers: list[tuple[int, str]]) -> pa.Table:
    if form.kind == "netflix" and form.width == 1:
        # One column would take the header "17:" for a row: written "17," it has one column too many, and stands out.
        if b"," in data:
            raise pa.ArrowInvalid("a comma among bare users")
        data = data.replace(b":", b",")
    gaps = form.delimiter == "::"
    names = [
        f"{'c' if not gaps or number % 2 == 0 else 'gap'}{number // 2 if gaps else number}"
        for number in range(2 * form.width - 1 if gaps else form.width)
    ]
    types = types | {name: pa.null() for name in names if name.startswith("gap")}

    def header(row: pyarrow.csv.InvalidRow) -> str:
        if form.kind != "netflix" or not re.fullmatch(r"[0-9]+,|[0-9]+:", row.text):
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
