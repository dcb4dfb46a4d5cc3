"""Checksums of input files: each version of a file is read once for its checksum.

Covers: the record of checksums under the root, hashing new files on the cluster, and noticing a file that changes while
it is read.
Does not cover: versions of files (tasks/storage/file_versions.py), listing files (tasks/parsing/sources/sources.py).

    <root>/inputs.json        by a checksum of the file's URL, which may have credentials in it

Only the holder of the root writes this file. If it is damaged or gone, all files are hashed again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TypedDict

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.root.store import FORMAT_VERSION, notes
from funkflow.tasks.errors import BadInput, TryAgainLater
from funkflow.tasks.parsing.sources.sources import (
    CHECKED_BYTES,
    Source,
    StoredFile,
    checksum_all,
    checksum_ranges,
    find_sources,
    input_record,
)
from funkflow.tasks.storage import files
from funkflow.tasks.storage.file_versions import is_settled


class _HashedFile(TypedDict):
    """A file in inputs.json: its name, bytes and version, and the checksum of each range."""

    name: str
    bytes: int
    version: str
    checksums: list[str]


def describe_inputs(context: Context, stage: str, doing: str, sources: Sequence[Source]) -> list[dict[str, str | int]]:
    """Return the manifest's record of each source, with its checksum."""
    return [input_record(*each) for each in zip(sources, sums_of(context, stage, doing, sources), strict=True)]


def sums_of(context: Context, stage: str, doing: str, sources: Sequence[Source]) -> list[list[str]]:
    """Return the checksums of all ranges of the files of each source; read only new files.

    Small files share a task; several tasks read a big one.
    """
    url = files.join(context.store.root, "inputs.json")
    known: dict[str, _HashedFile] = notes(url, "files")
    stored = list({each.url: each for source in sources for each in source.files}.values())
    sums = {each.url: found for each in stored if (found := _known_sums(known, each)) is not None}
    unseen = [each for each in stored if each.url not in sums]
    if unseen:
        began = time.time_ns()
        sums |= _hash_files(context, stage, doing, unseen)
        learnt: dict[str, _HashedFile] = {
            _key(each): {"name": each.name, "bytes": each.bytes, "version": each.version, "checksums": sums[each.url]}
            for each in unseen
            if is_settled(each.version, each.changed_ns, began)
        }
        if learnt:
            files.write_json(url, {"format_version": FORMAT_VERSION, "files": {**known, **learnt}})
    return [[each for file in source.files for each in sums[file.url]] for source in sources]


def refuse_changed(sources: Sequence[Source], entries: Sequence[str], without: str = "") -> None:
    """Raise TryAgainLater if a file of `sources` changed since it was listed from `entries`."""
    try:
        found = find_sources(entries, without)
    except BadInput:
        found = []  # gone: it was read as its checksum says, or reading would have failed
    now = {each.url: each for source in found for each in source.files}
    for source in sources:
        for each in source.files:
            if now.get(each.url, each) != each:
                raise TryAgainLater(
                    f"{each.name}: changed while it was read; run the same command again when it is written whole"
                )


def _hash_files(context: Context, stage: str, doing: str, unseen: Sequence[StoredFile]) -> dict[str, list[str]]:
    spans = [(each.url, span) for each in unseen for span in checksum_ranges(each)]
    jobs: list[list[tuple[str, int, int]]] = [[]]
    gathered = 0
    for _, (url, start, stop) in spans:
        if gathered + stop - start > CHECKED_BYTES:
            jobs.append([])
            gathered = 0
        jobs[-1].append((url, start, stop))
        gathered += stop - start
    hashed = [each for job in run_all(context, stage, doing, checksum_all, [(job,) for job in jobs]) for each in job]
    sums: dict[str, list[str]] = {each.url: [] for each in unseen}
    for (url, _), one in zip(spans, hashed, strict=True):
        sums[url].append(one)
    return sums


def _known_sums(known: Mapping[str, _HashedFile], stored: StoredFile) -> list[str] | None:
    """Return the recorded checksums of a file's ranges, if it did not change."""
    entry = known.get(_key(stored))
    if not stored.version or not isinstance(entry, dict):
        return None
    if (entry.get("bytes"), entry.get("version")) != (stored.bytes, stored.version):
        return None
    sums = entry.get("checksums", [])
    return sums if len(sums) == len(checksum_ranges(stored)) else None


def _key(stored: StoredFile) -> str:
    return files.checksum(stored.url.encode())
