"""Raw ratings to a dataset: Parquet parts, users and items, with dense ids, whatever form the ratings came in.

Covers: which task runs when: checksums, unpacking, parsing by chunk, dense ids, gathering by part, publication.
Does not cover: the tasks themselves (tasks/: sources, archives, parse, partition), or what is held out (split.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.runtime import store
from pipeline.runtime.context import Context, run_all
from pipeline.runtime.events import StageFinished, StageStarted
from pipeline.runtime.known_inputs import describe_inputs, refuse_changed
from pipeline.settings import IngestSettings
from tasks import files
from tasks.archives import needs_unpacking, raw_files, unpack
from tasks.chunks import RawFile
from tasks.errors import BadInput
from tasks.formats import Wanted
from tasks.ids import ITEMS, USERS
from tasks.inputs import Prepared, prepare
from tasks.partition import Scattered, buckets_for, parts_for, rejected_rows, scatter_chunk, write_ids, write_part
from tasks.rows import id_arrow_type
from tasks.sources import Source, find_companions, find_sources
from tasks.titles import read_titles

_STAGE = "ingest"


@dataclass(frozen=True)
class _Work:
    """What the steps of one ingest share."""

    context: Context
    settings: IngestSettings
    folder: str
    scratch: str


def ingest(context: Context, settings: IngestSettings, holdout_file: str = "") -> dict[str, Any]:
    """Make the dataset of `settings.ratings`, or find it made, and return its manifest.

    Parameters
    ----------
    holdout_file : a file that is to validate the model; where it lies among the ratings it is not read as such.

    Raises
    ------
    BadInput
        Anything that is wrong with the raw data; nothing half-written is left behind.
    """
    began = time.monotonic()
    context.tell(StageStarted(_STAGE))
    sources = find_sources(settings.ratings, holdout_file)
    titles = settings.titles or find_companions(sources).get("titles", "")
    if titles:
        read_titles(titles)  # so that a malformed file is named before the long part
    beside = find_sources([titles]) if titles else []
    inputs = describe_inputs(context, _STAGE, "checksum", [*sources, *beside])
    dataset_id = store.content_id(
        what="dataset",
        inputs=inputs,
        settings=settings.model_dump(mode="json", exclude={"ratings", "titles", "chunk_bytes"}),
    )
    folder = context.store.dataset(dataset_id)
    manifest = context.found(folder, "dataset")
    reused = manifest is not None
    if manifest is None:
        context.afford(_STAGE)
        scratch = context.store.scratch(f"ingest-{dataset_id}-{context.attempt}")
        with store.nothing_half_written(folder, temporary=(scratch,)):
            files.remove_tree(folder)
            content = _make(_Work(context, settings, folder, scratch), sources, titles)
            refuse_changed([*sources, *beside], [*settings.ratings, *([titles] if titles else [])], holdout_file)
            manifest = store.publish(folder, "dataset", id=dataset_id, inputs=inputs, **content)
    context.tell(StageFinished(_STAGE, time.monotonic() - began, _summary(manifest, settings), reused))
    return manifest


def _make(work: _Work, sources: Sequence[Source], titles: str) -> dict[str, Any]:
    wanted = wanted_form(work.settings)
    prepared = prepare(_unpacked(work, sources), wanted, work.settings.chunk_bytes)
    buckets = buckets_for(prepared.rows_at_most, work.settings.partition_ratings)
    scattered = _scattered(work, prepared, buckets)
    rows = sum(chunk.rows for chunk in scattered)
    if not rows:
        raise BadInput(
            f"{work.settings.ratings[0]}: no rating in it can be used; check ingest.ratings and ingest.format"
        )
    (users, user_ids), (items, item_ids) = _numbered(work, prepared, titles)
    parts = _gathered(work, len(prepared.chunks), parts_for(rows, work.settings.partition_ratings, buckets), buckets)
    quarantined = sum(chunk.rejected for chunk in scattered)
    if quarantined:
        files.write_table(files.join(work.folder, "quarantine.parquet"), rejected_rows(work.scratch, scattered))
    form = prepared.form
    return {
        "files": ["users.parquet", "items.parquet", *(part["path"] for part in parts)],
        "format": form.described,
        "ratings": sum(part["rows"] for part in parts),
        "users": users,
        "items": items,
        "id_checksums": {"users": user_ids, "items": item_ids},
        "parts": [{key: part[key] for key in ("path", "rows", "checksum")} for part in parts],
        "rating_minimum": min(chunk.rating_minimum for chunk in scattered),
        "rating_maximum": max(chunk.rating_maximum for chunk in scattered),
        "scale": list(form.scale) if form.scale else None,
        "duplicates": sum(part["duplicates"] for part in parts),
        "quarantined": quarantined,
        "timestamps": form.timestamp >= 0,
        "user_id_type": form.user_type,
        "item_id_type": form.item_type,
        "titles": bool(titles),
    }


def wanted_form(settings: IngestSettings) -> Wanted:
    """Return what the settings say of the form of the ratings."""
    columns = settings.columns
    return Wanted(
        format=settings.format,
        columns=(columns.user, columns.item, columns.rating, columns.timestamp),
        user_type=settings.id_type,
        item_type=settings.id_type,
        scale=settings.scale,
    )


def _unpacked(work: _Work, sources: Sequence[Source]) -> list[RawFile]:
    """Return all plain files in the order of the input; what is gzip is unpacked by one task a file."""
    stored = [each for source in sources for each in source.files]
    packed = [each for each in stored if needs_unpacking(each)]
    jobs = [(each, files.join(work.scratch, f"unpacked-{number:05d}")) for number, each in enumerate(packed)]
    unpacked = dict(zip(packed, run_all(work.context, _STAGE, "unpack", unpack, jobs), strict=True))
    return [file for each in stored for file in (unpacked[each] if each in unpacked else raw_files(each))]


def _scattered(work: _Work, prepared: Prepared, buckets: int) -> list[Scattered]:
    stop_at_first = work.settings.on_bad_rows == "raise"
    jobs = [
        (chunk, prepared.form, buckets, work.scratch, number, stop_at_first)
        for number, chunk in enumerate(prepared.chunks)
    ]
    scattered = run_all(work.context, _STAGE, "parse", scatter_chunk, jobs)
    for chunk in scattered:
        if chunk.fault:
            raise BadInput(chunk.fault)
    return scattered


def _numbered(work: _Work, prepared: Prepared, titles: str) -> list[tuple[int, str]]:
    """Write users.parquet and items.parquet; return the rows and the checksum of each."""
    jobs = [
        (
            work.scratch,
            side,
            len(prepared.chunks),
            work.settings.seed,
            number,
            id_arrow_type(kind),
            files.join(work.folder, f"{side}s.parquet"),
            beside,
        )
        for side, number, kind, beside in (
            ("user", USERS, prepared.form.user_type, ""),
            ("item", ITEMS, prepared.form.item_type, titles),
        )
    ]
    return run_all(work.context, _STAGE, "number", write_ids, jobs)


def _gathered(work: _Work, chunks: int, parts: int, buckets: int) -> list[dict[str, Any]]:
    jobs = [
        (work.scratch, chunks, part, parts, buckets, work.folder, work.settings.duplicates) for part in range(parts)
    ]
    gathered = run_all(work.context, _STAGE, "gather", write_part, jobs)
    for part in gathered:
        if "fault" in part:
            raise BadInput(part["fault"])
    return gathered


def _summary(manifest: dict[str, Any], settings: IngestSettings) -> str:
    return (
        f"{manifest['ratings']:,} ratings of {manifest['users']:,} users and {manifest['items']:,} items "
        f"from {manifest['format']}; {manifest['duplicates']:,} duplicates settled ({settings.duplicates}), "
        f"{manifest['quarantined']:,} rows quarantined"
    )
