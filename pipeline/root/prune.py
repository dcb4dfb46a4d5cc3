"""Prune a root: remove old runs, and the data that no remaining run refers to.

Covers: the choice of runs, the data they refer to, ratings that were given in memory, the bytes of the rest, and its
removal, which may stop at any point and start again.
Does not cover: raw data and the ledger, which always remain; the command (pipeline/commands/runs.py).
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
from funkflow.tasks.parsing.sources.layouts import INPUTS
from funkflow.tasks.storage import files

_ID = re.compile(r"[0-9a-f]{16}")
_BLOCK = re.compile(r"[0-9a-f]{32}\.parquet")
_DATA = {"grid": "grids", "split": "splits", "dataset": "datasets"}
"""Fields of a run's record, and their folders, in the order of removal."""
_FIRST = {"runs": "record.json"}
"""The first file to remove, so that a folder that is half removed does not count; elsewhere manifest.json."""


@dataclass(frozen=True)
class Pruning:
    """The paths to remove, below the root and in order, with their bytes; and the runs to keep."""

    kept: tuple[str, ...]
    paths: dict[str, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(self.paths.values())

    def by_kind(self) -> dict[str, tuple[int, int]]:
        """Return the number of paths of each kind, and their bytes."""
        found: dict[str, tuple[int, int]] = {}
        for path, size in self.paths.items():
            count, total = found.get(path.split("/")[0], (0, 0))
            found[path.split("/")[0]] = (count + 1, total + size)
        return found


def prune(store: Store, keep: int, remove: bool, waiting: Waiting = NO_WAITING) -> Pruning:
    """Keep the `keep` runs that were used last; return what else there is, and remove it if `remove`.

    The run of the model in use always remains, and the one before it, for a rollback.

    Raises
    ------
    TryAgainLater
        A run is active under this root.
    DamagedFile
        The model in use is unknown, or the data of a run to keep.
    """
    with hold_root(store.root, waiting=waiting) as still_held:
        pruning = _plan_pruning(store, keep)
        if remove:
            for path in pruning.paths:
                still_held()
                url = files.join(store.root, path)
                first = _FIRST.get(path.split("/")[0], "manifest.json")
                if not path.endswith((".parquet", ".json")):
                    files.remove_tree(files.join(url, first))
                files.remove_tree(url)
        return pruning


def _plan_pruning(store: Store, keep: int) -> Pruning:
    there = _own_names(store, "runs", _ID)
    kept = _runs_to_keep(store, there, keep)
    needed = _paths_needed(store, kept)
    gone = {f"runs/{run_id}" for run_id in there if run_id not in kept}
    for home in (*_DATA.values(), INPUTS):
        gone |= {f"{home}/{name}" for name in _own_names(store, home, _ID)} - needed
    blocks = {f"blocks/{name}" for name in _own_names(store, "blocks", _BLOCK)} - needed
    sizes = files.sizes(store.blocks)
    order = ["runs", *_DATA.values(), INPUTS]
    paths = _receipts_of(store, gone)
    for path in sorted(gone, key=lambda each: (order.index(each.split("/")[0]), each)):
        paths[path] = sum(files.sizes_below(files.join(store.root, path)).values())
    paths |= {path: sizes[path.split("/")[1]] for path in sorted(blocks)}
    return Pruning(tuple(sorted(kept)), paths)


def _own_names(store: Store, folder: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the names in a folder that are ids of ours."""
    return [name for name in files.names(files.join(store.root, folder)) if pattern.fullmatch(name)]


def _runs_to_keep(store: Store, there: list[str], keep: int) -> set[str]:
    current = read_current(store.root)
    in_use: set[str] = set()
    if current:  # and the one before it, for each goal
        uses = (current.use, *current.previous)
        for goal in {use.goal for use in uses}:
            in_use |= {use.run_id for use in [use for use in uses if use.goal == goal][:2]} & set(there)
    used: dict[str, str] = {}
    for run_id in there:
        record = files.json_if_there(files.join(store.run(run_id), "record.json"))
        if isinstance(record, dict):  # else an earlier pruning stopped half way
            used[run_id] = str(record.get("started", ""))
    for entry in Ledger(store.root).records():
        if (executed := entry.get("run_id")) is not None and executed in used:
            used[executed] = max(used[executed], str(entry["started"]))
    newest = sorted(used, key=lambda run_id: (used[run_id], run_id), reverse=True)
    return in_use | set(newest[:keep])


def _paths_needed(store: Store, kept: set[str]) -> set[str]:
    """Return the paths of all data that these runs refer to, directly or through other data."""
    needed: set[str] = set()
    for run_id in sorted(kept):
        url = files.join(store.run(run_id), "record.json")
        record = files.json_if_there(url)
        if not isinstance(record, dict) or not record.keys() >= _DATA.keys():
            raise DamagedFile(f"{url}: does not say which data the run was trained on; run it again, or remove it")
        needed |= {f"{INPUTS}/{name}" for name in record.get("inputs", [])}
        pending = [f"{home}/{record[kind]}" for kind, home in _DATA.items()]
        while pending:
            path = pending.pop()
            if path not in needed:
                needed.add(path)
                pending += _referred_to(store, path)
    return needed


def _referred_to(store: Store, path: str) -> list[str]:
    """Return the paths that a manifest refers to outside its folder: its parents, and files in other folders."""
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
    """Return the receipts that refer to removed paths, with their bytes."""
    found = {}
    for name, size in files.sizes(files.join(store.root, "receipts")).items():
        try:
            outputs = files.read_json(files.join(store.root, "receipts", name))["outputs"]
        except (DamagedFile, KeyError, TypeError):
            outputs = {}
        if any("/".join(path.split("/")[:2]) in gone for path in outputs):
            found[f"receipts/{name}"] = size
    return found
