"""Which dataset a new one grows from: the same inputs, most of them, or at least the same ids.

Covers: datasets under a root with the same settings, and what of the present inputs each has seen.
Does not cover: matching files (tasks/dataset/known_files.py), or what is made of the answer
(pipeline/stages/ingest.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from funkflow.pipeline.root import store
from funkflow.pipeline.root.index import Facts, facts_of_all
from funkflow.pipeline.root.manifests import Dataset
from funkflow.tasks.dataset.known_files import FileMatch, SeenFile, file_signatures, match
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.parsing.erased_ids import ErasedIds
from funkflow.tasks.storage import files

Grown = tuple[str, int, SeenFile]
"""A file that seems to have become longer: among "ratings" or "deletions", its place there, and what it was before."""
_MOST_ASKED = 32
"""So many manifests are read in search of a dataset to grow from, however many there are."""


@dataclass(frozen=True)
class Inputs:
    """What a dataset is made of: settings that matter, files of ratings and of deletions, and who is forgotten."""

    settings: dict[str, Any]
    ratings: tuple[SeenFile, ...]
    deletions: tuple[SeenFile, ...]
    forgotten: ErasedIds

    def written(self) -> dict[str, Any]:
        """Return what a manifest keeps, so that a later dataset may grow from this one."""
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
    begins : the byte of each present file from which on it is new; all 0 where only the ids are taken over.
    rows : its ratings are taken over, not only the numbers of its ids.
    """

    manifest: Dataset
    begins: tuple[int, ...]
    rows: bool


class Candidates:
    """The datasets under a root that were made with some settings. A manifest is read once it is needed."""

    def __init__(self, root: store.Store, settings: dict[str, Any]) -> None:
        self._root = root
        made_so = _mark(settings)
        every = facts_of_all(root, "dataset", _facts_of)
        self._facts = {name: facts for name, facts in every.items() if facts["settings"] == made_so}
        self._read: dict[str, Dataset | None] = {}

    def made_of(self, inputs: list[Any], now: Inputs) -> Dataset | None:
        """Return the dataset that is made of exactly these inputs: of several, the one with the longest lineage."""
        mark = _mark([inputs, now.written()])
        named_so = [self._manifest(name) for name, facts in self._facts.items() if facts["made_of"] == mark]
        same = [each for each in named_so if each and each.inputs == inputs and each.seen == now.written()]
        return max(same, key=lambda each: (len(each.lineage), each.id), default=None)

    def parent(self, now: Inputs, grew: Callable[[Sequence[Grown]], bool]) -> Parent | None:
        """Return the dataset that has seen most, of those whose inputs are all among those of now, unchanged or grown.

        If there is none, of those from which no other grew the one that has seen most gives the numbers of its ids;
        None if none has seen any.

        Parameters
        ----------
        grew : says, by reading, whether files only became longer.
        """
        for manifest, found, listed in self._whole(now):
            changed = [*_grown("ratings", manifest, now, found), *_grown("deletions", manifest, now, listed)]
            if not changed or grew(changed):
                return Parent(manifest, found.begins, rows=True)
        matched = [(each, _match(each, now)) for each in self._ends()]
        known = [pair for pair in matched if pair[1].seen_bytes or pair[1].names]
        if not known:
            return None
        manifest, _ = max(known, key=lambda pair: (pair[1].seen_bytes, pair[1].names, len(pair[0].lineage), pair[0].id))
        return Parent(manifest, (0,) * len(now.ratings), rows=False)

    def seen_bytes(self, now: Inputs) -> int:
        """Return how many bytes of ratings would not be parsed again; a file may yet turn out not to have grown."""
        return next((found.seen_bytes for _, found, _ in self._whole(now)), 0)

    def _whole(self, now: Inputs) -> Iterator[tuple[Dataset, FileMatch, FileMatch]]:
        """Yield the datasets whose inputs all seem to be among those of now, the one that has seen most first.

        Of equal ones that of most generations comes first. All bytes of one whose inputs are all there are seen, so
        the order is known before any manifest is read.
        """
        present = {sign for file in now.ratings for sign in file_signatures(file)}
        in_order = sorted(self._facts, key=lambda name: (*self._key(name), name))
        asked = (name for name in in_order if present & set(self._facts[name]["first"]))
        for manifest in filter(None, map(self._manifest, islice(asked, _MOST_ASKED))):
            found = _match(manifest, now)
            if not found.whole or not now.forgotten.covers(manifest.seen["forgotten"]):
                continue
            # A pair that was taken off a list of deletions would have to be looked for in all ratings.
            listed = match(_remembered(manifest, "deletions"), now.deletions, may_grow=True)
            if listed.whole:
                yield manifest, found, listed

    def _ends(self) -> list[Dataset]:
        """Return the datasets from which no other grew, those with most bytes."""
        left = dict(self._facts)
        while True:
            parents = {facts["parent"] for facts in left.values()}
            ends = sorted((name for name in left if name not in parents), key=lambda name: (*self._key(name), name))
            read = {name: self._manifest(name) for name in ends[:_MOST_ASKED]}
            if all(read.values()):
                return [manifest for manifest in read.values() if manifest]
            left = {name: facts for name, facts in left.items() if read.get(name, facts)}

    def _key(self, name: str) -> tuple[int, ...]:
        facts = self._facts[name]
        return -facts["bytes"], -facts["deletions_bytes"], -facts["generations"]

    def _manifest(self, name: str) -> Dataset | None:
        """Return the manifest of a dataset that is whole; one that cannot be read is none to grow from."""
        if name not in self._read:
            self._read[name] = None
            with suppress(DamagedFile):
                self._read[name] = Dataset.published(self._root.dataset(name))
        return self._read[name]


def named(inputs: list[Any], now: Inputs, parent: Parent | None) -> str:
    """Return the id of a dataset: by its inputs and settings, and by what it grows from."""
    marks = {"forgotten": now.forgotten.written()} if now.forgotten else {}
    ancestry = {"parent": [parent.manifest.id, parent.rows]} if parent else {}
    return store.content_id(what="dataset", inputs=inputs, settings=now.settings, **marks, **ancestry)


def what_is_known(root: store.Store, now: Inputs, parent: Parent | None, incremental: bool) -> str:
    """Return what is to be said, before a dataset is made, of how much of it was there already; "" for nothing."""
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


def _facts_of(manifest: dict[str, Any]) -> Facts:
    """Return what is looked at before a manifest is read; files by what they are known by, and not by name."""
    seen = manifest.get("seen", {})
    ratings, deletions = ([SeenFile.read(entry) for entry in seen.get(kind, [])] for kind in ("ratings", "deletions"))
    return {
        "settings": _mark(seen.get("settings")),
        "made_of": _mark([manifest.get("inputs"), seen]),
        "bytes": sum(file.bytes for file in ratings),
        "deletions_bytes": sum(file.bytes for file in deletions),
        "first": list(file_signatures(ratings[0])) if ratings else [],
        "generations": len(manifest.get("lineage", [])),
        "parent": (manifest.get("parent") or {}).get("id"),
    }


def _mark(content: Any) -> str:
    return files.checksum(json.dumps(content, sort_keys=True).encode())


def _remembered(manifest: Dataset, kind: str) -> list[SeenFile]:
    return [SeenFile.read(entry) for entry in manifest.seen[kind]]


def _match(manifest: Dataset, now: Inputs) -> FileMatch:
    return match(_remembered(manifest, "ratings"), now.ratings, may_grow=manifest.form["kind"] != "parquet")


def _grown(kind: str, manifest: Dataset, now: Inputs, found: FileMatch) -> list[Grown]:
    by_size = {(file.name, file.bytes): file for file in _remembered(manifest, kind)}
    present = now.ratings if kind == "ratings" else now.deletions
    return [
        (kind, place, by_size[file.name, begin])
        for place, (file, begin) in enumerate(zip(present, found.begins, strict=True))
        if 0 < begin < file.bytes
    ]
