"""How many ratings, users and items raw files hold, estimated from pieces spread evenly over them.

Covers: the estimate that a plan is made from before anything is ingested.
Does not cover: exact counts (pipeline/stages/ingest.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.chunks import Chunk, RawFile, cut
from tasks.formats import Form
from tasks.parse import parse_chunk
from tasks.parse_parquet import cut_parquet

PIECE_BYTES = 256 * 1024
PIECES = 24


@dataclass(frozen=True)
class Counts:
    """`exact` says that the sample was the whole."""

    ratings: int
    users: int
    items: int
    exact: bool


def estimate_counts(raw_files: Sequence[RawFile], form: Form) -> Counts:
    """Read up to 24 pieces of 256 KiB and scale up what is found in them.

    Ratings grow with the bytes. Distinct ids are Chao's estimate from how many pieces share an id (Chao 1987), capped
    by growth with the bytes, which is what they do where the text is sorted by that id.
    """
    chunks = (
        cut_parquet(list(raw_files), PIECE_BYTES)[0] if form.kind == "parquet" else cut(_small(raw_files), PIECE_BYTES)
    )
    chosen = [chunks[len(chunks) * number // min(PIECES, len(chunks))] for number in range(min(PIECES, len(chunks)))]
    scale = sum(map(_size, chunks)) / max(1, sum(map(_size, chosen)))
    tables = [parse_chunk(chunk, form).table for chunk in chosen]
    ratings = sum(table.num_rows for table in tables)
    users, items = (
        _distinct([set(table[side].unique().to_pylist()) for table in tables], scale) for side in ("user", "item")
    )
    return Counts(round(ratings * scale), users, items, exact=len(chosen) == len(chunks))


def _small(raw_files: Sequence[RawFile]) -> list[RawFile]:
    return [file for file in raw_files if file.stop > file.start]


def _size(chunk: Chunk) -> int:
    return sum(piece.stop - piece.start for piece in chunk)


def _distinct(pieces: list[set[int | str]], scale: float) -> int:
    occurrences = Counter(identity for piece in pieces for identity in piece)
    if scale <= 1.0:
        return len(occurrences)
    in_pieces = Counter(occurrences.values())
    chao = len(occurrences) + in_pieces[1] * (in_pieces[1] - 1) / (2 * (in_pieces[2] + 1))
    return round(min(chao, len(occurrences) * scale))
