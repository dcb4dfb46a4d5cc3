"""Split: hold ratings out of training, for validation and, if wanted, a slice for early stopping.

Covers: the order of the tasks, the id and manifest of the split, and the line of a probe pair without a rating.
Does not cover: choosing the rows of one part (tasks/dataset/hold_out.py), or training without them (grid.py).
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import cast

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.datasets.input_hashes import describe_inputs, refuse_changed
from funkflow.pipeline.datasets.raw_rows import Buckets, scatter
from funkflow.pipeline.datasets.split_by_date import count_all_cold, refuse_one_side
from funkflow.pipeline.progress.events import Noticed, StageFinished, StageStarted
from funkflow.pipeline.root import store
from funkflow.pipeline.root.manifests import Dataset, HeldOutParts, Split
from funkflow.pipeline.settings.sections import IngestSettings, SplitSettings
from funkflow.pipeline.settings.wanted_form import wanted_form
from funkflow.tasks.dataset.hold_out import HeldOutEntry, HoldOutRule, PartSplit, hold_out_part
from funkflow.tasks.dataset.id_pieces import cut_by_part
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.erased_ids import read_forgotten
from funkflow.tasks.parsing.pairs import find_line
from funkflow.tasks.parsing.prepare import ParseInput, prepare_leniently, unpack_here
from funkflow.tasks.parsing.sources.chunks import RawFile
from funkflow.tasks.parsing.sources.sources import Source, find_companions, find_sources
from funkflow.tasks.parsing.understood import describe_first_file
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import share

_STAGE = "split"
_BY_TIME = ("last", "after")


def split(
    context: Context, dataset: Dataset, settings: SplitSettings, ingest: IngestSettings, slice_fraction: float
) -> Split:
    """Hold out validation ratings of `dataset`, and a slice of the rest.

    Parameters
    ----------
    ingest : settings of the ratings; its columns and chunk size also apply to a validation file.
    slice_fraction : part of the remaining ratings to hold out as the slice; 0: no slice.

    Raises
    ------
    BadInput
        The validation file is bad, or has a pair without a rating that is not in the data; the ratings have no times
        for kinds "last" and "after"; or no rating is held out, or none left, though the settings ask for it.
    """
    began = time.monotonic()
    context.notify(StageStarted(_STAGE))
    if settings.kind == "fraction" and ingest.ratings:
        _mention_probe(context, ingest)
    if settings.kind == "none":
        stops = f"uses a slice of {slice_fraction * 100:g} % of the ratings" if slice_fraction else "is off"
        context.notify(
            Noticed(f'split.kind = "none" leaves no validation ratings, so there is no RMSE; early stopping {stops}')
        )
    if settings.kind in _BY_TIME and not dataset.timestamps:
        raise BadInput(
            f'split.kind = "{settings.kind}" needs the times of ratings, and these have none; '
            'use split.kind = "fraction"'
        )
    source = find_sources([settings.file])[0] if settings.kind == "file" else None
    split_id = _split_id(context, dataset.id, settings, ingest, slice_fraction, source=source)
    folder = context.store.split(split_id)
    made = context.existing(Split, folder)
    reused = made is not None
    if made is None:
        scratch = context.store.scratch(f"split-{split_id}-{context.attempt}")
        with store.nothing_half_written(folder, temporary=(scratch,)):
            files.remove_tree(folder)
            prepared = _scatter_validation_file(context, dataset, ingest, source, scratch) if source else None
            rule = HoldOutRule(
                kind=settings.kind, fraction=settings.fraction, last=settings.last, since=settings.since,
                found=settings.found, seed=settings.seed, slice_fraction=slice_fraction, folder=scratch,
                chunks=len(prepared.chunks) if prepared else 0, parts=len(dataset.parts),
                users=files.join(scratch, "users.arrow"), items=dataset.id_place("item"),
                forgotten=read_forgotten(context.store.forgotten),
            )  # fmt: skip
            known = _reuse_parts(context, dataset, settings, ingest, slice_fraction, folder=folder)
            made = _hold_out(context, dataset, rule, prepared, settings, known=known, split_id=split_id)
            if settings.kind == "after":
                made = replace(made, cold=count_all_cold(context, _STAGE, dataset, made), absent=made.absent - {"cold"})
            if source:
                refuse_changed([source], [settings.file])
            made = made.publish([part.path for held_out in made.held_out.values() for part in held_out.parts])
    context.notify(StageFinished(_STAGE, time.monotonic() - began, _describe_split(made), reused))
    return made


def _mention_probe(context: Context, ingest: IngestSettings) -> None:
    """Notify of a probe file, which is a better choice than a hash split by default."""
    probe = find_companions(find_sources(ingest.ratings)).get("probe")
    if probe:
        context.notify(Noticed(f"{probe} is beside the ratings; to validate on its pairs: --validation {probe}"))


def _split_id(
    context: Context,
    dataset_id: str,
    settings: SplitSettings,
    ingest: IngestSettings,
    slice_fraction: float,
    source: Source | None,
) -> str:
    content = None
    if source:
        (content,) = describe_inputs(context, _STAGE, "checksum-validation", [source])
    relevant = {
        "fraction": [settings.fraction, settings.seed],
        "last": [settings.last],
        "after": [settings.date],
        "users": [settings.fraction, settings.found, settings.seed],
        "file": [ingest.columns.model_dump(mode="json"), ingest.quoting],
        "none": [],
    }[settings.kind]
    held_back = [slice_fraction, settings.seed] if slice_fraction > 0 else []
    return store.content_id(
        what="split", dataset=dataset_id, kind=settings.kind, settings=relevant, file=content, slice=held_back
    )


def _scatter_validation_file(
    context: Context, dataset: Dataset, ingest: IngestSettings, source: Source, scratch: str
) -> ParseInput:
    """Read the validation file and write its rows by part; raise at the first bad row."""
    (plain,) = run_all(context, _STAGE, "unpack-validation", unpack_here, [(source, scratch)])
    prepared = _parse_validation_file(plain, dataset, ingest)
    context.notify(Noticed(describe_first_file(plain[0], prepared.form, read_forgotten(context.store.forgotten))))
    into = Buckets(scratch, len(dataset.parts))
    scatter(context, _STAGE, "parse-validation", prepared, into, stop_at_first=True, transform=ingest.transform)
    return prepared


def _parse_validation_file(plain: list[RawFile], dataset: Dataset, ingest: IngestSettings) -> ParseInput:
    wanted = replace(
        wanted_form(ingest, events=dataset.counts),
        format="auto",
        user_type=dataset.user_id_type,
        item_type=dataset.item_id_type,
        scale=tuple(dataset.form["scale"]) if dataset.form["scale"] else None,
        ratings=dataset.counts,
        counts=dataset.counts,
    )
    return prepare_leniently(plain, wanted, ingest.chunk_bytes)


def _reuse_parts(
    context: Context, dataset: Dataset, settings: SplitSettings, ingest: IngestSettings, slice_fraction: float,
    folder: str,
) -> dict[int, PartSplit]:  # fmt: skip
    """Reuse the held-out files of the parent's parts that did not change; return their entries by part number.

    A validation file may name users and items that are new, so with one no part is reused.
    """
    if not dataset.parent or settings.kind == "file":
        return {}
    parent = dataset.parent.id
    before = Dataset.published(context.store.dataset(parent))
    earlier = Split.published(
        context.store.split(_split_id(context, parent, settings, ingest, slice_fraction, source=None))
    )
    if not before or not earlier or earlier.training is None or len(before.parts) != len(dataset.parts):
        return {}
    known, jobs = {}, []
    for number, (old, new) in enumerate(zip(before.parts, dataset.parts, strict=True)):
        if old.checksum == new.checksum:
            validation = cast(HeldOutEntry, earlier.validation.parts[number].content())
            held_back = cast(HeldOutEntry, earlier.slice.parts[number].content()) if earlier.slice else None
            given = cast(HeldOutEntry, earlier.given.parts[number].content()) if earlier.given else None
            known[number] = PartSplit(validation, held_back, earlier.training[number], given=given)
            paths = [each["path"] for each in (validation, held_back, given) if each]
            jobs += [(files.join(earlier.folder, path), files.join(folder, path)) for path in paths]
    run_all(context, _STAGE, "keep", share, jobs)
    return known


def _hold_out(
    context: Context,
    dataset: Dataset,
    rule: HoldOutRule,
    prepared: ParseInput | None,
    settings: SplitSettings,
    known: dict[int, PartSplit],
    split_id: str,
) -> Split:
    """Hold out the ratings of all parts that are not `known`; return the manifest, which is not published yet."""
    folder = context.store.split(split_id)
    jobs = [
        (dataset.folder, part.path, part.checksum, number, rule, folder)
        for number, part in enumerate(dataset.parts)
        if number not in known
    ]
    if jobs:
        run_all(context, _STAGE, "cut-users", cut_by_part, [(dataset.id_place("user"), rule.parts, rule.users)])
    chosen = iter(run_all(context, _STAGE, "hold-out", hold_out_part, jobs))
    parts = [known[number] if number in known else next(chosen) for number in range(len(dataset.parts))]
    missing = {part.missing for part in parts if part.missing is not None}
    if missing and prepared:
        raise BadInput(_missing_message(prepared, missing, settings.file))
    validation = [part.validation for part in parts]
    ratings = sum(part["rows"] for part in validation)
    if settings.kind == "after":
        refuse_one_side(settings.date, parts)
    if settings.kind != "none" and ratings == 0:
        raise BadInput(
            f"split {settings.description} takes none of {dataset.ratings:,} ratings for validation; "
            "change the [split] settings"
        )
    if ratings and sum(part.unknown for part in parts) == ratings:
        message = f"none of the {ratings:,} ratings in {settings.file} has a user and an item of the data"
        context.notify(Noticed(f"{message}; check its ids", warning=True))
    sliced = [part.slice for part in parts if part.slice is not None]
    if rule.slice_fraction > 0 and not any(part["rows"] for part in sliced):
        raise BadInput(
            f"none of {sum(part.training for part in parts):,} training ratings falls into the early-stopping slice; "
            'raise train.slice_fraction, or set train.stop_on = "validation" or "nothing"'
        )
    given = [part.given for part in parts if part.given is not None]
    return Split(
        folder=folder,
        id=split_id,
        dataset=dataset.id,
        split=settings.description,
        validation=HeldOutParts.of(validation),
        slice=HeldOutParts.of(sliced) if sliced else None,
        training=tuple(part.training for part in parts),
        training_ratings=sum(part.training for part in parts),
        parts_kept=len(known),
        duplicates=sum(part.duplicates for part in parts),
        unknown=sum(part.unknown for part in parts),
        given=HeldOutParts.of(given) if given else None,
        absent=frozenset({"lost", "trained_on_validation", "trained_on_slice", "cold", *(() if given else ("given",))}),
    )


def _missing_message(prepared: ParseInput, missing: set[tuple[int | str, int | str]], url: str) -> str:
    found = find_line(prepared.chunks, prepared.form, missing)
    file, line, (user, item) = found if found else (url, 0, next(iter(missing)))
    return (
        f"{file}:{line}: user {user!r} has no rating for item {item!r} in the data; "
        "use the probe file of these ratings, or remove the line"
    )


def _describe_split(made: Split) -> str:
    counts = (
        (made.duplicates, "duplicate pairs"),
        (made.unknown, "with a user or item that the data lack"),
        (made.cold, "with a user or item without earlier ratings"),
    )
    among = ", ".join(f"{count:,} {name}" for count, name in counts if count)
    sliced = f", {made.slice.ratings:,} in the early-stopping slice" if made.slice else ""
    given = f", {made.given.ratings:,} to fold in from" if made.given else ""
    kept = f"; {made.parts_kept} parts kept" if made.parts_kept else ""
    return (
        f"{made.split}: {made.validation.ratings:,} validation ratings{f' ({among})' if among else ''}{given}{sliced}, "
        f"{made.training_ratings:,} training ratings{kept}"
    )
