"""The size of the matrix of a run, before ingest.

Covers: ratings, users and items, from a sample of the raw data or the synthetic shape, and the training part of them.
Does not cover: the plan (plan.py), the sample (tasks/parsing/sample.py).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

from funkflow.pipeline.planning.budget import Size
from funkflow.pipeline.settings.effective import may_have_counts
from funkflow.pipeline.settings.sections import Settings
from funkflow.pipeline.settings.wanted_form import wanted_form
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.parsing.format.formats import Wanted
from funkflow.tasks.parsing.prepare import prepare, prepare_leniently
from funkflow.tasks.parsing.sample import estimate_counts, estimate_part_since
from funkflow.tasks.parsing.sources.archives import needs_unpacking, raw_files
from funkflow.tasks.parsing.sources.chunks import RawFile
from funkflow.tasks.parsing.sources.sources import StoredFile, find_sources, refuse_missing
from funkflow.tasks.synthetic import planted

_PACKED_FACTOR = 4
"""Plain bytes for each packed one: by gzip, ratings text shrinks three- to fivefold."""
_LINE_BYTES = 20
_PAIR_BYTES = 8
"""A line of a packed file of pairs, which is not unpacked for an estimate: a line of probe.txt has about as many."""


def size_of(settings: Settings) -> Size:
    """Return the numbers of ratings, users and items, with validation ratings.

    Reads a sample of the raw data at most.

    Raises
    ------
    BadInput
        The first file is empty, or its columns are not recognised.
    SettingsError
        No ratings are named, or the validation file does not exist.
    """
    if settings.ingest.ratings:
        if settings.split.kind == "file":
            refuse_missing(settings.split.file, "split.file (--validation)", settings.ingest.ratings)
        return _sampled(settings)
    if settings.synth:
        made = planted.plan_set(settings.synth.shape, settings.synth.fraction, settings.synth.seed)
        return Size(made.ratings, made.users, made.items, made.ratings * _LINE_BYTES)
    raise SettingsError("no ratings are named; set ingest.ratings to files, folders, archives, globs or URLs")


def training_size(settings: Settings, size: Size) -> Size:
    """Return `size` without the validation ratings, and all others of held-out users; their number is in `held_out`.

    The function assumes that each pair of a validation file is among the ratings.
    """
    held_out = min(_validation_ratings(settings, size), size.ratings - 1)
    if settings.train.stop_on == "slice":
        held_out += round((size.ratings - held_out) * settings.train.slice_fraction)
    return replace(size, ratings=size.ratings - held_out, held_out=held_out)


def _validation_ratings(settings: Settings, size: Size) -> int:
    split = settings.split
    match split.kind:
        case "fraction" | "users":
            return round(size.ratings * split.fraction)
        case "last":
            return split.last * size.users
        case "after" if settings.ingest.ratings:
            return round(size.ratings * _part_since(settings))
        case "file" if settings.ingest.ratings:
            return _rows_of(settings)
        case "file" if settings.synth:
            return planted.plan_set(settings.synth.shape, settings.synth.fraction, settings.synth.seed).probe
        case _:
            return 0


def _rows_of(settings: Settings) -> int:
    """Return about how many pairs the validation file has."""
    plain, packed_bytes = _plain_and_packed(find_sources([settings.split.file])[0].files)
    rows = packed_bytes // _PAIR_BYTES
    if plain:
        wanted = replace(wanted_form(settings.ingest), ratings=False)
        form = prepare_leniently(plain, wanted, settings.ingest.chunk_bytes).form
        rows += estimate_counts(plain, form).ratings
    return rows


def _part_since(settings: Settings) -> float:
    """Return about which part of the ratings comes after split.date; 0 if all files are packed."""
    plain, _ = _plain_and_packed(_stored(settings))
    if not plain:
        return 0.0
    form = prepare(plain, wanted_form(settings.ingest), settings.ingest.chunk_bytes).form
    return estimate_part_since(plain, form, settings.split.since)


def _stored(settings: Settings) -> list[StoredFile]:
    return [each for source in find_sources(settings.ingest.ratings, settings.split.file) for each in source.files]


def _sampled(settings: Settings) -> Size:
    wanted = wanted_form(settings.ingest, may_have_counts(settings))
    return _size_of_files(tuple(_stored(settings)), wanted, settings.ingest.chunk_bytes)


@functools.lru_cache(maxsize=1)
def _size_of_files(stored: tuple[StoredFile, ...], wanted: Wanted, chunk_bytes: int) -> Size:
    """Return the size of files of these versions, which a run wants to know for its cluster, and again for ingest."""
    plain, packed_bytes = _plain_and_packed(stored)
    if not plain:
        ratings = packed_bytes // _LINE_BYTES
        # Without unpacking nothing is known of the ids: the sizes of Netflix's matrix stand in,
        # users and items as its ratings had.
        return Size(ratings, max(1, ratings // 200), max(1, ratings // 5_000), packed_bytes, estimated=True)
    prepared = prepare(plain, wanted, chunk_bytes)
    counts = estimate_counts(plain, prepared.form)
    plain_bytes = sum(file.stop - file.start for file in plain)
    more = 1 + packed_bytes / max(1, plain_bytes)
    return Size(
        round(counts.ratings * more),
        counts.users,
        counts.items,
        plain_bytes + packed_bytes,
        estimated=not counts.exact or bool(packed_bytes),
        counts=prepared.form.counts,
        timestamps=prepared.form.timestamp >= 0,
    )


def _plain_and_packed(stored: Sequence[StoredFile]) -> tuple[list[RawFile], int]:
    """Return the files that can be read as they lie, and about how many plain bytes the packed ones hold."""
    plain = [file for each in stored if not needs_unpacking(each) for file in raw_files(each)]
    return plain, _PACKED_FACTOR * sum(each.bytes for each in stored if needs_unpacking(each))
