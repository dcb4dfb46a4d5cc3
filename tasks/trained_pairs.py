"""Which ratings a model was trained on, found again by their raw ids.

Covers: where such ratings lie (a dataset without what a split holds out of it), telling for pairs of raw ids whether
they are among them, and parting held-out ratings by that.
Does not cover: which datasets and splits a model has seen (pipeline/runtime/ancestry.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks import files
from tasks.ids import look_up
from tasks.model_about import Place


@dataclass(frozen=True)
class Training:
    """Where ratings lie that were trained on.

    `ids` : users.parquet and items.parquet of the dataset; `parts` : its ratings, sorted by dense ids; `held_out` : for
    each part, files whose column `row` says which of its rows were kept from training.
    """

    ids: tuple[Place, Place]
    parts: tuple[Place, ...]
    held_out: tuple[tuple[Place, ...], ...]


def are_trained_on(
    users: pa.Array | pa.ChunkedArray, items: pa.Array | pa.ChunkedArray, trainings: Sequence[Training]
) -> npt.NDArray[np.bool_]:
    """Return for each pair of raw ids, bool (n,), whether any of `trainings` has a rating of it."""
    met = np.zeros(len(users), np.bool_)
    for training in trainings:
        user_ids, item_ids = (files.read_table(url, ["raw_id"], checksum)["raw_id"] for url, checksum in training.ids)
        user, item = look_up(users, user_ids).astype(np.int64), look_up(items, item_ids)
        keys = np.where((user >= 0) & (item >= 0), user * len(item_ids) + item, -1)
        for part, held_out in zip(training.parts, training.held_out, strict=True):
            met |= _are_in(keys, part, held_out, len(item_ids))
    return met


def _are_in(keys: npt.NDArray[np.int64], part: Place, held_out: tuple[Place, ...], items: int) -> npt.NDArray[np.bool_]:
    url, checksum = part
    table = files.read_table(url, ["user", "item"], checksum)
    known = table["user"].to_numpy().astype(np.int64) * items + table["item"].to_numpy()
    if not len(known):
        return np.zeros(len(keys), np.bool_)
    trained = np.ones(len(known), np.bool_)
    for place, of_place in held_out:
        rows = files.read_table(place, ["row"], of_place)["row"].to_numpy()
        trained[rows[rows >= 0]] = False
    nearest = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    found: npt.NDArray[np.bool_] = (known[nearest] == keys) & trained[nearest]
    return found


def raw_pairs(table: pa.Table, ids: tuple[Place, Place]) -> tuple[npt.NDArray[np.bool_], pa.Array, pa.Array]:
    """Return which rows of dense (user, item) have both in the data, and the raw ids of those."""
    dense = [table[side].to_numpy() for side in ("user", "item")]
    known = (dense[0] >= 0) & (dense[1] >= 0)
    users, items = (
        files.read_table(url, ["raw_id"], checksum)["raw_id"].combine_chunks().take(pa.array(rows[known]))
        for (url, checksum), rows in zip(ids, dense, strict=True)
    )
    return known, users, items


def part_by_training(
    held_out: Place, ids: tuple[Place, Place], trainings: Sequence[Training], folder: str, name: str, number: int
) -> dict[str, dict[str, Any]]:
    """Write held-out ratings that were not trained on ("kept"), and those that were ("met"); return their entries."""
    table = files.read_table(held_out[0], expected_checksum=held_out[1])
    known, users, items = raw_pairs(table, ids)
    met = np.zeros(table.num_rows, np.bool_)
    met[known] = are_trained_on(users, items, trainings)
    entries = {}
    for which, place, chosen in (("kept", name, ~met), ("met", f"trained_on_{name}", met)):
        path = f"{place}/part.{number:05d}.parquet"
        rows = table.filter(pa.array(chosen))
        checksum = files.write_table(files.join(folder, path), rows)
        entries[which] = {"path": path, "rows": rows.num_rows, "checksum": checksum}
    return entries
