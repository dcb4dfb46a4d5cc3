"""Choose the parent of a new dataset: an earlier one with the same inputs, some of them, or at least the same ids.

Covers: datasets under a root with the same settings, and the current inputs that each of them has.
Does not cover: matching files (tasks/dataset/known_files.py), or making the new dataset (pipeline/stages/ingest.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypedDict

from funkflow.pipeline.root import store
from funkflow.pipeline.root.index import facts_of_all
from funkflow.pipeline.root.manifests import Dataset
from funkflow.pipeline.root.records import InputsRecord
from funkflow.tasks.dataset.known_files import FileMatch, SeenFile, file_signatures, match
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.parsing.erased_ids import ErasedIds
from funkflow.tasks.storage import files

FileKind = Literal["ratings", "deletions"]
Grown = tuple[FileKind, int, SeenFile]
"""A file that seems to have grown: its kind, its index among the files of that kind, and its earlier record."""
_MOST_READ = 32
"""The most manifests that a search for a parent reads."""


@dataclass(frozen=True)
class Inputs:
    """The inputs of a dataset: settings that change it, files of ratings and of deletions, and erased ids."""

    settings: Mapping[str, object]
    ratings: tuple[SeenFile, ...]
    deletions: tuple[SeenFile, ...]
    forgotten: ErasedIds

    def written(self) -> InputsRecord:
        """Return the record in the manifest, by which a later dataset may grow from this one."""
        return {
            "settings": self.settings,
            "ratings": [file.written() for file in self.ratings],
            "deletions": [file.written() for file in self.deletions],
            "forgotten": self.forgotten.written(),
        }


@dataclass(frozen=True)
class Parent:
    """The dataset to grow from.

    Attributes
    ----------
    manifest : of that dataset.
    begins : the byte of each current file at which new content begins; all 0 if only the ids are taken over.
    rows : whether its ratings are taken over, and not only the numbers of its ids.
    """

    manifest: Dataset
    begins: tuple[int, ...]
    rows: bool


class Candidates:
    """The datasets under a root with some settings. A manifest is read on first use."""

    def __init__(self, root: store.Store, settings: Mapping[str, object]) -> None:
        self._root = root
        same_settings = _mark(settings)
        every = facts_of_all(root, Dataset, _dataset_facts)
        self._facts = {name: facts for name, facts in every.items() if facts["settings"] == same_settings}
        self._read: dict[str, Dataset | None] = {}

    def made_of(self, inputs: list[Any], now: Inputs) -> Dataset | None:
        """Return the dataset of exactly these inputs: of several, the one with the longest lineage."""
        mark = _mark([inputs, now.written()])
        marked = [self._manifest(name) for name, facts in self._facts.items() if facts["made_of"] == mark]
        same = [each for each in marked if each and each.inputs == inputs and each.seen == now.written()]
        return max(same, key=lambda each: (len(each.lineage), each.id), default=None)

    def parent(self, now: Inputs, have_grown: Callable[[Sequence[Grown]], bool]) -> Parent | None:
        """Return the dataset that has most of the inputs, among those whose inputs all exist, unchanged or grown.

        If there is none, the parent gives only the numbers of its ids: the dataset that has most of the inputs, among
        those from which no other grew. None if no dataset has any of the inputs.

        Parameters
        ----------
        have_grown : reads files, and returns whether all of them only became longer.
        """
        for manifest, found, listed in self._whole(now):
            changed = [*_grown("ratings", manifest, now, found), *_grown("deletions", manifest, now, listed)]
            if not changed or have_grown(changed):
                return Parent(manifest, found.begins, rows=True)
        matched = [(each, _match(each, now)) for each in self._ends()]
        known = [pair for pair in matched if pair[1].seen_bytes or pair[1].names]
        if not known:
            return None
        manifest, _ = max(known, key=lambda pair: (pair[1].seen_bytes, pair[1].names, len(pair[0].lineage), pair[0].id))
        return Parent(manifest, (0,) * len(now.ratings), rows=False)

    def seen_bytes(self, now: Inputs) -> int:
        """Return how many bytes of ratings need no parsing, if the files that may have grown have grown."""
        return next((found.seen_bytes for _, found, _ in self._whole(now)), 0)

    def _whole(self, now: Inputs) -> Iterator[tuple[Dataset, FileMatch, FileMatch]]:
        """Yield the datasets whose inputs all seem to exist still, the one with most bytes first.

        Of equal ones, the one of most generations comes first. The order follows from the index, without a manifest.
        """
        present = {sign for file in now.ratings for sign in file_signatures(file)}
        in_order = sorted(self._facts, key=lambda name: (*self._key(name), name))
        asked = (name for name in in_order if present & set(self._facts[name]["first"]))
        for manifest in filter(None, map(self._manifest, islice(asked, _MOST_READ))):
            found = _match(manifest, now)
            if not found.whole or not now.forgotten.covers(manifest.seen["forgotten"]):
                continue
            # A pair that left the list of deletions could be anywhere in the ratings, so all would have to be read.
            listed = match(_files_of(manifest, "deletions"), now.deletions, may_grow=True)
            if listed.whole:
                yield manifest, found, listed

    def _ends(self) -> list[Dataset]:
        """Return the datasets from which no other grew, with most bytes first."""
        left = dict(self._facts)
        while True:
            parents = {facts["parent"] for facts in left.values()}
            ends = sorted((name for name in left if name not in parents), key=lambda name: (*self._key(name), name))
            read = {name: self._manifest(name) for name in ends[:_MOST_READ]}
            if all(read.values()):
                return [manifest for manifest in read.values() if manifest]
            left = {name: facts for name, facts in left.items() if read.get(name, facts)}

    def _key(self, name: str) -> tuple[int, ...]:
        facts = self._facts[name]
        return -facts["bytes"], -facts["deletions_bytes"], -facts["generations"]

    def _manifest(self, name: str) -> Dataset | None:
        """Return the manifest of a complete dataset; None for an incomplete or unreadable one."""
        if name not in self._read:
            self._read[name] = None
            with suppress(DamagedFile):
                self._read[name] = Dataset.published(self._root.dataset(name))
        return self._read[name]


def dataset_id(inputs: list[Any], now: Inputs, parent: Parent | None) -> str:
    """Return the id of a dataset, by its inputs, its settings and its parent."""
    marks = {"forgotten": now.forgotten.written()} if now.forgotten else {}
    ancestry = {"parent": [parent.manifest.id, parent.rows]} if parent else {}
    return store.content_id(what="dataset", inputs=inputs, settings=now.settings, **marks, **ancestry)


def describe_known(root: store.Store, now: Inputs, parent: Parent | None, incremental: bool) -> str:
    """Return a notice of how much of the inputs an earlier dataset has; "" if there is nothing to say."""
    if parent and not parent.rows:
        return (
            f"inputs of dataset {parent.manifest.id} are gone, or changed otherwise than by growing: "
            "everything is parsed again, and ids keep their numbers"
        )
    if parent or incremental:
        return ""
    total = sum(file.bytes for file in now.ratings)
    known = Candidates(root, now.settings).seen_bytes(now)
    if 2 * known < total:
        return ""
    return (
        f"{known:,} of {total:,} bytes of ratings were ingested before, with the same settings: "
        "with ingest.incremental = true only what is new would be parsed"
    )


class _DatasetFacts(TypedDict):
    """Facts of a dataset in the index. `settings`, `made_of` : checksums; `first` : signatures of the first file."""

    settings: str
    made_of: str
    bytes: int
    deletions_bytes: int
    first: list[str]
    generations: int
    parent: str | None


def _dataset_facts(manifest: Dataset) -> _DatasetFacts:
    ratings, deletions = _files_of(manifest, "ratings"), _files_of(manifest, "deletions")
    return {
        "settings": _mark(manifest.seen["settings"]),
        "made_of": _mark([manifest.inputs, manifest.seen]),
        "bytes": sum(file.bytes for file in ratings),
        "deletions_bytes": sum(file.bytes for file in deletions),
        "first": list(file_signatures(ratings[0])) if ratings else [],
        "generations": len(manifest.lineage),
        "parent": manifest.parent.id if manifest.parent else None,
    }


def _mark(content: Any) -> str:
    return files.checksum(json.dumps(content, sort_keys=True).encode())


def _files_of(manifest: Dataset, kind: FileKind) -> list[SeenFile]:
    return [SeenFile.read(entry) for entry in manifest.seen[kind]]


def _match(manifest: Dataset, now: Inputs) -> FileMatch:
    return match(_files_of(manifest, "ratings"), now.ratings, may_grow=manifest.form["kind"] != "parquet")


def _grown(kind: FileKind, manifest: Dataset, now: Inputs, found: FileMatch) -> list[Grown]:
    by_size = {(file.name, file.bytes): file for file in _files_of(manifest, kind)}
    present = now.ratings if kind == "ratings" else now.deletions
    return [
        (kind, place, by_size[file.name, begin])
        for place, (file, begin) in enumerate(zip(present, found.begins, strict=True))
        if 0 < begin < file.bytes
    ]
