"""Unpack raw files, cut them to chunks, parse these, and write their rows by bucket to scratch.

Covers: the order of the tasks, and the first fault of the input.
Does not cover: the tasks (tasks/parsing/sources/archives.py, tasks/dataset/bucket_rows.py), the use of the rows
(pipeline/stages/ingest.py, pipeline/stages/split.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.tasks.dataset.bucket_rows import ChunkSummary, scatter_chunk
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import Form, Wanted
from funkflow.tasks.parsing.format.records import doubtful_places, inside_quotes, quote_ends, start_inside
from funkflow.tasks.parsing.prepare import ParseInput, prepare_leniently, unpack_here
from funkflow.tasks.parsing.sources.archives import needs_unpacking, raw_files, unpack
from funkflow.tasks.parsing.sources.chunks import Chunk, Piece, RawFile, whole
from funkflow.tasks.parsing.sources.sources import Source, StoredFile
from funkflow.tasks.storage import files
from funkflow.tasks.transform import Transform


@dataclass(frozen=True)
class Buckets:
    """A folder for scattered rows, in `count` buckets."""

    folder: str
    count: int


def plain_pieces(
    context: Context, stage: str, stored: Sequence[StoredFile], begins: Sequence[int], scratch: str
) -> list[Piece]:
    """Return the new pieces of all files, in the order of the input; one task unpacks each packed file.

    Parameters
    ----------
    begins : the byte of each file at which new content begins; its size if there is none.
    """
    new = [(each, begin) for each, begin in zip(stored, begins, strict=True) if begin < each.bytes]
    packed = [each for each, _ in new if needs_unpacking(each)]
    jobs = [(each, files.join(scratch, f"unpacked-{number:05d}")) for number, each in enumerate(packed)]
    unpacked = dict(zip(packed, run_all(context, stage, "unpack", unpack, jobs), strict=True))
    pieces = []
    for each, begin in new:
        plain: list[RawFile] = unpacked[each] if each in unpacked else raw_files(each)
        pieces += [Piece(file, begin, file.stop) if begin else whole(file) for file in plain]
    return pieces


def scatter(
    context: Context, stage: str, doing: str, prepared: ParseInput, into: Buckets, stop_at_first: bool,
    transform: Transform = "none",
) -> list[ChunkSummary]:  # fmt: skip
    """Parse all chunks and write their rows.

    Raises
    ------
    BadInput
        The first fault of the input.
    """
    jobs = [
        (chunk, prepared.form, into.count, into.folder, number, stop_at_first, transform, prepared.is_long)
        for number, chunk in enumerate(prepared.chunks)
    ]
    scattered = run_all(context, stage, doing, scatter_chunk, jobs)
    for place, chunk in _read_anew(context, stage, doing, jobs, [each.leaves_open for each in scattered]).items():
        scattered[place] = chunk
    for chunk in scattered:
        if chunk.fault:
            raise BadInput(chunk.fault)
    return scattered


def _read_anew(
    context: Context, stage: str, doing: str, jobs: Sequence[tuple[Chunk, Form, int, str, int, bool, Transform, bool]],
    leaves_open: Sequence[bool],
) -> dict[int, ChunkSummary]:  # fmt: skip
    """Repeat the jobs whose chunks begin inside a quote: each job assumed that its chunk begins outside."""
    doubted = doubtful_places([chunk for chunk, *_ in jobs], leaves_open)
    ends = run_all(context, stage, "quotes", quote_ends, [(jobs[place][0][0], jobs[place][1]) for place in doubted])
    wrong = inside_quotes(doubted, ends)
    again = [(start_inside(jobs[place][0]), *jobs[place][1:]) for place in wrong]
    return dict(zip(wrong, run_all(context, stage, doing, scatter_chunk, again), strict=True))


def scatter_pairs(
    context: Context, stage: str, sources: Sequence[Source], wanted: Wanted, chunk_bytes: int, into: Buckets
) -> int:
    """Write the (user, item) pairs of files; return the number of chunks.

    Raises
    ------
    BadInput
        The first bad row: pairs are never quarantined.
    """
    if not sources:
        return 0
    jobs = [(source, files.join(into.folder, f"from-{number:05d}")) for number, source in enumerate(sources)]
    plain = [file for each in run_all(context, stage, "unpack", unpack_here, jobs) for file in each]
    prepared = prepare_leniently(plain, wanted, chunk_bytes)
    scatter(context, stage, "parse", prepared, into, stop_at_first=True)
    return len(prepared.chunks)
