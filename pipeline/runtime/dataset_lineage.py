"""Which dataset a new one grows from: the same inputs, most of them, or at least the same ids.

Covers: datasets under a root with the same settings, and what of the present inputs each has seen.
Does not cover: matching files (tasks/seen.py), or what is made of the answer (stages/ingest.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.runtime import store
from tasks import files
from tasks.errors import DamagedFile
from tasks.forgotten import Forgotten
from tasks.seen import Match, SeenFile, match

Grown = tuple[str, int, SeenFile]
"""A file that seems to have become longer: among "ratings" or "deletions", its place there, and what it was before."""


@dataclass(frozen=True)
class Inputs:
    """What a dataset is made of: settings that matter, files of ratings and of deletions, and who is forgotten."""

    settings: dict[str, Any]
    ratings: tuple[SeenFile, ...]
    deletions: tuple[SeenFile, ...]
    forgotten: Forgotten

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

    manifest: dict[str, Any]
    begins: tuple[int, ...]
    rows: bool


def datasets(root: store.Store, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the manifests of all whole datasets that were made with these settings, in the order of their ids."""
    found = []
    for name in files.names(files.join(root.root, "datasets")):
        with suppress(DamagedFile):  # what cannot be read is no dataset to grow from
            manifest = store.published(root.dataset(name), "dataset")
            if manifest and manifest.get("seen", {}).get("settings") == settings:
                found.append(manifest)
    return found


def made_of(candidates: Sequence[dict[str, Any]], inputs: list[Any], now: Inputs) -> dict[str, Any] | None:
    """Return the dataset that is made of exactly these inputs: of several, the one with the longest lineage."""
    same = [each for each in candidates if each["inputs"] == inputs and each["seen"] == now.written()]
    return max(same, key=lambda each: (len(each["lineage"]), each["id"]), default=None)


def parent_of(
    candidates: Sequence[dict[str, Any]], now: Inputs, grew: Callable[[Sequence[Grown]], bool]
) -> Parent | None:
    """Return the dataset that has seen most, of those whose inputs are all among those of now, unchanged or grown.

    If there is none, the one that has seen most of them gives the numbers of its ids; None if none has seen any.

    Parameters
    ----------
    grew : says, by reading, whether files only became longer.
    """
    matched = [(each, _match(each, now)) for each in candidates]
    whole = [
        (manifest, found, listed)
        for manifest, found in matched
        if found.whole and now.forgotten.covers(manifest["seen"]["forgotten"])
        # A pair that was taken off a list of deletions would have to be looked for in all ratings.
        if (listed := match(_remembered(manifest, "deletions"), now.deletions, may_grow=True)).whole
    ]
    for manifest, found, listed in sorted(whole, key=_seen_most):
        changed = [*_grown("ratings", manifest, now, found), *_grown("deletions", manifest, now, listed)]
        if not changed or grew(changed):
            return Parent(manifest, found.begins, rows=True)
    known = [pair for pair in matched if pair[1].seen_bytes or pair[1].names]
    if not known:
        return None
    manifest, _ = max(
        known, key=lambda pair: (pair[1].seen_bytes, pair[1].names, len(pair[0]["lineage"]), pair[0]["id"])
    )
    return Parent(manifest, (0,) * len(now.ratings), rows=False)


def named(inputs: list[Any], now: Inputs, parent: Parent | None) -> str:
    """Return the id of a dataset: by its inputs and settings, and by what it grows from."""
    marks = {"forgotten": now.forgotten.written()} if now.forgotten else {}
    ancestry = {"parent": [parent.manifest["id"], parent.rows]} if parent else {}
    return store.content_id(what="dataset", inputs=inputs, settings=now.settings, **marks, **ancestry)


def what_is_known(root: store.Store, now: Inputs, parent: Parent | None, incremental: bool) -> str:
    """Return what is to be said, before a dataset is made, of how much of it was there already; "" for nothing."""
    if parent and not parent.rows:
        return (
            f"inputs of dataset {parent.manifest['id']} are gone, or changed otherwise than by growing: "
            "everything is parsed again, and ids keep their numbers"
        )
    if parent or incremental:
        return ""
    total = sum(file.bytes for file in now.ratings)
    known = max((_match(each, now).seen_bytes for each in datasets(root, now.settings)), default=0)
    if 2 * known < total:
        return ""
    return (
        f"{known:,} of {total:,} bytes of ratings were ingested before, with the same settings: "
        "with ingest.incremental = true only what is new would be parsed"
    )


def _seen_most(pair: tuple[dict[str, Any], Match, Match]) -> tuple[int, int, int, str]:
    """Sorted by this, the dataset that leaves least to read comes first, and of equal ones that of most generations."""
    manifest, found, listed = pair
    return -found.seen_bytes, -listed.seen_bytes, -len(manifest["lineage"]), manifest["id"]


def _remembered(manifest: dict[str, Any], kind: str) -> list[SeenFile]:
    return [SeenFile.read(entry) for entry in manifest["seen"][kind]]


def _match(manifest: dict[str, Any], now: Inputs) -> Match:
    return match(_remembered(manifest, "ratings"), now.ratings, may_grow=manifest["form"]["kind"] != "parquet")


def _grown(kind: str, manifest: dict[str, Any], now: Inputs, found: Match) -> list[Grown]:
    by_size = {(file.name, file.bytes): file for file in _remembered(manifest, kind)}
    present = now.ratings if kind == "ratings" else now.deletions
    return [
        (kind, place, by_size[file.name, begin])
        for place, (file, begin) in enumerate(zip(present, found.begins, strict=True))
        if 0 < begin < file.bytes
    ]
