"""What under a root still holds users and items that are to be forgotten, and its removal.

Covers: datasets, the splits, grids and runs made of them, and the blocks of their shards; which of these are at work.
Does not cover: the list of who is forgotten (tasks/parsing/erased_ids.py), or what a run makes next (pipeline/stages/).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from funkflow.pipeline.root.store import Store
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.parsing.erased_ids import SIDES, ErasedIds
from funkflow.tasks.storage import files


@dataclass(frozen=True)
class Holder:
    """One thing that holds somebody. `bytes` of all its `places`; `at_work`: of the run that current.json names."""

    kind: str
    name: str
    bytes: int
    places: tuple[str, ...]
    at_work: bool


def holders(store: Store, forgotten: ErasedIds) -> list[Holder]:
    """Return what holds anybody on the list: runs first, then grids, splits, datasets and blocks.

    A file that cannot be read is passed over: it is of no use to anybody, and its folder is removed with its dataset.
    """
    datasets = {name: dense for name in _names(store, "datasets") if (dense := _dense(store, name, forgotten))}
    grids = dict(_of(store, "grids", "manifest.json", datasets))
    splits = [name for name, _ in _of(store, "splits", "manifest.json", datasets)]
    runs = dict(_of(store, "runs", "record.json", datasets))
    current = runs.get(str((_json(files.join(store.root, "current.json")) or {}).get("run_id")), {})
    at_work = {str(current.get(kind)) for kind in ("run_id", "grid", "split", "dataset")}
    found = [
        Holder(kind, name, files.tree_bytes(folder), (folder,), name in at_work)
        for kind, names in (("run", runs), ("grid", grids), ("split", splits), ("dataset", datasets))
        for name in names
        for folder in [files.join(store.root, f"{kind}s", name)]
    ]
    return [*found, *_blocks(store, datasets, grids, at_work)]


def remove(found: list[Holder]) -> None:
    """Remove all that is not at work."""
    for holder in found:
        if not holder.at_work:
            for place in holder.places:
                files.remove_tree(place)


def _names(store: Store, folder: str) -> list[str]:
    return files.names(files.join(store.root, folder))


def _json(url: str) -> dict[str, Any] | None:
    with suppress(DamagedFile):
        content = files.json_if_there(url)
        return content if isinstance(content, dict) else None
    return None


def _of(store: Store, folder: str, file: str, datasets: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what was made of one of these datasets: name, and what its manifest or record says."""
    for name in _names(store, folder):
        content = _json(files.join(store.root, folder, name, file))
        if content and content.get("dataset") in datasets:
            yield name, content


def _dense(store: Store, dataset: str, forgotten: ErasedIds) -> dict[str, list[int]]:
    """Return by side the dense ids that a dataset has for those on the list; nothing if it has none."""
    found = {}
    for side in SIDES:
        with suppress(DamagedFile):
            url = files.join(store.dataset(dataset), f"{side}s.parquet")
            held = np.flatnonzero(forgotten.holds(side, files.read_table(url, ["raw_id"])["raw_id"]))
            if len(held):
                found[side] = held.tolist()
    return found


def _blocks(
    store: Store, datasets: dict[str, dict[str, list[int]]], grids: dict[str, dict[str, Any]], at_work: set[str]
) -> list[Holder]:
    """Return the blocks of the shards that somebody on the list is in, but for those that other grids list, too."""
    elsewhere = {
        block["checksum"]
        for name in _names(store, "grids")
        if name not in grids
        for block in (_json(files.join(store.grid(name), "manifest.json")) or {}).get("blocks", [])
    }
    kept: set[str] = set()
    gone: set[str] = set()
    sizes = {}
    for name, manifest in grids.items():
        shards, dense = manifest["shards"], datasets[manifest["dataset"]]
        rows, columns = ({each % shards for each in dense.get(side, [])} for side in SIDES)
        for number, block in enumerate(manifest["blocks"]):
            row, column = divmod(number, shards)
            if row in rows or column in columns:
                sizes[block["checksum"]] = block["bytes"]
                (kept if name in at_work else gone).add(block["checksum"])
    return [
        Holder(
            "blocks", f"{len(chosen)}", sum(sizes[each] for each in chosen),
            tuple(files.join(store.blocks, f"{each}.parquet") for each in sorted(chosen)), stays,
        )
        for chosen, stays in ((gone - kept - elsewhere, False), (kept - elsewhere, True))
        if chosen
    ]  # fmt: skip
