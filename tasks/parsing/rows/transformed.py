"""Raw text to columns whose ratings are transformed; a rating that has no logarithm is a bad row as any other.

Covers: one chunk. Does not cover: parsing as such (text.py), the transformation (tasks/transform.py).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa

from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.rows.lines import SET_ASIDE
from funkflow.tasks.parsing.rows.rows import Parsed
from funkflow.tasks.parsing.rows.text import parse_chunk
from funkflow.tasks.parsing.sources.chunks import Chunk
from funkflow.tasks.transform import Transform, transformed

_ABOVE_MINUS_ONE = float(np.nextafter(np.float32(-1.0), np.float32(0.0)))
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


def parse_transformed(chunk: Chunk, form: Form, stop_at_first: bool, transform: Transform) -> Parsed:
    """Read one chunk as `parse_chunk` does, with transformed ratings; one that has no logarithm is a bad row."""
    parsed = parse_chunk(chunk, form, stop_at_first)
    if transform == "none" or form.rating < 0:
        return parsed
    ratings = parsed.table["rating"].to_numpy()
    if len(ratings) and ratings.min() <= -1.0:
        parsed = _without_logarithm_rejected(chunk, form, stop_at_first, parsed)
        ratings = parsed.table["rating"].to_numpy()
    logarithms = transformed(ratings.astype(np.float64), transform).astype(np.float32)
    place = parsed.table.column_names.index("rating")
    return replace(parsed, table=parsed.table.set_column(place, "rating", pa.array(logarithms)))


def _without_logarithm_rejected(chunk: Chunk, form: Form, stop_at_first: bool, before: Parsed) -> Parsed:
    """Read the chunk again on a scale that begins above -1, and give what that rejects besides its own reason."""
    least, greatest = form.scale or (-math.inf, _LARGEST_FLOAT32)
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
                remedy=f'set ingest.transform = "none", or {SET_ASIDE}',
            )
            for row in again.rejected
        ),
    )
