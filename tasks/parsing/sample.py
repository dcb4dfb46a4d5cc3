"""Estimate the numbers of ratings, users and items in raw files from pieces spread evenly over them.

Covers: the estimate for a plan before ingesting.
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
from funkflow.tasks.parsing.format.records import continue_chunk, follows, start_inside
from funkflow.tasks.parsing.rows.parquet import cut_parquet
from funkflow.tasks.parsing.rows.rows import ParsedRows, row_schema
from funkflow.tasks.parsing.rows.text import parse_chunk
from funkflow.tasks.parsing.sources.chunks import Chunk, Piece, RawFile, cut, whole

PIECE_BYTES = 256 * 1024
PIECES = 96
_PART = 4


@dataclass(frozen=True)
class Counts:
    """Estimated numbers. `exact` : the sample has all ratings."""

    ratings: int
    users: int
    items: int
    exact: bool


def estimate_counts(raw_files: Sequence[RawFile], form: Form) -> Counts:
    """Read a quarter of the pieces of 256 KiB, or 24, but at most 96, and scale up their counts.

    Ratings scale with the bytes. Ids scale in one of two ways: integers that rise from piece to piece, as the movies of
    Netflix's files do, are assumed equally dense between the pieces; for all others Chao's estimate takes the numbers
    of ids with one and two ratings (Chao 1987). It is a lower bound: 0.83 of the users of the Netflix shape.
    """
    chunks, chosen = _chosen_pieces(raw_files, form)
    scale = sum(map(_chunk_bytes, chunks)) / max(1, sum(map(_chunk_bytes, chosen)))
    tables = _read_sample(chosen, form)
    ratings = sum(table.num_rows for table in tables)
    users, items = (_estimate_ids([table[side] for table in tables], scale) for side in ("user", "item"))
    return Counts(round(ratings * scale), users, items, exact=len(chosen) == len(chunks))


def estimate_part_since(raw_files: Sequence[RawFile], form: Form, since: int) -> float:
    """Return the part of the ratings from a time on, in seconds since 1970, by the same pieces; 0 without times."""
    if form.timestamp < 0:
        return 0.0
    tables = _read_sample(_chosen_pieces(raw_files, form)[1], form)
    times = np.concatenate([table["timestamp"].cast(pa.int64()).to_numpy() for table in tables])
    return float(np.mean(times >= since)) if len(times) else 0.0


def _chosen_pieces(raw_files: Sequence[RawFile], form: Form) -> tuple[list[Chunk], list[Chunk]]:
    """Return all pieces of the files, and those to read."""
    chunks = list(
        cut_parquet(list(raw_files), PIECE_BYTES)[0]
        if form.kind == "parquet"
        else cut(_whole_pieces(raw_files), PIECE_BYTES)
    )
    most = min(max(len(chunks) // _PART, PIECES // _PART), PIECES, len(chunks))
    places = sorted({round(place) for place in np.linspace(0, len(chunks) - 1, most)})
    return chunks, [chunks[place] for place in places]


def _read_sample(chunks: Sequence[Chunk], form: Form) -> list[pa.Table]:
    """Read pieces; after a skipped piece, which may leave a quote open, take the better of two readings."""
    tables = []
    before: Chunk | None = None
    leaves_open = False
    for chunk in chunks:
        here = chunk[0]
        if form.quoted and here.start > here.file.start and not (before and follows(before, chunk)):
            parsed = _parse_somewhere(chunk, form)
        else:
            parsed = parse_chunk(continue_chunk(chunk, before, leaves_open), form)
        before, leaves_open = chunk, parsed.leaves_open
        tables.append(parsed.table)
    return tables


def _parse_somewhere(chunk: Chunk, form: Form) -> ParsedRows:
    """Read a piece as if it began outside a quote, and inside; return the reading with fewer bad rows, or no rows."""
    readings = []
    for each in (chunk, start_inside(chunk)):
        try:
            readings.append(parse_chunk(each, form))
        except BadInput:
            continue
        if not readings[-1].rejected:
            break
    empty = ParsedRows(row_schema(form).empty_table(), ())
    return min(readings, key=lambda parsed: len(parsed.rejected), default=empty)


def _whole_pieces(raw_files: Sequence[RawFile]) -> list[Piece]:
    return [whole(file) for file in raw_files if file.stop > file.start]


def _chunk_bytes(chunk: Chunk) -> int:
    return sum(piece.stop - piece.start for piece in chunk)


def _estimate_ids(pieces: list[pa.ChunkedArray], scale: float) -> int:
    together = pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks], pieces[0].type)
    counts = together.value_counts().field("counts").to_numpy()
    if scale <= 1.0:
        return len(counts)
    once, twice = (int(np.count_nonzero(counts == times)) for times in (1, 2))
    estimate = _estimate_rising_ids(pieces) or len(counts) + once * (once - 1) / (2 * (twice + 1))
    return round(min(max(estimate, len(counts)), len(counts) * scale))


def _estimate_rising_ids(pieces: list[pa.ChunkedArray]) -> float:
    """Return the estimated number of ids if they rise from piece to piece; 0 if they do not."""
    if not pa.types.is_integer(pieces[0].type):
        return 0.0
    ranges = [(pc.min(piece).as_py(), pc.max(piece).as_py(), pc.count_distinct(piece).as_py()) for piece in pieces]
    if any(later[0] < earlier[1] for earlier, later in pairwise(ranges)):
        return 0.0
    density = sum(found for _, _, found in ranges) / sum(last - first + 1 for first, last, _ in ranges)
    return float((ranges[-1][1] - ranges[0][0] + 1) * density)
