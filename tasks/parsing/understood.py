"""Describe the first file: columns, kinds of id, times, delimiter, and three values of each.

Covers: the line that a run shows before it reads all rows, so that users notice a wrong guess, its parts, and a warning
if the numbers of ids contradict a guess.
Does not cover: the guesses (tasks/parsing/format/formats.py, tasks/parsing/format/columns.py,
tasks/parsing/format/field_values.py), or reading rows (tasks/parsing/rows/text.py).
"""

from __future__ import annotations

import pyarrow as pa

from funkflow.tasks.parsing.erased_ids import ErasedIds
from funkflow.tasks.parsing.format.delimiters import DELIMITERS
from funkflow.tasks.parsing.format.field_values import UNITS
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.rows.parquet import first_rows
from funkflow.tasks.parsing.rows.text import parse_chunk
from funkflow.tasks.parsing.sources.chunks import Piece, RawFile

_SAMPLE_BYTES = 64 * 1024
_SAMPLE_ROWS = 1000
_EXAMPLES = 3


def describe_first_file(file: RawFile, form: Form, forgotten: ErasedIds) -> str:
    """Return the line about the first file of some ratings: the parts of `describe_parts` in one."""
    first, *columns = describe_parts(file, form, forgotten)
    return f"{first}: {'; '.join([*columns, *([form.doubt] if form.doubt else [])])}"


def describe_parts(file: RawFile, form: Form, forgotten: ErasedIds) -> list[str]:
    """Return how the first file of some ratings is read, and then each of its columns; `form.doubt` is not among them.

    Parameters
    ----------
    forgotten : erased users and items, which no part names.

    Raises
    ------
    BadInput
        The beginning of the file is unreadable; single bad rows are skipped.
    """
    rows = _first_rows(file, form, forgotten)
    parts = [f"{file.name} is read as {_describe_form(form)}"]
    parts += [_describe_column(role, form, rows) for role in rows.column_names]
    if form.counts and form.rating < 0:
        parts.append("no ratings, so every row is a like, or a click, and counts 1")
    return parts


def one_rating_each(ratings: int, users: int, items: int) -> str:
    """Return a warning if each user or each item has only one rating, as row numbers would; else ""."""
    for side, ids in (("user", users), ("item", items)):
        if ratings == ids > 1:
            return (
                f"each of the {ratings:,} ratings is of another {side}, so nothing can be learnt about a {side}: does "
                f"the column of the {side} number the rows? Name the right one in ingest.columns.{side}"
            )
    return ""


def _describe_form(form: Form) -> str:
    if form.kind != "text":
        return form.described.split(" (")[0]
    names = {value: name for name, value in DELIMITERS.items()}
    delimiter = names.get(form.delimiter, form.delimiter)
    quoting, header = "double" if form.quoted else "none", "yes" if form.header else "no"
    return f"text (delimiter: {delimiter}, quoting: {quoting}, header: {header})"


def _describe_column(role: str, form: Form, rows: pa.Table) -> str:
    column = column_of(role, form)
    where = f"in column {column}" if column is not None else "in the lines above"
    kind = {
        "user": "text" if form.user_type == "string" else "integers",
        "item": "text" if form.item_type == "string" else "integers",
        "rating": "numbers with a decimal comma" if form.decimal == "," else "numbers",
        "timestamp": _CLOCKS.get(form.clock, form.clock),
    }[role]
    values = ", ".join(_format_value(value) for value in rows[role].to_pylist()[:_EXAMPLES])
    name = {"timestamp": "time", "rating": "count" if form.counts else "rating"}.get(role, role)
    return f"{name} {where}, {kind} ({values})"


def column_of(role: str, form: Form) -> str | int | None:
    """Return the name of the column of a role, or its position where there are no names; None if it has no column."""
    place = {"user": form.user, "item": form.item, "rating": form.rating, "timestamp": form.timestamp}[role]
    if place < 0:
        return None
    return form.header[place - form.unnamed].strip() if form.header else place


_CLOCKS = {
    **{unit: f"{unit} since 1970" for unit in UNITS},
    "date": "dates", "iso": "dates", "fraction": "dates and times", "zoned": "times with a zone",
}  # fmt: skip


def _format_value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _first_rows(file: RawFile, form: Form, forgotten: ErasedIds) -> pa.Table:
    if form.kind == "parquet":
        table = first_rows(file, form, _SAMPLE_ROWS)
    else:
        piece = Piece(file, file.start, min(file.stop, file.start + _SAMPLE_BYTES))
        table = parse_chunk((piece,), form).table.slice(0, _SAMPLE_ROWS)
    for side in ("user", "item"):
        table = table.filter(pa.array(~forgotten.holds(side, table[side])))
    return table.slice(0, _EXAMPLES)
