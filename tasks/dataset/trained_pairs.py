"""Find a model's trained-on ratings in the dense ids of another dataset.

Covers: the files of such ratings (a dataset without the ratings its split holds out), looking up pairs of dense ids in
them, and splitting held-out ratings by the result.
Does not cover: matching dense ids of two datasets (matches.py), which datasets and splits a model was trained on
(pipeline/models/trained_on.py).

In every dataset the hash of the raw user gives the part of their ratings. So a part is compared only with the part of
the same number; if the other dataset has fewer or more parts, with the part or the parts that share its users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.hold_out import HeldOutEntry, write_held_out_rows
from funkflow.tasks.dataset.matches import Places, read_match
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files

_KEY_ITEMS = 2**31
"""More than any dense id of an item: user * _KEY_ITEMS + item numbers pairs in their order."""


@dataclass(frozen=True)
class TrainedRatings:
    """The files of trained-on ratings.

    `ids` : users.parquet and items.parquet of the dataset; `parts` : its ratings, sorted by dense ids; `held_out` : for
    each part, files whose column `row` has its held-out rows.
    """

    ids: tuple[Place, Place]
    parts: tuple[Place, ...]
    held_out: tuple[tuple[Place, ...], ...]


@dataclass(frozen=True)
class TrainingMatch:
    """Trained-on ratings matched with another dataset.

    `users` : the places of that dataset's users among the users of the training, by part (matches.py).
    """

    training: TrainedRatings
    users: str


def are_trained_on(
    users: npt.NDArray[np.int32], items: npt.NDArray[np.int32], part: tuple[int, int], matches: Sequence[TrainingMatch],
    item_places: Sequence[Places],
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Return for each pair of dense ids, bool (n,), whether any training has its rating.

    Parameters
    ----------
    users, items : int32 (n,), dense.
    part : number of the dataset's part that has all these users, and the number of parts.
    item_places : for each training, the places of the dataset's items among its own.
    """
    found = np.zeros(len(users), np.bool_)
    for each, places in zip(matches, item_places, strict=True):
        user, item = read_match(each.users, part[0]).of(users).astype(np.int64), places[items]
        keys = np.where((user >= 0) & (item >= 0), user * _KEY_ITEMS + item, -1)
        for number in parts_with(part, len(each.training.parts)):
            found |= _are_trained_in(keys, each.training.parts[number], each.training.held_out[number])
    return found


def parts_with(part: tuple[int, int], parts: int) -> range:
    """Return which of `parts` parts share users with part (number, count); both counts are powers of two."""
    number, count = part
    first = number * parts // count
    return range(first, first + max(1, parts // count))


def _are_trained_in(keys: npt.NDArray[np.int64], part: Place, held_out: tuple[Place, ...]) -> npt.NDArray[np.bool_]:
    url, checksum = part
    table = files.read_table(url, ["user", "item"], checksum)
    rated = table["user"].to_numpy().astype(np.int64) * _KEY_ITEMS + table["item"].to_numpy()
    if not len(rated):
        return np.zeros(len(keys), np.bool_)
    is_trained = np.ones(len(rated), np.bool_)
    for file, file_checksum in held_out:
        rows = files.read_table(file, ["row"], file_checksum)["row"].to_numpy()
        is_trained[rows[rows >= 0]] = False
    nearest = np.minimum(np.searchsorted(rated, keys), len(rated) - 1)
    found: npt.NDArray[np.bool_] = (rated[nearest] == keys) & is_trained[nearest]
    return found


def known_pairs(table: pa.Table) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return which rows, bool (n,), have user and item in the dataset, and the dense ids of these rows, int32."""
    users, items = (table[side].to_numpy() for side in ("user", "item"))
    known = (users >= 0) & (items >= 0)
    return known, users[known], items[known]


def split_by_training(
    held_out: Place,
    part: tuple[int, int],
    matches: Sequence[TrainingMatch],
    item_places: Sequence[Places],
    folder: str,
    name: str,
) -> dict[str, HeldOutEntry]:
    """Split held-out ratings; write the untrained ("kept") and the trained-on ones ("met"); return their entries."""
    table = files.read_table(held_out[0], expected_checksum=held_out[1])
    known, users, items = known_pairs(table)
    is_trained = np.zeros(table.num_rows, np.bool_)
    is_trained[known] = are_trained_on(users, items, part, matches, item_places)
    folders = {"kept": (name, ~is_trained), "met": (f"trained_on_{name}", is_trained)}
    return {
        which: write_held_out_rows(folder, place, part[0], table.filter(pa.array(chosen)))
        for which, (place, chosen) in folders.items()
    }
