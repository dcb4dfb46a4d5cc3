"""Prune a root: old runs go, and with them the data that no remaining run refers to.

Covers: which runs are kept, what these refer to, how much the rest would free, and removing it in an order that can be
cut off at any point and begun again.
Does not cover: raw data and the ledger, which are never touched; how it is asked for and shown
(pipeline/commands/runs.py).
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from funkflow.pipeline.root.ledger import Ledger
from funkflow.pipeline.root.lock import NO_WAITING, Waiting, hold_root
from funkflow.pipeline.root.model_in_use import read_current
from funkflow.pipeline.root.store import Store
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.storage import files

_ID = re.compile(r"[0-9a-f]{16}")
_BLOCK = re.compile(r"[0-9a-f]{32}\.parquet")
_DATA = {"grid": "grids", "split": "splits", "dataset": "datasets"}
"""What a run's record calls them, and where they lie; in the order in which they go."""
_FIRST = {"runs": "record.json"}
"""What is removed first, so that a folder whose removal was cut off does not count: else its manifest.json."""


@dataclass(frozen=True)
class Pruning:
    """What goes: paths below the root, in the order in which they are removed, with their bytes; and the runs kept."""

    kept: tuple[str, ...]
    paths: dict[str, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(self.paths.values())

    def by_kind(self) -> dict[str, tuple[int, int]]:
        """Return how many of each kind go, and their bytes."""
        found: dict[str, tuple[int, int]] = {}
        for path, size in self.paths.items():
            count, total = found.get(path.split("/")[0], (0, 0))
            found[path.split("/")[0]] = (count + 1, total + size)
        return found


def prune(store: Store, keep: int, remove: bool, waiting: Waiting = NO_WAITING) -> Pruning:
    """Say what goes when the `keep` runs that were used last are kept, and `remove` it.

    The run whose model is in use is kept in any case, and the one before it, for a rollback.

    Raises
    ------
    TryAgainLater
        A run is at work under this root.
    DamagedFile
        It cannot be told which model is in use, or what a run that is kept refers to.
    """
    with hold_root(store.root, waiting=waiting) as still_held:
        pruning = _what_goes(store, keep)
        if remove:
            for path in pruning.paths:
                still_held()
                url = files.join(store.root, path)
                first = _FIRST.get(path.split("/")[0], "manifest.json")
                if not path.endswith((".parquet", ".json")):
                    files.remove_tree(files.join(url, first))
                files.remove_tree(url)
        return pruning


def _what_goes(store: Store, keep: int) -> Pruning:
    there = _named(store, "runs", _ID)
    kept = _kept(store, there, keep)
    needed = _needed(store, kept)
    gone = {f"runs/{run_id}" for run_id in there if run_id not in kept}
    for home in _DATA.values():
        gone |= {f"{home}/{name}" for name in _named(store, home, _ID)} - needed
    blocks = {f"blocks/{name}" for name in _named(store, "blocks", _BLOCK)} - needed
    sizes = files.sizes(store.blocks)
    order = ["runs", *_DATA.values()]
    paths = _receipts_of(store, gone)
    for path in sorted(gone, key=lambda each: (order.index(each.split("/")[0]), each)):
        paths[path] = sum(files.sizes_below(files.join(store.root, path)).values())
    paths |= {path: sizes[path.split("/")[1]] for path in sorted(blocks)}
    return Pruning(tuple(sorted(kept)), paths)


def _named(store: Store, folder: str, pattern: re.Pattern[str]) -> list[str]:
    """Return what lies in a folder under names that only we give."""
    return [name for name in files.names(files.join(store.root, folder)) if pattern.fullmatch(name)]


def _kept(store: Store, there: list[str], keep: int) -> set[str]:
    current = read_current(store.root)
    in_use = {use.run_id for use in (current.use, *current.previous[:1])} & set(there) if current else set()
    used: dict[str, str] = {}
    for run_id in there:
        record = files.json_if_there(files.join(store.run(run_id), "record.json"))
        if isinstance(record, dict):  # else it was left by a pruning that was cut off
            used[run_id] = str(record.get("started", ""))
    for entry in Ledger(store.root).records():
        if entry.get("run_id") in used:
            used[entry["run_id"]] = max(used[entry["run_id"]], str(entry["started"]))
    newest = sorted(used, key=lambda run_id: (used[run_id], run_id), reverse=True)
    return in_use | set(newest[:keep])


def _needed(store: Store, kept: set[str]) -> set[str]:
    """Return the paths below the root of all that these runs refer to, and what that refers to in its turn."""
    needed: set[str] = set()
    for run_id in sorted(kept):
        url = files.join(store.run(run_id), "record.json")
        record = files.json_if_there(url)
        if not isinstance(record, dict) or not record.keys() >= _DATA.keys():
            raise DamagedFile(f"{url}: does not say which data the run was trained on; run it again, or remove it")
        pending = [f"{home}/{record[kind]}" for kind, home in _DATA.items()]
        while pending:
            path = pending.pop()
            if path not in needed:
                needed.add(path)
                pending += _referred_to(store, path)
    return needed


def _referred_to(store: Store, path: str) -> list[str]:
    """Return what the manifest of a folder needs outside it: the data it was made from, and files in other folders."""
    if path.startswith("blocks/"):
        return []
    manifest = files.json_if_there(files.join(store.root, path, "manifest.json"))
    if not isinstance(manifest, dict):
        return []
    found = [f"{home}/{manifest[kind]}" for kind, home in _DATA.items() if isinstance(manifest.get(kind), str)]
    for name in manifest.get("files", {}):
        home, *inside = posixpath.normpath(posixpath.join(path, name)).split("/")
        if inside:
            found.append(f"{home}/{inside[0]}")
    return found


def _receipts_of(store: Store, gone: set[str]) -> dict[str, int]:
    """Return the receipts that speak of what goes, with their bytes."""
    found = {}
    for name, size in files.sizes(files.join(store.root, "receipts")).items():
        try:
            outputs = files.read_json(files.join(store.root, "receipts", name))["outputs"]
        except (DamagedFile, KeyError, TypeError):
            outputs = {}
        if any("/".join(path.split("/")[:2]) in gone for path in outputs):
            found[f"receipts/{name}"] = size
    return found
