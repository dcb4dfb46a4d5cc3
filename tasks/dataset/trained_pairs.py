"""Which ratings a model was trained on, found again in the numbering of another dataset.

Covers: where such ratings lie (a dataset without what a split holds out of it), telling for pairs of dense ids whether
they are among them, and parting held-out ratings by that.
Does not cover: who has which dense id there (matches.py), which datasets and splits a model has seen
(pipeline/models/trained_on.py).

The ratings of a user lie in the part that the hash of the raw id says, in every dataset. So of one with as many parts
the part of the same number is all that a part of another has to be compared with; of one that was cut in fewer or in
more, the part that has all of its users, or those that share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.matches import Places, read_match
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files

_KEY_ITEMS = 2**31
"""More than any dense id of an item, so that a pair is one number, and pairs are in the order of their numbers."""


@dataclass(frozen=True)
class Training:
    """Where ratings lie that were trained on.

    `ids` : users.parquet and items.parquet of the dataset; `parts` : its ratings, sorted by dense ids; `held_out` : for
    each part, files whose column `row` says which of its rows were kept from training.
    """

    ids: tuple[Place, Place]
    parts: tuple[Place, ...]
    held_out: tuple[tuple[Place, ...], ...]


@dataclass(frozen=True)
class Met:
    """A training beside another dataset.

    `users` : where that dataset's users stand in the training's numbering, by part (matches.py).
    """

    training: Training
    users: str


def are_trained_on(
    users: npt.NDArray[np.int32], items: npt.NDArray[np.int32], part: tuple[int, int], met: Sequence[Met],
    met_items: Sequence[Places],
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Return for each pair of dense ids, bool (n,), whether any training has a rating of it.

    Parameters
    ----------
    part : of the dataset, in which all of the users are: its number, and how many parts there are.
    met_items : for each training, where the dataset's items stand in its numbering.
    """
    found = np.zeros(len(users), np.bool_)
    for each, item_places in zip(met, met_items, strict=True):
        theirs = read_match(each.users, part[0])
        user, item = theirs.of(users).astype(np.int64), item_places[items]
        keys = np.where((user >= 0) & (item >= 0), user * _KEY_ITEMS + item, -1)
        for number in parts_with(part, len(each.training.parts)):
            found |= _are_in(keys, each.training.parts[number], each.training.held_out[number])
    return found


def parts_with(part: tuple[int, int], parts: int) -> range:
    """Return which of `parts` parts have the users of one of another number of parts, all of them powers of two."""
    number, count = part
    first = number * parts // count
    return range(first, first + max(1, parts // count))


def _are_in(keys: npt.NDArray[np.int64], part: Place, held_out: tuple[Place, ...]) -> npt.NDArray[np.bool_]:
    url, checksum = part
    table = files.read_table(url, ["user", "item"], checksum)
    known = table["user"].to_numpy().astype(np.int64) * _KEY_ITEMS + table["item"].to_numpy()
    if not len(known):
        return np.zeros(len(keys), np.bool_)
    trained = np.ones(len(known), np.bool_)
    for place, of_place in held_out:
        rows = files.read_table(place, ["row"], of_place)["row"].to_numpy()
        trained[rows[rows >= 0]] = False
    nearest = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    found: npt.NDArray[np.bool_] = (known[nearest] == keys) & trained[nearest]
    return found


def known_pairs(table: pa.Table) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return which rows of dense (user, item) have both in the data, and the dense ids of those."""
    users, items = (table[side].to_numpy() for side in ("user", "item"))
    known = (users >= 0) & (items >= 0)
    return known, users[known], items[known]


def part_by_training(
    held_out: Place, part: tuple[int, int], met: Sequence[Met], met_items: Sequence[Places], folder: str, name: str
) -> dict[str, dict[str, Any]]:
    """Write held-out ratings that were not trained on ("kept"), and those that were ("met"); return their entries."""
    table = files.read_table(held_out[0], expected_checksum=held_out[1])
    known, users, items = known_pairs(table)
    were_met = np.zeros(table.num_rows, np.bool_)
    were_met[known] = are_trained_on(users, items, part, met, met_items)
    entries = {}
    for which, place, chosen in (("kept", name, ~were_met), ("met", f"trained_on_{name}", were_met)):
        path = f"{place}/part.{part[0]:05d}.parquet"
        rows = table.filter(pa.array(chosen))
        checksum = files.write_table(files.join(folder, path), rows)
        entries[which] = {"path": path, "rows": rows.num_rows, "checksum": checksum}
    return entries
