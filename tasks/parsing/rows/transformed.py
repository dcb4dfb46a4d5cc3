"""Parse a chunk and transform its ratings; a rating without a logarithm is a bad row like any other.

Covers: one chunk, and a count of 1 for each row of likes or clicks.
Does not cover: parsing (text.py), the transformation (tasks/transform.py).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa

from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.rows.lines import QUARANTINE_REMEDY
from funkflow.tasks.parsing.rows.rows import LARGEST_FLOAT32, ParsedRows
from funkflow.tasks.parsing.rows.text import parse_chunk
from funkflow.tasks.parsing.sources.chunks import Chunk
from funkflow.tasks.transform import Transform, transformed

_ABOVE_MINUS_ONE = float(np.nextafter(np.float32(-1.0), np.float32(0.0)))


def parse_transformed(
    chunk: Chunk, form: Form, stop_at_first: bool, transform: Transform, compiled: bool = False
) -> ParsedRows:
    """Read one chunk as `parse_chunk` does, with transformed ratings; one without a logarithm is a bad row."""
    parsed = parse_chunk(chunk, form, stop_at_first, compiled)
    if form.counts and form.rating < 0:
        ones = pa.array(np.ones(parsed.table.num_rows, np.float32))
        return replace(parsed, table=parsed.table.add_column(2, "rating", ones))
    if transform == "none" or form.rating < 0:
        return parsed
    ratings = parsed.table["rating"].to_numpy()
    if len(ratings) and ratings.min() <= -1.0:
        parsed = _reject_without_logarithm(chunk, form, stop_at_first, parsed)
        ratings = parsed.table["rating"].to_numpy()
    logarithms = transformed(ratings.astype(np.float64), transform).astype(np.float32)
    place = parsed.table.column_names.index("rating")
    return replace(parsed, table=parsed.table.set_column(place, "rating", pa.array(logarithms)))


def _reject_without_logarithm(chunk: Chunk, form: Form, stop_at_first: bool, before: ParsedRows) -> ParsedRows:
    """Read the chunk again on a scale above -1, and give the newly rejected rows a reason of their own."""
    least, greatest = form.scale or (-math.inf, LARGEST_FLOAT32)
    again = parse_chunk(chunk, replace(form, scale=(max(least, _ABOVE_MINUS_ONE), greatest)), stop_at_first)
    known = {(row.file, row.line) for row in before.rejected}
    return replace(
        again,
        rejected=tuple(
            row
            if (row.file, row.line) in known
            else replace(
                row,
                reason="the rating is -1 or less and has no log(1 + rating)",
                remedy=f'set ingest.transform = "none", or {QUARANTINE_REMEDY}',
            )
            for row in again.rejected
        ),
    )
