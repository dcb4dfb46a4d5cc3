"""Read text of plain lines by compiled loops, many times as fast as Arrow's reader.

Covers: which forms have such lines, and the columns of their text; None for text with any other line.
Does not cover: the loop (tasks/kernels/ingest/plain_lines.py), checks of the values (arrow_columns.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from funkflow.tasks.late import late
from funkflow.tasks.parsing.format.delimiters import DELIMITERS
from funkflow.tasks.parsing.format.field_values import UNITS
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.storage.arrow_arrays import as_column

if TYPE_CHECKING:
    from funkflow.tasks.kernels.ingest import plain_lines as kernel
else:  # short text is read by Arrow
    kernel = late("funkflow.tasks.kernels.ingest.plain_lines")

_MOVIE = re.compile("0|[1-9][0-9]{0,17}")
_DELIMITERS = ("::", *DELIMITERS.values())
_PIECE_BYTES = 128 * 1024


def read_plain_lines(data: bytes, form: Form, item: str) -> tuple[dict[str, pa.ChunkedArray], str] | None:
    """Return the columns of all rows, by "c" and their position, and the movie after them; "c-1" has the movies.

    Columns have the types of Arrow's reader (`column_types`). None: some line is not plain, or the form never is.

    Parameters
    ----------
    data : whole lines; only the last may lack its line end.
    item : the movie above the first line of Netflix text, or "".
    """
    kinds = _kinds(form)
    if kinds is None or not (item == "" or _MOVIE.fullmatch(item)):
        return None
    letters = np.frombuffer(data, np.uint8)
    rows = 1 + sum(
        np.count_nonzero(letters[start : start + _PIECE_BYTES] == ord("\n"))
        for start in range(0, len(data), _PIECE_BYTES)
    )
    integers, ratings = np.empty((kernel.INTEGERS, rows), np.int64), np.empty(rows, np.float64)
    movie = kernel.NO_HEADERS if form.kind != "netflix" else int(item) if item else kernel.NO_MOVIE
    second = ord(form.delimiter[1]) if len(form.delimiter) == 2 else kernel.NO_LETTER
    quote = ord('"') if form.quoted else kernel.NO_LETTER
    signs = (ord(form.delimiter[0]), second, ord(form.decimal), quote)
    # The loop reads ahead, so the last lines are read from a copy with room behind it.
    last = data.rfind(b"\n", 0, max(0, len(data) - kernel.READ_AHEAD_BYTES)) + 1
    tail = np.frombuffer(data[last:].removesuffix(b"\n") + b"\n" + bytes(kernel.READ_AHEAD_BYTES), np.uint8)
    row = 0
    for piece, size in ((letters, last), (tail, len(tail) - kernel.READ_AHEAD_BYTES)):
        begin = piece.ctypes.data
        row, movie = kernel.read_lines()(begin, begin + size, kinds, signs, movie, row, integers, ratings)
        if row < 0:
            return None
    users, items, times = integers[kernel.USER], integers[kernel.ITEM], integers[kernel.TIME]
    places = ((form.rating, ratings), (form.timestamp, times), (form.user, users), (form.item, items))
    read = {f"c{place}": pa.chunked_array([as_column(values[:row])]) for place, values in places}
    if form.clock == "iso" and form.timestamp >= 0:
        read[f"c{form.timestamp}"] = read[f"c{form.timestamp}"].cast(pa.timestamp("s"))
    return read, str(movie) if movie >= 0 else ""


def _kinds(form: Form) -> np.ndarray | None:
    """Return the kind of each column for the loop; None if it cannot read the form."""
    is_day, is_ticks = form.clock == "iso", form.clock in UNITS and not form.fractional
    if not (
        form.user_type == form.item_type == "integer"
        and form.delimiter in _DELIMITERS
        and (form.timestamp < 0 or is_day or is_ticks)
    ):
        return None
    kinds = np.full(form.width, kernel.SKIPPED, np.uint64)
    places = (
        (form.rating, kernel.RATING), (form.timestamp, kernel.DAY if is_day else kernel.TIME),
        (form.user, kernel.USER), (form.item, kernel.ITEM),
    )  # fmt: skip
    for place, kind in places:
        if place >= 0:
            kinds[place] = kind
    return kinds
