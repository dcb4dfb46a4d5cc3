"""What parsing gives back, whichever path did it: good rows as a table, bad rows with line and reason.

Covers: the schema of parsed rows, rejected rows and the message that names one, limits that every path keeps.
Does not cover: the parsing (text.py, lines.py, parquet.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from funkflow.tasks.parsing.format.columns import ROLES
from funkflow.tasks.parsing.format.formats import Form

EARLIEST_SECONDS = -62_135_596_800
LATEST_SECONDS = 253_402_300_799
"""Times outside the years 1 to 9999 are no times of ratings (milliseconds taken for seconds end up there)."""

_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Rejected:
    """One row that cannot be used. `line` counts from 1 in the file called `file`."""

    file: str
    line: int
    text: str
    reason: str
    remedy: str

    def message(self) -> str:
        """Return the one line that names this row."""
        shown = self.text if len(self.text) <= _SHOWN_CHARACTERS else self.text[:_SHOWN_CHARACTERS] + "…"
        return f"{self.file}:{self.line}: {self.reason}: {shown!r}; {self.remedy}"


@dataclass(frozen=True)
class Parsed:
    """Rows in input order, and those that were rejected, in input order too.

    `leaves_open` says that the next piece of the file begins inside a quote.
    """

    table: pa.Table
    rejected: tuple[Rejected, ...]
    leaves_open: bool = False


def row_schema(form: Form) -> pa.Schema:
    """Return the schema of parsed rows: user, item int64 or string; rating float32, timestamp[s] if there."""
    fields = [("user", id_arrow_type(form.user_type)), ("item", id_arrow_type(form.item_type))]
    if form.rating >= 0:
        fields.append(("rating", pa.float32()))
    if form.timestamp >= 0:
        fields.append(("timestamp", pa.timestamp("s")))
    return pa.schema(fields)


def named_columns(form: Form) -> dict[str, str]:
    """Return the names in the header by role, of the columns that a form has."""
    places = (form.user, form.item, form.rating, form.timestamp)
    return {role: form.header[place] for role, place in zip(ROLES, places, strict=True) if place >= 0}


def id_arrow_type(kind: str) -> pa.DataType:
    """Return the Arrow type of raw ids: int64 or string."""
    return pa.int64() if kind == "integer" else pa.string()


def quarantine_table(rejected: tuple[Rejected, ...]) -> pa.Table:
    """Return rejected rows as a table: file string, line int64, text string, reason string."""
    return pa.table(
        {
            "file": pa.array([row.file for row in rejected], pa.string()),
            "line": pa.array([row.line for row in rejected], pa.int64()),
            "text": pa.array([row.text for row in rejected], pa.string()),
            "reason": pa.array([row.reason for row in rejected], pa.string()),
        }
    )
