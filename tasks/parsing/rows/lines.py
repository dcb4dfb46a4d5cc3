"""The plain reference parser of raw ratings: one line or record at a time, in Python.

Covers: every text form, the exact line and reason of each bad row; the fast path must agree with it.
Does not cover: speed (text.py calls it only for the few lines that it cannot read), Parquet (parquet.py).
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.delimiters import split_line
from funkflow.tasks.parsing.format.field_values import INTEGER, NUMBER, PLAIN_INTEGER, TIME, UNITS, Clock, iso_date
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.format.quoting import AS_LETTERS, split_strictly
from funkflow.tasks.parsing.format.records import split_records
from funkflow.tasks.parsing.rows.rows import (
    EARLIEST_SECONDS,
    LARGEST_FLOAT32,
    LATEST_SECONDS,
    ParsedRows,
    RejectedRow,
    row_schema,
    value_array,
)
from funkflow.tasks.transform import COUNTS

QUARANTINE_REMEDY = 'set ingest.on_bad_rows = "quarantine" to quarantine such rows'
WITHOUT_TIMES = f'leave times out with ingest.columns.timestamp = "none", or {QUARANTINE_REMEDY}'
UTF8_REMEDY = "convert it to UTF-8, for instance by iconv -f LATIN1 -t UTF-8"

_NETFLIX_DATE = re.compile(r"\d{4}-\d\d-\d\d")
NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)

Row = tuple[Any, ...]
"""user, item (int or str), then rating (float) and seconds since 1970 (int) if the form has them."""


class BadField(Exception):
    """A bad value, with reason and remedy. `of_all`: the fault concerns the whole file."""

    def __init__(self, reason: str, remedy: str = QUARANTINE_REMEDY, of_all: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.of_all = of_all


@dataclass
class LineReader:
    """Reads lines of one file in order; in Netflix text `item` is the movie of the last header, or ""."""

    form: Form
    file: str
    line: int = 1
    item: str = ""
    rows: list[Row] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)

    def read(self, data: bytes) -> None:
        """Read whole records. Only a file's last may lack its line end; if it is also bad, the file seems cut short."""
        for raw in split_records(data, self.form):
            cut_short = "" if raw.endswith(b"\n") else " (no line end: the file seems cut short)"
            self._line(raw.removesuffix(b"\n").removesuffix(b"\r"), cut_short)

    def parsed(self) -> ParsedRows:
        """Return all rows so far as a table with the schema of the form."""
        schema = row_schema(self.form)
        columns = zip(*self.rows, strict=True) if self.rows else ([] for _ in schema)
        arrays = [value_array(list(values), kind.type) for values, kind in zip(columns, schema, strict=True)]
        return ParsedRows(pa.table(arrays, schema=schema), tuple(self.rejected))

    def _line(self, raw: bytes, cut_short: str) -> None:
        text = raw.decode("utf-8", errors="surrogateescape")
        try:
            if text:
                self._netflix(text) if self.form.kind == "netflix" else self._delimited(text)
        except BadField as bad:
            shown = _escape_bytes(text)
            if bad.of_all:
                raise BadInput(f"{self.file}:{self.line}: {bad.reason}: {shown[:80]!r}; {bad.remedy}") from bad
            self.rejected.append(RejectedRow(self.file, self.line, shown, bad.reason + cut_short, bad.remedy))
        self.line += 1 + raw.count(b"\n")

    def _netflix(self, text: str) -> None:
        if "," not in text and (text.endswith(":") or self.form.width > 1):
            self._refuse_wrong_encoding(text, text)
            self.item = ""
            if not re.fullmatch(r"[0-9]+:", text):
                raise BadField(
                    "malformed movie header (expected a movie id and a colon)" if ":" in text else "malformed row"
                )
            judge_id(text[:-1], self.form.item_type, "item")
            self.item = text[:-1]
            return
        fields = text.split(",")
        if len(fields) != self.form.width:
            self._refuse_wrong_encoding(text, text)
            raise BadField(f"{len(fields)} columns where {self.form.width} are expected")
        if not self.item:
            raise BadField(
                "no movie header above this row", "restore the line such as '17:' above it, or " + QUARANTINE_REMEDY
            )
        self._row(fields, self.item, text)

    def _delimited(self, text: str) -> None:
        try:
            fields = _split_fields(text, self.form)
            if len(fields) != self.form.width:
                raise BadField(f"{len(fields)} columns where {self.form.width} are expected")
        except BadField:
            self._refuse_wrong_encoding(text, text)
            raise
        self._row(fields, fields[self.form.item], text)

    def _row(self, fields: list[str], item: str, text: str) -> None:
        form = self.form
        used = [fields[place] for place in (form.user, form.rating, form.timestamp) if place >= 0]
        self._refuse_wrong_encoding("".join(used) + item, text)
        rating = fields[form.rating] if form.rating >= 0 else None
        timestamp = fields[form.timestamp] if form.timestamp >= 0 else None
        self.rows.append(judge_row(fields[form.user], item, rating, timestamp, form))

    def _refuse_wrong_encoding(self, looked_at: str, text: str) -> None:
        if any("\udc80" <= character <= "\udcff" or character == "\x00" for character in looked_at):
            shown = _escape_bytes(text)[:80]
            raise BadInput(
                f"{self.file}:{self.line}: wrong encoding, these bytes are not UTF-8: {shown!r}; {UTF8_REMEDY}"
            )


def judge_row(user: str, item: str, rating: str | None, timestamp: str | None, form: Form) -> Row:
    """Return the values of one row; raise `BadField` for the first bad one."""
    row: list[Any] = [judge_id(user, form.user_type, "user"), judge_id(item, form.item_type, "item")]
    if rating is not None:
        row.append(_parse_rating(rating, form))
    if timestamp is not None:
        if form.kind == "netflix" and not _NETFLIX_DATE.fullmatch(timestamp.strip()):
            raise BadField(f"date {timestamp!r} is not YYYY-MM-DD")
        row.append(_parse_seconds(timestamp, form.clock, form.fractional))
    return tuple(row)


def judge_id(text: str, kind: str, role: str) -> int | str:
    """Return a raw id of this kind, a 64-bit integer or non-empty text, without surrounding blanks.

    A padded integer such as 007 is a fault of the whole file: 7 may be another user.
    """
    stripped = text.strip(" ") if kind == "string" else text.strip()
    if not stripped:
        raise BadField(f"the {role} is empty")
    if kind == "string":
        return stripped
    number = int(stripped) if INTEGER.fullmatch(stripped) else None
    if number is None or not -(2**63) <= number < 2**63:
        raise BadField(
            f"{role} {text!r} is not an integer",
            f'set ingest.id_type = "string" if ids are not numbers, or {QUARANTINE_REMEDY}',
        )
    if not PLAIN_INTEGER.fullmatch(stripped):
        raise BadField(
            f"{role} {text!r} is not the integer {number}, which may be another {role}",
            'set ingest.id_type = "string" to keep ids as they are written',
            of_all=True,
        )
    return number


def _parse_rating(text: str, form: Form) -> float:
    if NOT_FINITE.fullmatch(text.strip()):
        raise BadField(f"rating {text.strip()} is not a finite number")
    written = text.replace(",", ".") if form.decimal == "," and "." not in text else text
    if not NUMBER.fullmatch(written.strip()) or (form.decimal == "," and "." in text):
        raise BadField(f"rating {text!r} is not a number" + (" with a decimal comma" if form.decimal == "," else ""))
    return rating_within(float(written), text, form.scale)


def rating_within(rating: float, shown: str, scale: tuple[float, float] | None) -> float:
    """Return a rating of 32 bits within the scale; raise `BadField` for any other. `shown`: its text."""
    if not abs(rating) <= LARGEST_FLOAT32:
        raise BadField(f"rating {shown} is not a finite number of 32 bits")
    if scale == COUNTS and not scale[0] <= rating <= scale[1]:
        raise BadField(
            f"count {shown} is no number above 0 and up to a billion",
            f"leave out pairs that never met, as all pairs without a row count 0; or {QUARANTINE_REMEDY}",
        )
    if scale is not None and not scale[0] <= rating <= scale[1]:
        raise BadField(
            f"rating {shown} is outside the scale {scale[0]:g} to {scale[1]:g}",
            f"set ingest.scale if the scale is wider, or {QUARANTINE_REMEDY}",
        )
    return rating


def _parse_seconds(text: str, clock: Clock, fractional: bool) -> int:
    stripped = text.strip()
    if clock == "date" and INTEGER.fullmatch(stripped):
        stripped = iso_date(str(int(stripped)))
    if not stripped:
        raise BadField(f"timestamp {text!r} is no date", WITHOUT_TIMES)
    is_count = clock != "date" and NUMBER.fullmatch(stripped)
    seconds = _since_1970(stripped, clock, fractional) if is_count else _moment(stripped, text)
    if not EARLIEST_SECONDS <= seconds <= LATEST_SECONDS:
        unit = clock if clock in UNITS else "seconds"
        raise BadField(
            f"timestamp {text} is not in the years 1 to 9999 ({unit} since 1970 are expected)", WITHOUT_TIMES
        )
    return seconds


def _since_1970(number: str, clock: Clock, fractional: bool) -> int:
    """Return a number of the clock's unit in whole seconds, rounded down."""
    unit = UNITS.get(clock, 1)
    if INTEGER.fullmatch(number) and not fractional:
        return int(number) // unit
    value = float(number) // unit
    return int(value) if abs(value) < 2.0**62 else LATEST_SECONDS + 1


def _moment(stripped: str, text: str) -> int:
    """Return an ISO date or time in seconds since 1970; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(stripped) if TIME.fullmatch(stripped) else None
    except ValueError:
        moment = None
    if moment is None:
        raise BadField(f"timestamp {text!r} is neither an ISO date nor a number since 1970", WITHOUT_TIMES)
    zoned = moment.replace(tzinfo=moment.tzinfo or UTC)
    return int((zoned - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1)


def _escape_bytes(text: str) -> str:
    r"""Show bytes that are not UTF-8 as escapes such as \xeb, all else as it is."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _split_fields(text: str, form: Form) -> list[str]:
    """Split a record into fields; refuse text after a closing quote."""
    fields = split_line(text, form.delimiter, quoted=False)
    if form.quoted and '"' in text:
        try:
            fields = split_strictly(text, form.delimiter)
        except csv.Error as cause:
            if "unexpected end" in str(cause):
                raise BadField("a quote that is opened and not closed") from cause
            if "expected after" in str(cause):
                raise BadField(
                    "text after the closing quote of a field",
                    f"set {AS_LETTERS}, or {QUARANTINE_REMEDY}",
                ) from cause
            raise BadField("a carriage return inside the line") from cause
        if sum(field.count("\r") for field in fields) == text.count("\r"):
            return fields
    if "\r" in text:
        raise BadField("a carriage return inside the line")
    return fields
