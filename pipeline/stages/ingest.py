"""Raw ratings to a dataset: Parquet parts, users and items, with dense ids, whatever form the ratings came in.

Covers: which task runs when: checksums, what an earlier dataset has already, parsing what is new, dense ids, gathering
by part, publication.
Does not cover: the tasks themselves (tasks/: sources, archives, parse, partition, numbering, gather), which dataset is
the earlier one (pipeline/datasets/parent.py), or what is held out (split.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.datasets import parent as lineage
from funkflow.pipeline.datasets.input_hashes import refuse_changed, sums_of
from funkflow.pipeline.datasets.parent import Grown, Inputs, Parent
from funkflow.pipeline.datasets.raw_rows import plain_pieces, scatter, scatter_pairs
from funkflow.pipeline.progress.events import Noticed, RowsQuarantined, StageFinished, StageStarted
from funkflow.pipeline.root import store
from funkflow.pipeline.root.manifests import Dataset
from funkflow.pipeline.settings.sections import IngestSettings
from funkflow.tasks.dataset.bucket_rows import ChunkSummary, buckets_for, parts_for, rejected_rows
from funkflow.tasks.dataset.known_files import SeenFile, has_grown, list_seen_files
from funkflow.tasks.dataset.number_ids import IdTable, Numbering, write_ids
from funkflow.tasks.dataset.write_part import ParentParts, PartJob, ScatteredRows, write_part
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.erased_ids import read_forgotten
from funkflow.tasks.parsing.format.formats import Form
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
_OF_NO_CONTENT = {"ratings", "titles", "chunk_bytes", "incremental", "deletions"}
"""Settings that change no dataset, or count by what they name."""


@dataclass(frozen=True)
class _Work:
    """What the steps of one ingest share."""

    context: Context
    settings: IngestSettings
    sources: list[Source]
    deletions: list[Source]
    titles: str
    now: Inputs
    parent: Parent | None
    folder: str
    scratch: str

    @property
    def earlier(self) -> Dataset | None:
        """The dataset whose ratings are taken over."""
        return self.parent.manifest if self.parent and self.parent.rows else None


def ingest(context: Context, settings: IngestSettings, holdout_file: str = "") -> Dataset:
    """Make the dataset of `settings.ratings`, or find it made.

    Parameters
    ----------
    holdout_file : a file that is to validate the model; where it lies among the ratings it is not read as such.

    Raises
    ------
    BadInput
        Anything that is wrong with the raw data; nothing half-written is left behind.
    """
    began = time.monotonic()
    context.notify(StageStarted(_STAGE))
    sources = find_sources(settings.ratings, holdout_file)
    titles = settings.titles or find_companions(sources).get("titles", "")
    if titles:
        read_titles(titles)  # so that a malformed file is named before the long part
    beside = find_sources([titles]) if titles else []
    deletions = find_sources(settings.deletions, setting="ingest.deletions") if settings.deletions else []
    inputs, seen = _inputs(context, [*sources, *beside, *deletions])
    untransformed = {"transform"} if settings.transform == "none" else set()
    now = Inputs(
        settings.model_dump(mode="json", exclude=_OF_NO_CONTENT | untransformed),
        tuple(file for each in seen[: len(sources)] for file in each),
        tuple(file for each in seen[len(inputs) - len(deletions) :] for file in each),
        read_forgotten(context.store.forgotten),
    )
    dataset_id, parent = _id_and_parent(context, settings, inputs, now, sources=sources, deletions=deletions)
    folder = context.store.dataset(dataset_id)
    dataset = context.existing(Dataset, folder)
    reused = dataset is not None
    if dataset is None:
        if known := lineage.what_is_known(context.store, now, parent, settings.incremental):
            context.notify(Noticed(known))
        context.check_fits(_STAGE)
        scratch = context.store.scratch(f"ingest-{dataset_id}-{context.attempt}")
        with store.nothing_half_written(folder, temporary=(scratch,)):
            files.remove_tree(folder)
            content = _make(
                _Work(
                    context=context, settings=settings, sources=sources, deletions=deletions, titles=titles, now=now,
                    parent=parent, folder=folder, scratch=scratch,
                )
            )  # fmt: skip
            refuse_changed([*sources, *beside], [*settings.ratings, *([titles] if titles else [])], holdout_file)
            dataset = Dataset.from_content(
                folder, {**content, "id": dataset_id, "inputs": inputs, "seen": now.written()}
            )
            dataset = dataset.publish(["users.parquet", "items.parquet", *(part.path for part in dataset.parts)])
    if doubt := one_rating_each(dataset.ratings, dataset.users, dataset.items):
        context.notify(Noticed(doubt, warning=True))
    if dataset.quarantined:
        context.notify(RowsQuarantined(dataset.quarantined, files.join(folder, _QUARANTINE)))
    context.notify(StageFinished(_STAGE, time.monotonic() - began, _summary(dataset, settings), reused))
    return dataset


def _inputs(context: Context, sources: Sequence[Source]) -> tuple[list[dict[str, str | int]], list[list[SeenFile]]]:
    """Describe every input with its checksum, and each of its files."""
    described = list(zip(sources, sums_of(context, _STAGE, "checksum", sources), strict=True))
    return [input_record(*each) for each in described], [list_seen_files(*each) for each in described]


def _id_and_parent(
    context: Context, settings: IngestSettings, inputs: list[Any], now: Inputs, sources: list[Source],
    deletions: list[Source],
) -> tuple[str, Parent | None]:  # fmt: skip
    """Return the id of the dataset of these inputs, and what it grows from if it is still to be made."""
    if not settings.incremental:
        return lineage.named(inputs, now, None), None
    candidates = lineage.Candidates(context.store, now.settings)
    if same := candidates.made_of(inputs, now):
        return same.id, None
    present = {
        kind: [stored for source in of_kind for stored in source.files]
        for kind, of_kind in (("ratings", sources), ("deletions", deletions))
    }

    def grew(grown: Sequence[Grown]) -> bool:
        jobs = [(present[kind][place], old.sums, old.bytes) for kind, place, old in grown]
        return all(run_all(context, _STAGE, "compare", has_grown, jobs))

    parent = candidates.parent(now, grew)
    return lineage.named(inputs, now, parent), parent


def _make(work: _Work) -> dict[str, Any]:
    settings, earlier = work.settings, work.earlier
    prepared, parsed_bytes = _prepared(work)
    before = earlier.ratings if earlier else 0
    buckets = max(
        buckets_for(before + prepared.rows_at_most, settings.partition_ratings),
        len(earlier.parts) if earlier else 1,
    )
    scattered = scatter(
        work.context, _STAGE, "parse", prepared, buckets, scratch=work.scratch,
        stop_at_first=settings.on_bad_rows == "raise", transform=settings.transform,
    )  # fmt: skip
    rows = before + sum(chunk.rows for chunk in scattered)
    if not rows:
        raise BadInput(f"{settings.ratings[0]}: no rating in it can be used; check ingest.ratings and ingest.format")
    # A part may become several, but never less.
    parts = max(parts_for(rows, settings.partition_ratings, buckets), len(earlier.parts) if earlier else 1)
    users, items = ids = _numbered(work, prepared, parts)
    gathered = _gathered(work, prepared, parts, buckets, ids)
    ratings = sum(part["rows"] for part in gathered)
    if not ratings:
        raise BadInput("no rating is left: all were deleted or forgotten; check ingest.deletions")
    quarantined = _write_quarantine(work, scattered)
    form = prepared.form
    return {
        "format": form.described,
        "form": {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(form).items()},
        "ratings": ratings,
        "users": users.rows,
        "items": items.rows,
        "id_checksums": {"users": users.checksum, "items": items.checksum},
        "parts": [{key: part[key] for key in ("path", "rows", "checksum")} for part in gathered],
        "rating_minimum": _extreme(min, "rating_minimum", scattered, earlier),
        "rating_maximum": _extreme(max, "rating_maximum", scattered, earlier),
        "scale": list(transformed_scale(form.scale, settings.transform) or ()) or None,
        "duplicates": sum(part["duplicates"] for part in gathered) + (earlier.duplicates if earlier else 0),
        "deleted": sum(part["deleted"] for part in gathered) + (earlier.deleted if earlier else 0),
        "quarantined": quarantined,
        "timestamps": form.timestamp >= 0,
        "user_id_type": form.user_type,
        "item_id_type": form.item_type,
        "titles": bool(work.titles),
        "parent": {"id": work.parent.manifest.id, "rows": work.parent.rows} if work.parent else None,
        "lineage": [*_ancestry(work), [ratings, users.rows, items.rows]],
        "parsed_bytes": parsed_bytes,
        "parts_written": sum(not part["kept"] for part in gathered),
        "parts_kept": sum(part["kept"] for part in gathered),
    }


def _ancestry(work: _Work) -> list[tuple[int, int, int]]:
    """Return ratings, users and items of every dataset that goes before, the first one first."""
    return list(work.parent.manifest.lineage) if work.parent else []


def _prepared(work: _Work) -> tuple[ParseInput, int]:
    """Return what is to be parsed, and its bytes: in the form of the earlier dataset, or as the first file has it."""
    stored = [each for source in work.sources for each in source.files]
    begins = work.parent.begins if work.parent else (0,) * len(stored)
    pieces = plain_pieces(work.context, _STAGE, stored, begins, work.scratch)
    if work.earlier:
        form = Form(**{name: _hashable(value) for name, value in work.earlier.form.items()})
    elif pieces:
        form = recognise(pieces[0].file, work.settings.wanted_form)
        work.context.notify(Noticed(describe_first_file(pieces[0].file, form, work.now.forgotten)))
    else:
        raise BadInput("no file of ratings is left to read; check ingest.ratings")
    parsed_bytes = sum(piece.stop - piece.start for piece in pieces)
    return prepare_pieces(pieces, form, work.settings.chunk_bytes), parsed_bytes


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _numbered(work: _Work, prepared: ParseInput, parts: int) -> list[IdTable]:
    """Write users.parquet and items.parquet: the ids of the earlier dataset as they are, then the new ones."""
    parent, form = work.parent, prepared.form
    sides = (("user", USERS, form.user_type, "", parts), ("item", ITEMS, form.item_type, work.titles, 0))
    jobs = []
    for side, number, kind, titles, pieces in sides:
        earlier = None
        if parent and parent.manifest.id_types[side] == kind:
            earlier = parent.manifest.id_place(side)
        numbering = Numbering(
            scratch=work.scratch, side=side, chunks=len(prepared.chunks), seed=work.settings.seed, number=number,
            generation=len(_ancestry(work)), kind=id_arrow_type(kind), titles=titles, earlier=earlier,
            all_occur=bool(work.earlier), forgotten=work.now.forgotten, parts=pieces,
        )  # fmt: skip
        jobs.append((numbering, files.join(work.folder, f"{side}s.parquet")))
    return run_all(work.context, _STAGE, "number", write_ids, jobs)


def _gathered(work: _Work, prepared: ParseInput, parts: int, buckets: int, ids: list[IdTable]) -> list[dict[str, Any]]:
    before, earlier, (users, items) = work.earlier, None, ids
    if before:
        known = tuple((part.path, part.checksum, part.rows) for part in before.parts)
        moved = users.moved or items.moved
        earlier = ParentParts(before.folder, known, users.pieces[1], before.id_place("item"), moved)
    unwanted, columns = files.join(work.scratch, "deletions"), work.settings.columns
    chunks = scatter_pairs(
        work.context, _STAGE, work.deletions, like=prepared.form, columns=(columns.user, columns.item),
        quoting=work.settings.quoting, chunk_bytes=work.settings.chunk_bytes, buckets=buckets, scratch=unwanted,
    )  # fmt: skip
    gathering = PartJob(
        ratings=ScatteredRows(work.scratch, len(prepared.chunks), buckets),
        deletions=ScatteredRows(unwanted, chunks, buckets),
        earlier=earlier, dataset=work.folder, users=users.pieces[0],
        items=(files.join(work.folder, "items.parquet"), items.checksum), parts=parts,
        duplicates=work.settings.duplicates, forgetting=bool(work.now.forgotten),
    )  # fmt: skip
    gathered = run_all(work.context, _STAGE, "gather", write_part, [(part, gathering) for part in range(parts)])
    if fault := next((part["fault"] for part in gathered if "fault" in part), ""):
        raise BadInput(fault)
    return gathered


def _write_quarantine(work: _Work, scattered: Sequence[ChunkSummary]) -> int:
    """Write quarantine.parquet, if any row is bad; return how many are."""
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


def _summary(dataset: Dataset, settings: IngestSettings) -> str:
    """Return what was read, and of what may befall rows and parts that which did."""
    befell = {"duplicates": f"duplicates settled ({settings.duplicates})", "quarantined": "rows quarantined"}
    befell["deleted"] = "ratings deleted"
    size = f"{dataset.ratings:,} ratings of {dataset.users:,} users and {dataset.items:,} items"
    said = [f"{size} from {dataset.format}", *(f"{getattr(dataset, name):,} {befell[name]}" for name in befell)]
    if dataset.parent:
        parts = f"{dataset.parts_written} parts written, {dataset.parts_kept} kept"
        said.append(f"grown from {dataset.parent.id}; {dataset.parsed_bytes:,} bytes parsed, {parts}")
    return "; ".join(each for each in said if not each.startswith("0 "))
