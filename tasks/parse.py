"""Raw text to columns at the speed of pyarrow's CSV reader; what it stumbles over goes to the slow twin.

Covers: the fast path for Netflix and delimited text, and narrowing a fault down to the few lines that have it.
Does not cover: cutting files (chunks.py), judging single lines (parse_lines.py), Parquet (parse_parquet.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tasks.chunks import Chunk, Piece, RawFile, count_lines_before, header_above, read_lines
from tasks.errors import BadInput
from tasks.formats import Form, split_line
from tasks.other_kinds import refuse_bytes
from tasks.parse_jsonl import parse_json_lines
from tasks.parse_lines import LineReader
from tasks.parse_parquet import parse_row_groups
from tasks.rows import EARLIEST_SECONDS, LATEST_SECONDS, Parsed, Rejected, row_schema

SLOW_BYTES = 128 * 1024
"""Text up to this size is read line by line once the fast path has failed on it; more is halved and tried again."""

MOST_REJECTED = 200_000
"""So many bad rows in one chunk are no stray rows, and to keep them all would take memory without bound."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_CSV_BLOCK_BYTES = 2**20  # measured: 8.3 M Netflix rows/s, against 6.2 with blocks of 4 MiB, which leave the cache


@dataclass(frozen=True)
class _Text:
    """Whole lines without byte order mark and column header. `item`: the movie they begin under, or ""."""

    data: bytes
    file: RawFile
    begin: int
    lines_above: int
    item: str


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
    texts = [_text(piece, form) for piece in chunk]
    fast = _fast(_joined(texts), form, texts[0].item) if _joinable(texts, form) else None
    if fast is not None:
        return Parsed(fast[0], ())
    tables: list[pa.Table] = []
    rejected: list[Rejected] = []
    for text in texts:
        reader = _Narrowing(form, text, stop_at_first, tables, rejected)
        first_line = 1 + text.lines_above + count_lines_before(text.file, text.begin)
        reader.read(text.data, text.item, first_line)
        if rejected and stop_at_first:
            break
    return Parsed(pa.concat_tables(tables) if tables else row_schema(form).empty_table(), tuple(rejected))


@dataclass
class _Narrowing:
    """Reads a text in which something is wrong: fast halves stay fast, and only small parts go line by line."""

    form: Form
    text: _Text
    stop_at_first: bool
    tables: list[pa.Table]
    rejected: list[Rejected]

    def read(self, data: bytes, item: str, line: int) -> str:
        """Read lines of which the first is number `line`; return the movie in effect after them."""
        fast = _fast(data, self.form, item)
        if fast is not None:
            self.tables.append(fast[0])
            return fast[1]
        middle = data.rfind(b"\n", 0, len(data) // 2) + 1
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


def _text(piece: Piece, form: Form) -> _Text:
    data, begin = read_lines(piece)
    item, lines_above = "", 0
    if begin == piece.file.start:
        refuse_bytes(data, piece.file.name)
        data = data.removeprefix(_BYTE_ORDER_MARK)
        if form.header:
            first, _, data = data.partition(b"\n")
            found = tuple(
                split_line(first.rstrip(b"\r").decode("utf-8", "backslashreplace"), form.delimiter, form.quoted)
            )
            if found != form.header:
                raise BadInput(
                    f"{piece.file.name}:1: the columns {', '.join(found)!r} are not those of the first file, "
                    f"{', '.join(form.header)!r}; ingest them apart"
                )
            lines_above = 1
    elif form.kind == "netflix" and data:
        above = header_above(piece.file, begin, b":" if form.width == 1 else None)
        item = above[:-1].decode() if re.fullmatch(rb"[0-9]+:", above) else ""
    return _Text(data, piece.file, begin, lines_above, item)


def _joinable(texts: list[_Text], form: Form) -> bool:
    """Netflix files may be joined if each begins with a movie header: none takes that of the file before."""
    if form.kind != "netflix":
        return True
    return all(text.data[: text.data.find(b"\n")].rstrip(b"\r").endswith(b":") for text in texts[1:])


def _joined(texts: list[_Text]) -> bytes:
    if len(texts) == 1:
        return texts[0].data
    return b"".join(_ended(text.data) for text in texts)


def _ended(data: bytes) -> bytes:
    return data if data.endswith(b"\n") or not data else data + b"\n"


def _fast(data: bytes, form: Form, item: str) -> tuple[pa.Table, str] | None:
    """Return the rows and the movie after them, or None if anything at all is out of the ordinary."""
    if not data:
        return row_schema(form).empty_table(), item
    if _ambiguous(data):
        return None
    headers: list[tuple[int, str]] = []
    try:
        raw = _read_csv(data, form, headers)
    except pa.ArrowException:
        return None
    if form.quoted and b'"' in data and raw.num_rows != data.count(b"\n") + (not data.endswith(b"\n")):
        return None
    items = _items(headers, item, raw.num_rows, form) if form.kind == "netflix" else raw[f"c{form.item}"]
    columns: list[pa.ChunkedArray | pa.Array | None] = [
        _identifiers(raw[f"c{form.user}"]),
        None if items is None else _identifiers(items),
    ]
    if form.rating >= 0:
        columns.append(_ratings(raw[f"c{form.rating}"], form.scale))
    if form.timestamp >= 0:
        columns.append(_times(raw[f"c{form.timestamp}"]))
    if any(column is None for column in columns):
        return None
    return pa.table(columns, schema=row_schema(form)), headers[-1][1] if headers else item


def _ambiguous(data: bytes) -> bool:
    """Arrow reads 0x1F as an integer and a lone carriage return as a line end; the slow path judges both."""
    if any(
        letter in data and b"0" + letter in data for letter in (b"x", b"X")
    ):  # one byte is found much quicker than two
        return True
    return b"\r" in data and data.count(b"\r") != data.count(b"\r\n")


def _read_csv(data: bytes, form: Form, headers: list[tuple[int, str]]) -> pa.Table:
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
    types = _column_types(form, [name for name in names if name.startswith("gap")])

    def header(row: pyarrow.csv.InvalidRow) -> str:
        if form.kind != "netflix" or not re.fullmatch(r"[0-9]+,|[0-9]+:", row.text):
            return "error"
        headers.append((row.number, row.text[:-1]))
        return "skip"

    return pyarrow.csv.read_csv(
        pa.BufferReader(data),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=_CSV_BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=form.delimiter[0], quote_char='"' if form.quoted else False, invalid_row_handler=header
        ),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[""]),
    )


def _column_types(form: Form, gaps: list[str]) -> dict[str, pa.DataType]:
    schema = row_schema(form)
    types = {f"c{form.user}": schema.field("user").type, **dict.fromkeys(gaps, pa.null())}
    if form.item >= 0:
        types[f"c{form.item}"] = schema.field("item").type
    if form.rating >= 0:
        types[f"c{form.rating}"] = pa.float64()
    if form.timestamp >= 0:
        clocks = {
            "seconds": pa.int64(),
            "iso": pa.timestamp("s"),
            "fraction": pa.timestamp("us"),
            "zoned": pa.timestamp("us", "UTC"),
        }
        types[f"c{form.timestamp}"] = clocks[form.clock]
    return types


def _items(headers: list[tuple[int, str]], item: str, rows: int, form: Form) -> pa.Array | None:
    """Repeat each movie over its rows: header k was row `number` of the text, after number - 1 - k rows of ratings."""
    starts = [0, *(number - 1 - k for k, (number, _) in enumerate(headers)), rows]
    places = np.array(starts, np.int64)
    counts = places[1:] - places[:-1]
    names = [item, *(name for _, name in headers)]
    if not item:
        if counts[0]:
            return None
        counts, names = counts[1:], names[1:]
    if form.item_type == "string":
        return pa.array(names, pa.string()).take(pa.array(np.repeat(np.arange(len(names)), counts)))
    movies = [int(name) for name in names]
    return pa.array(np.repeat(np.array(movies, np.int64), counts)) if max(movies, default=0) < 2**63 else None


def _identifiers(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array | None:
    if column.null_count or (
        pa.types.is_string(column.type) and len(column) and pc.min(pc.binary_length(column)).as_py() == 0
    ):
        return None
    return column


def _ratings(column: pa.ChunkedArray, scale: tuple[float, float] | None) -> pa.Array | None:
    if column.null_count:
        return None
    least, greatest = scale or (-_LARGEST_FLOAT32, _LARGEST_FLOAT32)
    narrow: npt.NDArray[np.float32] = np.empty(len(column), np.float32)
    start = 0
    for chunk in column.chunks:
        values = chunk.to_numpy()
        if len(values) and not (values.min() >= least and values.max() <= greatest):  # NaN fails both
            return None
        narrow[start : start + len(values)] = values
        start += len(values)
    return pa.array(narrow)


def _times(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    if column.null_count:
        return None
    seconds = column.cast(pa.int64())
    if pa.types.is_timestamp(column.type) and column.type.unit == "us":
        seconds = pa.chunked_array([np.floor_divide(seconds.to_numpy(), 1_000_000)])
    extremes = pc.min_max(seconds).as_py()
    if len(seconds) and not (extremes["min"] >= EARLIEST_SECONDS and extremes["max"] <= LATEST_SECONDS):
        return None
    return seconds.cast(pa.timestamp("s"))
