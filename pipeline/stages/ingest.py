"""Ingest: raw ratings of any form to a dataset of Parquet parts, with dense ids of users and items.

Covers: the order of the tasks: checksums, the choice of a parent dataset, parsing, dense ids, parts, publication.
Does not cover: the tasks (tasks/parsing/, tasks/dataset/), the search for a parent (pipeline/datasets/parent.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.datasets import parent as lineage
from funkflow.pipeline.datasets.described import describe_dataset, tables_of
from funkflow.pipeline.datasets.input_hashes import refuse_changed, sums_of
from funkflow.pipeline.datasets.parent import FileKind, Grown, Inputs, Parent
from funkflow.pipeline.datasets.raw_rows import Buckets, plain_pieces, scatter, scatter_pairs
from funkflow.pipeline.progress.events import Noticed, RowsQuarantined, StageFinished, StageStarted
from funkflow.pipeline.root import store
from funkflow.pipeline.root.manifests import Dataset
from funkflow.pipeline.root.records import DatasetParent
from funkflow.pipeline.root.typed_json import FileEntry
from funkflow.pipeline.settings.sections import IngestSettings
from funkflow.pipeline.settings.wanted_form import wanted_form
from funkflow.tasks.dataset.bucket_rows import ChunkSummary, buckets_for, parts_for, rejected_rows
from funkflow.tasks.dataset.known_files import SeenFile, has_grown, list_seen_files
from funkflow.tasks.dataset.number_ids import IdTable, Numbering, write_ids
from funkflow.tasks.dataset.write_part import ParentParts, PartJob, PartRecord, ScatteredRows, write_part
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.erased_ids import read_forgotten
from funkflow.tasks.parsing.format.formats import Form, Wanted
from funkflow.tasks.parsing.ids import ITEMS, USERS
from funkflow.tasks.parsing.prepare import ParseInput, prepare_pieces, recognise
from funkflow.tasks.parsing.rows.rows import id_arrow_type
from funkflow.tasks.parsing.sources.sources import Source, find_companions, find_sources, input_record
from funkflow.tasks.parsing.titles import read_titles
from funkflow.tasks.parsing.understood import describe_first_file, one_rating_each
from funkflow.tasks.storage import files
from funkflow.tasks.transform import transformed_scale

_STAGE = "ingest"
_QUARANTINE = "quarantine.parquet"


@dataclass(frozen=True)
class _Ingest:
    """One ingest: its inputs, its parent and its folders. `inputs` : the record of each input, for the manifest."""

    context: Context
    settings: IngestSettings
    sources: list[Source]
    deletions: list[Source]
    titles: str
    inputs: list[dict[str, str | int]]
    now: Inputs
    parent: Parent | None
    dataset_id: str
    folder: str
    scratch: str
    events: bool

    @property
    def earlier(self) -> Dataset | None:
        """The parent, if its ratings are taken over, and not only its ids."""
        return self.parent.manifest if self.parent and self.parent.rows else None


def ingest(context: Context, settings: IngestSettings, holdout_file: str = "", events: bool = True) -> Dataset:
    """Make the dataset of `settings.ratings`, or find it made.

    holdout_file : the validation file; if it lies among the ratings, it is not read as ratings.
    events : whether files without ratings may be read as likes or clicks.

    Raises
    ------
    BadInput
        The raw data are bad; no half-written file remains.
    """
    began = time.monotonic()
    context.notify(StageStarted(_STAGE))
    sources = find_sources(settings.ratings, holdout_file)
    titles = settings.titles or find_companions(sources).get("titles", "")
    if titles:
        read_titles(titles)  # report a malformed file before the long work
    others = [each for each in dict.fromkeys([titles, settings.user_features, settings.item_features]) if each]
    beside = [source for each in others for source in find_sources([each])]
    deletions = find_sources(settings.deletions, setting="ingest.deletions") if settings.deletions else []
    inputs, seen = _inputs(context, [*sources, *beside, *deletions])
    now = Inputs(
        settings.deciding(),
        tuple(file for each in seen[: len(sources)] for file in each),
        tuple(file for each in seen[len(inputs) - len(deletions) :] for file in each),
        read_forgotten(context.store.forgotten),
    )
    present: dict[FileKind, list[Source]] = {"ratings": sources, "deletions": deletions}
    dataset_id, parent = _id_and_parent(context, settings, inputs, now, present)
    folder = context.store.dataset(dataset_id)
    dataset = context.existing(Dataset, folder)
    reused = dataset is not None
    if dataset is None:
        if known := lineage.describe_known(context.store, now, parent, settings.incremental):
            context.notify(Noticed(known))
        context.check_fits(_STAGE)
        scratch = context.store.scratch(f"ingest-{dataset_id}-{context.attempt}")
        with store.nothing_half_written(folder, temporary=(scratch,)):
            files.remove_tree(folder)
            work = _Ingest(
                context=context, settings=settings, sources=sources, deletions=deletions, titles=titles, inputs=inputs,
                now=now, parent=parent, dataset_id=dataset_id, folder=folder, scratch=scratch, events=events,
            )  # fmt: skip
            made = _write_dataset(work)
            refuse_changed([*sources, *beside], [*settings.ratings, *others], holdout_file)
            dataset = made.publish([*tables_of(made), *(part.path for part in made.parts)])
    if doubt := one_rating_each(dataset.ratings, dataset.users, dataset.items):
        context.notify(Noticed(doubt, warning=True))
    if dataset.quarantined:
        context.notify(RowsQuarantined(dataset.quarantined, files.join(folder, _QUARANTINE)))
    context.notify(StageFinished(_STAGE, time.monotonic() - began, describe_dataset(dataset, settings), reused))
    return dataset


def _inputs(context: Context, sources: Sequence[Source]) -> tuple[list[dict[str, str | int]], list[list[SeenFile]]]:
    """Describe every input with its checksum, and each of its files."""
    described = list(zip(sources, sums_of(context, _STAGE, "checksum", sources), strict=True))
    return [input_record(*each) for each in described], [list_seen_files(*each) for each in described]


def _id_and_parent(
    context: Context, settings: IngestSettings, inputs: list[dict[str, str | int]], now: Inputs,
    sources: dict[FileKind, list[Source]],
) -> tuple[str, Parent | None]:  # fmt: skip
    """Return the id of the dataset of these inputs, and its parent; None if the dataset exists or needs no parent."""
    if not settings.incremental:
        return lineage.dataset_id(inputs, now, None), None
    candidates = lineage.Candidates(context.store, now.settings)
    if same := candidates.made_of(inputs, now):
        return same.id, None
    present = {kind: [stored for source in some for stored in source.files] for kind, some in sources.items()}

    def have_grown(grown: Sequence[Grown]) -> bool:
        jobs = [(present[kind][place], old.sums, old.bytes) for kind, place, old in grown]
        return all(run_all(context, _STAGE, "compare", has_grown, jobs))

    parent = candidates.parent(now, have_grown)
    return lineage.dataset_id(inputs, now, parent), parent


def _write_dataset(work: _Ingest) -> Dataset:
    """Write all files of the dataset; return its manifest, which is not published yet."""
    settings, earlier = work.settings, work.earlier
    prepared, parsed_bytes = _parse_input(work)
    before = earlier.ratings if earlier else 0
    buckets = max(
        buckets_for(before + prepared.rows_at_most, settings.partition_ratings),
        len(earlier.parts) if earlier else 1,
    )
    scattered = scatter(
        work.context, _STAGE, "parse", prepared, Buckets(work.scratch, buckets),
        stop_at_first=settings.on_bad_rows == "raise", transform=settings.transform,
    )  # fmt: skip
    rows = before + sum(chunk.rows for chunk in scattered)
    if not rows:
        raise BadInput(f"{settings.ratings[0]}: no usable rating; check ingest.ratings and ingest.format")
    # A part of the parent may be split, but parts are never merged.
    parts = max(parts_for(rows, settings.partition_ratings, buckets), len(earlier.parts) if earlier else 1)
    users, items = ids = _write_id_tables(work, prepared, parts)
    written = _fill_parts(work, prepared, parts, buckets, ids)
    ratings = sum(part["rows"] for part in written)
    if not ratings:
        raise BadInput("no rating is left: all were deleted or forgotten; check ingest.deletions")
    quarantined, sums = _write_quarantine(work, scattered), [part.get("greatest", 0.0) for part in written]
    form = prepared.form
    return Dataset(
        folder=work.folder,
        id=work.dataset_id,
        inputs=work.inputs,
        seen=work.now.written(),
        format=form.described,
        form={name: list(value) if isinstance(value, tuple) else value for name, value in asdict(form).items()},
        ratings=ratings,
        users=users.rows,
        items=items.rows,
        id_checksums={"users": users.checksum, "items": items.checksum},
        feature_checksums={side: each.features for side, each in (("user", users), ("item", items)) if each.features},
        parts=tuple(map(FileEntry.table, written)),
        rating_minimum=_extreme(min, "rating_minimum", scattered, earlier),
        rating_maximum=max(_extreme(max, "rating_maximum", scattered, earlier), *sums),
        scale=None if form.counts else transformed_scale(form.scale, settings.transform),
        duplicates=sum(part["duplicates"] for part in written) + (earlier.duplicates if earlier else 0),
        deleted=sum(part["deleted"] for part in written) + (earlier.deleted if earlier else 0),
        quarantined=quarantined,
        timestamps=form.timestamp >= 0,
        user_id_type=form.user_type,
        item_id_type=form.item_type,
        titles=bool(work.titles),
        parent=DatasetParent(id=work.parent.manifest.id, rows=work.parent.rows) if work.parent else None,
        lineage=(*_ancestors(work), (ratings, users.rows, items.rows)),
        parsed_bytes=parsed_bytes,
        parts_written=sum(not part["kept"] for part in written),
        parts_kept=sum(part["kept"] for part in written),
        counts=form.counts,
    )


def _ancestors(work: _Ingest) -> tuple[tuple[int, int, int], ...]:
    """Return ratings, users and items of each ancestor, oldest first."""
    return work.parent.manifest.lineage if work.parent else ()


def _parse_input(work: _Ingest) -> tuple[ParseInput, int]:
    """Return the chunks to parse, in the form of the earlier dataset or of the first file, and their size in bytes."""
    stored = [each for source in work.sources for each in source.files]
    begins = work.parent.begins if work.parent else (0,) * len(stored)
    pieces = plain_pieces(work.context, _STAGE, stored, begins, work.scratch)
    if work.earlier:
        as_json = work.earlier.form.items()
        own: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in as_json}
        form = Form(**own)
    elif pieces:
        form = recognise(pieces[0].file, wanted_form(work.settings, work.events))
        work.context.notify(Noticed(describe_first_file(pieces[0].file, form, work.now.forgotten)))
    else:
        raise BadInput("no ratings file is left to read; check ingest.ratings")
    parsed_bytes = sum(piece.stop - piece.start for piece in pieces)
    return prepare_pieces(pieces, form, work.settings.chunk_bytes), parsed_bytes


def _write_id_tables(work: _Ingest, prepared: ParseInput, parts: int) -> list[IdTable]:
    """Write users.parquet and items.parquet: the parent's ids with their numbers, then the new ones."""
    parent, form = work.parent, prepared.form
    chosen = work.settings
    sides = (
        ("user", USERS, form.user_type, "", parts, chosen.user_features, chosen.columns.user),
        ("item", ITEMS, form.item_type, work.titles, 0, chosen.item_features, chosen.columns.item),
    )
    jobs = []
    for side, number, kind, titles, pieces, features, column in sides:
        earlier = None
        if parent and parent.manifest.id_types[side] == kind:
            earlier = parent.manifest.id_place(side)
        numbering = Numbering(
            scratch=work.scratch, side=side, chunks=len(prepared.chunks), seed=work.settings.seed, number=number,
            generation=len(_ancestors(work)), kind=id_arrow_type(kind), titles=titles, earlier=earlier,
            all_occur=bool(work.earlier), forgotten=work.now.forgotten, parts=pieces, features=features,
            id_column=column,
        )  # fmt: skip
        jobs.append((numbering, files.join(work.folder, f"{side}s.parquet")))
    made = run_all(work.context, _STAGE, "number", write_ids, jobs)
    for (side, *_), table in zip(sides, made, strict=True):
        if table.understood:
            work.context.notify(Noticed(f"features of {side}s: {table.understood}"))
    return made


def _fill_parts(work: _Ingest, prepared: ParseInput, parts: int, buckets: int, ids: list[IdTable]) -> list[PartRecord]:
    before, earlier, (users, items) = work.earlier, None, ids
    if before:
        known = tuple((part.path, part.checksum, part.rows) for part in before.parts)
        moved = users.moved or items.moved
        earlier = ParentParts(before.folder, known, users.pieces[1], before.id_place("item"), moved)
    unwanted, columns, form = files.join(work.scratch, "deletions"), work.settings.columns, prepared.form
    wanted = Wanted(
        columns=(columns.user, columns.item, None, None), user_type=form.user_type, item_type=form.item_type,
        ratings=False, quoting=work.settings.quoting,
    )  # fmt: skip
    chunks = scatter_pairs(
        work.context, _STAGE, work.deletions, wanted, work.settings.chunk_bytes, into=Buckets(unwanted, buckets)
    )
    job = PartJob(
        ratings=ScatteredRows(work.scratch, len(prepared.chunks), buckets),
        deletions=ScatteredRows(unwanted, chunks, buckets),
        earlier=earlier, dataset=work.folder, users=users.pieces[0],
        items=(files.join(work.folder, "items.parquet"), items.checksum), parts=parts,
        duplicates=work.settings.rule_for_duplicates(form.rating >= 0), forgetting=bool(work.now.forgotten),
        compiled=prepared.is_long,
    )  # fmt: skip
    written = run_all(work.context, _STAGE, "gather", write_part, [(part, job) for part in range(parts)])
    if fault := next((part["fault"] for part in written if "fault" in part), ""):
        raise BadInput(fault)
    return written


def _write_quarantine(work: _Ingest, scattered: Sequence[ChunkSummary]) -> int:
    """Write quarantine.parquet, if any row is bad; return the number of bad rows."""
    earlier, name = work.earlier, _QUARANTINE
    before = [files.join(earlier.folder, name)] if earlier and earlier.quarantined else []
    table = rejected_rows(work.scratch, scattered, before, in_clear=not work.now.forgotten)
    if table.num_rows:
        files.write_table(files.join(work.folder, name), table)
    return int(table.num_rows)


def _extreme(
    choose: Callable[..., float], name: str, scattered: Sequence[ChunkSummary], earlier: Dataset | None
) -> float:
    return choose([*(getattr(chunk, name) for chunk in scattered), *([getattr(earlier, name)] if earlier else [])])
