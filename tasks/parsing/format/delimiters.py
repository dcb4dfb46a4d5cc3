"""Guess the delimiter of a text file, and split lines at it.

Covers: the guess from sample lines, splitting one line, comments above the rows, runs of spaces as single ones.
Does not cover: the roles of fields (columns.py), or quotes (formats.py).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from funkflow.tasks.parsing.format.quoting import split_strictly

SPACES = " "
"""Stands for any run of blanks between fields; blanks at the ends of a line do not count."""

DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "spaces": SPACES}
"""The setting's names of delimiters that are hard to write; any other character stands for itself."""

_CANDIDATES = ("::", "\t", ",", ";", "|", SPACES)
_RUN_OF_BLANKS = re.compile(rb"[ \t]+")
_BLANKS_AT_ENDS = re.compile(rb"^ | (?=\r?$)", re.MULTILINE)


def split_line(line: str, delimiter: str, quoted: bool) -> list[str]:
    """Split one line or record into fields; quotes count only if the form has them."""
    if delimiter == SPACES:
        return line.split()
    if quoted and '"' in line:
        with suppress(csv.Error):
            return split_strictly(line, delimiter, strict=False)
    return line.split(delimiter)


def guess_delimiter(lines: Sequence[str], is_usable: Callable[[list[list[str]]], bool]) -> str:
    """Return the delimiter that gives the sample lines the same number of fields, at least two.

    Parameters
    ----------
    lines : some whole lines, none of them empty.
    is_usable : returns whether rows of fields have, for instance, a rating; decides between `;` and `,` in `1;2;3,5`.
        Spaces count only if no other delimiter does, as dates and names have spaces, too.
    """

    def rank(delimiter: str) -> tuple[bool, bool, float, int]:
        cut = _rows_of_usual_width(lines, delimiter)
        if cut is None:
            return False, False, 0.0, -_CANDIDATES.index(delimiter)
        rows, share = cut
        return is_usable(rows), delimiter != SPACES, round(share, 1), -_CANDIDATES.index(delimiter)

    best = max(_CANDIDATES, key=rank)
    return best if _rows_of_usual_width(lines, best) else ","


def quotes_after_blanks(data: bytes, delimiter: str) -> bytes:
    """Return text without the blank between a delimiter and an opening quote."""
    return data.replace(f'{delimiter} "'.encode(), f'{delimiter}"'.encode())


def single_spaces(data: bytes) -> bytes:
    """Return text with one space for each run of blanks between fields, and none at the ends of lines."""
    return _BLANKS_AT_ENDS.sub(b"", _RUN_OF_BLANKS.sub(b" ", data))


def rows_below_comments(lines: list[str], rows: list[list[str]]) -> list[list[str]]:
    """Drop the comments above the rows."""
    width = Counter(map(len, rows)).most_common(1)[0][0]
    begin = next((place for place, row in enumerate(rows) if not is_comment(lines[place], len(row) == width)), 0)
    return rows[begin:]


def is_comment(line: str, is_row: bool) -> bool:
    """Return whether a line is a comment: # or %, then a space or another number of fields than rows have."""
    text = line.lstrip()
    return text.startswith(("# ", "% ")) or (text.startswith(("#", "%")) and not is_row)


def _candidate_rows(lines: Sequence[str], delimiter: str) -> Iterator[list[list[str]]]:
    """Yield the rows of quoted records, if there are quotes, and the rows of plain lines."""
    if len(delimiter) == 1 and delimiter != SPACES and any('"' in line for line in lines):
        with suppress(csv.Error):
            yield list(csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, skipinitialspace=True))
    yield [split_line(line, delimiter, quoted=False) for line in lines]


def _rows_of_usual_width(lines: Sequence[str], delimiter: str) -> tuple[list[list[str]], float] | None:
    """Return the rows of the most frequent width and their share of all lines, read with quotes or without."""
    found = None
    for rows in _candidate_rows(lines, delimiter):
        width, count = Counter(map(len, rows)).most_common(1)[0]
        share = count / len(rows)
        if width >= 2 and share >= 0.5 and (found is None or share > found[1]):
            found = [row for row in rows if len(row) == width], share
    return found
