"""How many ratings, users and items raw files hold, estimated from pieces spread evenly over them.

Covers: the estimate that a plan is made from before anything is ingested.
Does not cover: exact counts (pipeline/stages/ingest.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.format.records import begun_inside, continued, goes_on
from funkflow.tasks.parsing.rows.parquet import cut_parquet
from funkflow.tasks.parsing.rows.rows import Parsed, row_schema
from funkflow.tasks.parsing.rows.text import parse_chunk
from funkflow.tasks.parsing.sources.chunks import Chunk, Piece, RawFile, cut, whole

PIECE_BYTES = 256 * 1024
PIECES = 96


@dataclass(frozen=True)
class Counts:
    """`exact` says that the sample was the whole."""

    ratings: int
    users: int
    items: int
    exact: bool


def estimate_counts(raw_files: Sequence[RawFile], form: Form) -> Counts:
    """Read up to 96 pieces of 256 KiB and scale up what is found in them.

    Ratings grow with the bytes. How many ids there are besides those found is estimated in one of two ways: whole
    numbers that rise from piece to piece, as the films of Netflix's files do, are taken to go on as densely between the
    pieces; of all others the estimate is Chao's, from how many were met once and twice (Chao 1987): a lower bound,
    0.83 of the users of the Netflix shape.
    """
    chunks = (
        cut_parquet(list(raw_files), PIECE_BYTES)[0] if form.kind == "parquet" else cut(_pieces(raw_files), PIECE_BYTES)
    )
    places = sorted({round(place) for place in np.linspace(0, len(chunks) - 1, min(PIECES, len(chunks)))})
    chosen = [chunks[place] for place in places]
    scale = sum(map(_size, chunks)) / max(1, sum(map(_size, chosen)))
    tables = _tables(chosen, form)
    ratings = sum(table.num_rows for table in tables)
    users, items = (_distinct([table[side] for table in tables], scale) for side in ("user", "item"))
    return Counts(round(ratings * scale), users, items, exact=len(chosen) == len(chunks))


def _tables(chunks: Sequence[Chunk], form: Form) -> list[pa.Table]:
    """Read pieces, which may begin inside a quote where the one before was left out: then the better reading counts."""
    tables = []
    before: Chunk | None = None
    leaves_open = False
    for chunk in chunks:
        here = chunk[0]
        if form.quoted and here.start > here.file.start and not (before and goes_on(before, chunk)):
            parsed = _parse_somewhere(chunk, form)
        else:
            parsed = parse_chunk(continued(chunk, before, leaves_open), form)
        before, leaves_open = chunk, parsed.leaves_open
        tables.append(parsed.table)
    return tables


def _parse_somewhere(chunk: Chunk, form: Form) -> Parsed:
    """Read a piece as if it began outside a quote, and inside; return the one with fewer bad rows, or nothing."""
    readings = []
    for each in (chunk, begun_inside(chunk)):
        try:
            readings.append(parse_chunk(each, form))
        except BadInput:
            continue
        if not readings[-1].rejected:
            break
    empty = Parsed(row_schema(form).empty_table(), ())
    return min(readings, key=lambda parsed: len(parsed.rejected), default=empty)


def _pieces(raw_files: Sequence[RawFile]) -> list[Piece]:
    return [whole(file) for file in raw_files if file.stop > file.start]


def _size(chunk: Chunk) -> int:
    return sum(piece.stop - piece.start for piece in chunk)


def _distinct(pieces: list[pa.ChunkedArray], scale: float) -> int:
    together = pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks], pieces[0].type)
    counts = together.value_counts().field("counts").to_numpy()
    if scale <= 1.0:
        return len(counts)
    once, twice = (int(np.count_nonzero(counts == times)) for times in (1, 2))
    estimate = _between(pieces) or len(counts) + once * (once - 1) / (2 * (twice + 1))
    return round(min(max(estimate, len(counts)), len(counts) * scale))


def _between(pieces: list[pa.ChunkedArray]) -> float:
    """Return how many ids there are if they rise from piece to piece; 0 if they do not."""
    if not pa.types.is_integer(pieces[0].type):
        return 0.0
    ranges = [(pc.min(piece).as_py(), pc.max(piece).as_py(), pc.count_distinct(piece).as_py()) for piece in pieces]
    if any(later[0] < earlier[1] for earlier, later in pairwise(ranges)):
        return 0.0
    density = sum(found for _, _, found in ranges) / sum(last - first + 1 for first, last, _ in ranges)
    return float((ranges[-1][1] - ranges[0][0] + 1) * density)
