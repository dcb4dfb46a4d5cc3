"""Find and remove all that holds erased users and items under a root.

Covers: datasets; the splits, grids and runs made of them; the blocks of their shards; the tables in memory that they
were made of; and which of these are in use.
Does not cover: the list of erased ids (tasks/parsing/erased_ids.py), or the next run (pipeline/stages/).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import numpy as np

from funkflow.pipeline.root.store import Store
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.parsing.erased_ids import SIDES, ErasedIds
from funkflow.tasks.parsing.sources.layouts import INPUTS
from funkflow.tasks.storage import files


@dataclass(frozen=True)
class Holder:
    """A folder, or blocks, with erased ids. `bytes` : of all `places`; `at_work` : part of the run in use."""

    kind: str
    name: str
    bytes: int
    places: tuple[str, ...]
    at_work: bool


class _BlockRecord(TypedDict):
    checksum: str
    bytes: int


class _Record(TypedDict, total=False):
    """Fields of a run's record.json, of current.json and of the manifests of datasets, splits and grids."""

    run_id: str
    dataset: str
    split: str
    grid: str
    shards: int
    blocks: list[_BlockRecord]
    inputs: list[Any]


def holders(store: Store, forgotten: ErasedIds) -> list[Holder]:
    """Return all that holds an erased id: runs, then grids, splits, datasets, blocks and ratings given in memory.

    The search skips unreadable files: they are of no use, and their folders go with their datasets.
    """
    datasets = {name: dense for name in _names(store, "datasets") if (dense := _dense_ids(store, name, forgotten))}
    grids = dict(_made_of(store, "grids", "manifest.json", datasets))
    splits = [name for name, _ in _made_of(store, "splits", "manifest.json", datasets)]
    runs = dict(_made_of(store, "runs", "record.json", datasets))
    current = runs.get(str(_read_record(files.join(store.root, "current.json")).get("run_id")), _Record())
    at_work = {str(value) for name, value in current.items() if name in ("run_id", "grid", "split", "dataset")}
    found = [
        Holder(kind, name, files.tree_bytes(folder), (folder,), name in at_work)
        for kind, names in (("run", runs), ("grid", grids), ("split", splits), ("dataset", datasets))
        for name in names
        for folder in [files.join(store.root, f"{kind}s", name)]
    ]
    return [*found, *_blocks_with_erased(store, datasets, grids, at_work), *_inputs(store, datasets, runs)]


def remove(found: list[Holder]) -> None:
    """Remove all that is not in use."""
    for holder in found:
        if not holder.at_work:
            for place in holder.places:
                files.remove_tree(place)


def _names(store: Store, folder: str) -> list[str]:
    return files.names(files.join(store.root, folder))


def _read_record(url: str) -> _Record:
    """Return the content of a file; {} if it does not exist or is damaged."""
    with suppress(DamagedFile):
        content = files.json_if_there(url)
        return cast(_Record, content) if isinstance(content, dict) else _Record()
    return _Record()


def _made_of(store: Store, folder: str, file: str, datasets: Collection[str]) -> Iterator[tuple[str, _Record]]:
    """Yield the splits, grids or runs of these datasets, by name."""
    for name in _names(store, folder):
        record = _read_record(files.join(store.root, folder, name, file))
        if record.get("dataset") in datasets:
            yield name, record


def _inputs(store: Store, datasets: Collection[str], runs: Mapping[str, _Record]) -> Iterator[Holder]:
    """Yield the tables behind these datasets and runs that were given in memory; once read, none of them is in use."""
    read = [_read_record(files.join(store.dataset(name), "manifest.json")).get("inputs", []) for name in datasets]
    names = {str(each.get("name")) for inputs in read for each in inputs if isinstance(each, dict)}
    names |= {str(each) for record in runs.values() for each in record.get("inputs", [])}
    for name in sorted(names & set(_names(store, INPUTS))):
        yield Holder("inputs", name, files.tree_bytes(store.inputs(name)), (store.inputs(name),), at_work=False)


def _dense_ids(store: Store, dataset: str, forgotten: ErasedIds) -> dict[str, list[int]]:
    """Return the dense ids of the erased users and items in a dataset, by side; {} if it has none of them."""
    found = {}
    for side in SIDES:
        with suppress(DamagedFile):
            url = files.join(store.dataset(dataset), f"{side}s.parquet")
            held = np.flatnonzero(forgotten.holds(side, files.read_table(url, ["raw_id"])["raw_id"]))
            if len(held):
                found[side] = held.tolist()
    return found


def _blocks_with_erased(
    store: Store, datasets: dict[str, dict[str, list[int]]], grids: dict[str, _Record], at_work: set[str]
) -> list[Holder]:
    """Return the blocks of the shards with erased ids, without those that other grids list, too."""
    elsewhere = {
        block["checksum"]
        for name in _names(store, "grids")
        if name not in grids
        for block in _read_record(files.join(store.grid(name), "manifest.json")).get("blocks", [])
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
