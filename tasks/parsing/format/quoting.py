"""Quotes in delimited text, after RFC 4180: the ends of records, broken fields, and whether quotes count at all.

Covers: whether a text ends inside a quote, the records of a text, the guess from the first lines.
Does not cover: reading files (records.py), the fields of a record (Python's csv module, or pyarrow's), delimiters of
more than one byte and runs of spaces, which have no quotes.

A quote opens a field only at the field's beginning; elsewhere it is a letter, as in 5" disk. Inside, two quotes stand
for one. Text after a closing quote belongs to the field, as in Python's csv module, but such a field is broken. Each
scan is one call of a compiled pattern without backtracking: on one core, 600 MB/s of review texts and 370 MB/s of
quoted fields of a few digits; pyarrow parses 650 and 130 MB/s of them.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from funkflow.tasks.errors import BadInput

Quoting = Literal["auto", "double", "none"]

AS_LETTERS = 'ingest.quoting = "none" if quotes are letters of the text'

_QUOTE = b'"'


@dataclass(frozen=True)
class _Patterns:
    sound: re.Pattern[bytes]
    on_one_line: re.Pattern[bytes]
    closed: re.Pattern[bytes]
    record: re.Pattern[bytes]
    whole_record: re.Pattern[bytes]
    field: re.Pattern[bytes]


_REST = re.compile(rb'[^"]*+(?:""[^"]*+)*+"')
"""From inside a quote to its closing quote."""


@functools.cache
def _patterns(delimiter: str) -> _Patterns:
    letter = re.escape(delimiter.encode())
    begins, ends = rb"(?:\A|(?<=[%b\n]))" % letter, rb"(?=[%b\r\n]|\Z)" % letter
    letter_like = rb'(?!\A)(?<![%b\n])"' % letter
    not_spaced = rb'(?!\A)(?<![%b\n])(?<![%b\n] )"' % (letter, letter)
    opened = begins + rb'"[^"]*+(?:""[^"]*+)*+'
    field, short = opened + rb'"', begins + rb'"[^"\n]*+(?:""[^"\n]*+)*+(?<!\\)"'
    in_a_row = begins + rb'(?:"[^"]*+"\r?[%b\n])++' % letter  # for speed only: they are found without it, too

    def text_of(*parts: bytes) -> re.Pattern[bytes]:
        return re.compile(rb'[^"]*+(?:(?:%b)[^"]*+)*+' % b"|".join(parts))

    line = rb'[^"\n]*+(?:(?:%b|%b)[^"\n]*+)*+' % (opened + rb'(?:"|\Z)', letter_like)
    return _Patterns(
        sound=text_of(in_a_row, field + ends, not_spaced),
        on_one_line=text_of(short, field + ends, not_spaced),
        closed=text_of(field, letter_like),
        record=re.compile(line + rb"(?:\n|\Z)"),
        whole_record=re.compile(line + rb"\n"),
        field=re.compile(field + rb"(%b)?" % ends),
    )


def is_sound(data: bytes, delimiter: str) -> bool:
    """Return whether each quoted field ends with its closing quote, and no quote has a space before it.

    `data` begins outside a quote.
    """
    return _QUOTE not in data or _patterns(delimiter).sound.match(data).end() == len(data)  # type: ignore[union-attr]


def first_fault(data: bytes, delimiter: str, position: int = 0) -> int:
    """Return the place of the first quote that may swallow any number of rows; the size if there is none.

    Such a quote stays open, or closes on another line within a field, or follows another notation: a space before it,
    or a backslash before its closing quote. A quote that closes on its own line spoils only that line.

    Parameters
    ----------
    position : start of the search, outside a quote.
    """
    return _patterns(delimiter).on_one_line.match(data, position).end()  # type: ignore[union-attr]


def ends_open(data: bytes, delimiter: str, inside: bool = False, position: int = 0) -> bool:
    """Return whether a text that begins at `position`, inside or outside a quote, ends inside one."""
    if inside:
        closing = _REST.match(data, position)
        if closing is None:
            return True
        position = closing.end()
    return _patterns(delimiter).closed.match(data, position).end() < len(data)  # type: ignore[union-attr]


def record_end(data: bytes, delimiter: str, inside: bool = False) -> int:
    """Return the end of the first record, after its line end; -1 if it has none."""
    closing = _REST.match(data) if inside else None
    if inside and closing is None:
        return -1
    found = _patterns(delimiter).whole_record.match(data, closing.end() if closing else 0)
    return found.end() if found else -1


def records(data: bytes, delimiter: str) -> list[bytes]:
    """Split a text that begins outside a quote into records, with their line ends."""
    found = [match.group() for match in _patterns(delimiter).record.finditer(data)]
    return found[:-1]  # the last match is the empty one at the end


def split_strictly(record: str, delimiter: str, strict: bool = True) -> list[str]:
    """Split a record into fields; raise csv.Error if a quote stays open, or text follows a closing quote."""
    csv.field_size_limit(2**31 - 1)  # Python's own limit, 128 KiB, is less than a review may have
    return next(csv.reader([record], delimiter=delimiter, strict=strict))


def lines_to_records(lines: Sequence[str], delimiter: str, name: str) -> list[str]:
    """Join lines to records; drop the first record with an open quote, and all after it.

    Raises
    ------
    BadInput
        That record is the first of the file named `name`.
    """
    data = "\n".join(lines).encode("utf-8", "surrogateescape")
    fault = first_fault(data, delimiter)
    whole: list[str] = []
    for record in records(data, delimiter):
        fault -= len(record)
        if fault < 0:
            break
        whole.append(record.decode("utf-8", "surrogateescape").removesuffix("\n"))
    if not whole:
        raise quote_fault(data, first_fault(data, delimiter), delimiter, f"{name}:1")
    return whole


def quote_fault(data: bytes, fault: int, delimiter: str, where: str, how_far: str = "") -> BadInput:
    """Return an error about the quote that `first_fault` found; `where`: file:line."""
    start, end = data.rfind(b"\n", 0, fault) + 1, data.find(b"\n", fault)
    line = data[start : end if end >= 0 else len(data)].rstrip(b"\r").decode("utf-8", "backslashreplace")
    field = _patterns(delimiter).field.match(data, fault)
    if data[fault - 1 : fault] == b" ":
        fault_text, remedy = (
            "a space before the quote of a field",
            f"remove it by sed 's/{delimiter} \"/{delimiter}\"/g'",
        )
    elif field is None:
        fault_text, remedy = f"a quote that is opened and not closed{how_far}", "close it"
    elif field.group().endswith(b'\\"'):
        fault_text, remedy = "a quote that is escaped by a backslash", 'write it twice, by sed \'s/\\\\"/""/g\''
    else:
        fault_text, remedy = "a quote that is opened and not closed where its field ends", "close it"
    return BadInput(f"{where}: {fault_text}: {line[:80]!r}; {remedy}, or set {AS_LETTERS}")


def has_quotes(wanted: Quoting, lines: Sequence[str], delimiter: str, name: str) -> bool:
    """Return whether quotes count in the file named `name` with these first lines.

    Raises
    ------
    BadInput
        The user wants quotes between delimiters of more than one letter.
    """
    if wanted == "double" and (len(delimiter) > 1 or delimiter == " "):
        raise BadInput(f'{name}: fields between {delimiter!r} have no quotes; set ingest.quoting = "auto"')
    return guess_quoting(lines, delimiter) if wanted == "auto" else wanted == "double"


def guess_quoting(lines: Sequence[str], delimiter: str) -> bool:
    """Guess from the first lines of a file whether quotes count, or are letters of names.

    Fields that begin and end with a quote outvote fields with text after the closing quote, such as "Ace" Kim. If the
    first lines have no quotes, later ones count: else a line inside a quote would look like a row.
    """
    if len(delimiter) > 1 or delimiter == " ":
        return False
    if not _count_fields(["\n".join(lines)], delimiter)[1]:
        return True
    whole, broken = _count_fields(lines, delimiter)
    return whole >= broken


def _count_fields(texts: Sequence[str], delimiter: str) -> tuple[int, int]:
    """Count the quoted fields that end with their quote, and the broken ones without a backslash."""
    whole = broken = 0
    for text in texts:
        for match in _patterns(delimiter).field.finditer(text.encode("utf-8", "surrogateescape")):
            whole += match.group(1) is not None
            broken += match.group(1) is None and not match.group().endswith(b'\\"')
    return whole, broken
