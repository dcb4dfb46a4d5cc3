"""The result of every parser: good rows as a table, bad rows with line and reason.

Covers: the schema of parsed rows, rejected rows and their messages, limits that all parsers share.
Does not cover: the parsers (text.py, lines.py, parquet.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.columns import ROLES
from funkflow.tasks.parsing.format.formats import Form

EARLIEST_SECONDS = -62_135_596_800
LATEST_SECONDS = 253_402_300_799
"""Times outside the years 1 to 9999 are errors (milliseconds read as seconds end up there)."""

LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
MOST_REJECTED = 200_000
"""With more bad rows in one chunk the settings are wrong, and keeping all rows would take unbounded memory."""

_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class RejectedRow:
    """One bad row. `line` counts from 1 in the file named `file`."""

    file: str
    line: int
    text: str
    reason: str
    remedy: str

    def message(self) -> str:
        """Return a one-line message about this row."""
        shown = self.text if len(self.text) <= _SHOWN_CHARACTERS else self.text[:_SHOWN_CHARACTERS] + "…"
        return f"{self.file}:{self.line}: {self.reason}: {shown!r}; {self.remedy}"


@dataclass(frozen=True)
class ParsedRows:
    """Good rows and rejected rows, both in input order.

    `leaves_open` : the next piece of the file begins inside a quote.
    """

    table: pa.Table
    rejected: tuple[RejectedRow, ...]
    leaves_open: bool = False


def row_schema(form: Form) -> pa.Schema:
    """Return the schema of parsed rows: user, item int64 or string; rating float32 and timestamp[s] if present."""
    fields = [("user", id_arrow_type(form.user_type)), ("item", id_arrow_type(form.item_type))]
    if form.rating >= 0:
        fields.append(("rating", pa.float32()))
    if form.timestamp >= 0:
        fields.append(("timestamp", pa.timestamp("s")))
    return pa.schema(fields)


def column_names(form: Form) -> dict[str, str]:
    """Return the header's names of a form's columns, by role."""
    places = (form.user, form.item, form.rating, form.timestamp)
    return {role: form.header[place] for role, place in zip(ROLES, places, strict=True) if place >= 0}


def id_arrow_type(kind: str) -> pa.DataType:
    """Return the Arrow type of raw ids: int64 or string."""
    return pa.int64() if kind == "integer" else pa.string()


def value_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return parsed values as an array of their column's type; times come as seconds since 1970."""
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(np.array(values, np.float32)) if pa.types.is_floating(kind) else pa.array(values, kind)


def refuse_too_many_rejected(rejected: Sequence[RejectedRow]) -> None:
    """Raise BadInput if more than `MOST_REJECTED` rows are bad."""
    if len(rejected) > MOST_REJECTED:
        raise BadInput(
            f"{rejected[0].message()}; more than {MOST_REJECTED:,} rows from there on are bad, "
            "so check ingest.format, ingest.columns and ingest.scale"
        )


def quarantine_table(rejected: tuple[RejectedRow, ...]) -> pa.Table:
    """Return rejected rows as a table: file string, line int64, text string, reason string."""
    return pa.table(
        {
            "file": pa.array([row.file for row in rejected], pa.string()),
            "line": pa.array([row.line for row in rejected], pa.int64()),
            "text": pa.array([row.text for row in rejected], pa.string()),
            "reason": pa.array([row.reason for row in rejected], pa.string()),
        }
    )
