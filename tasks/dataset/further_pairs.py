"""Pairs of a part that are known without their rating: of files, of validation ratings, or of both.

Covers: matching files with dense ids, leaving out training pairs, and counting what remains.
Does not cover: reading the files (bucket_rows.py), the blocks of these pairs (tasks/grid/scatter.py), what they are for
(tasks/training/implicit/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.bucket_rows import gather_rows
from funkflow.tasks.dataset.id_pieces import read_ids, read_piece
from funkflow.tasks.dataset.pair_rows import find_rows
from funkflow.tasks.model.about import Place
from funkflow.tasks.parsing.erased_ids import SIDES
from funkflow.tasks.parsing.ids import look_up
from funkflow.tasks.storage import files
from funkflow.tasks.storage.stored_table import StoredTable

_Pairs = npt.NDArray[np.int32]
_KEY_ITEMS = np.int64(2**31)


@dataclass(frozen=True)
class KnownRule:
    """Which pairs are known besides those of training ratings, in plain values.

    validation : whether those of validation ratings are. folder, chunks : scattered rows of files, from bucket_rows.py.
    parts : of the dataset; users : its users by part, from id_pieces.py; items : its table of items.
    """

    validation: bool
    folder: str
    chunks: int
    parts: int
    users: str
    items: Place


@dataclass(frozen=True)
class FurtherPairs:
    """The further pairs of a part: their file and checksum, how many there are, and how many validation ratings have.

    unknown : rows of files whose user or item the dataset lacks; trained : rows whose pair has a training rating.
    """

    place: Place
    pairs: int
    of_validation: int
    unknown: int
    trained: int


def write_further_pairs(
    part: Place, number: int, held_out: Sequence[Place], validation: Place | None, rule: KnownRule, url: str
) -> FurtherPairs:
    """Write the pairs of dataset part `number` that are known and have no training rating, user and item int32.

    Parameters
    ----------
    held_out : files whose column `row` names positions in the part that do not train; validation : the one of them that
        has the validation ratings, None for none.
    """
    table = StoredTable(*part)
    trains = np.ones(table.num_rows, bool)
    for place in held_out:
        rows = _columns(place, ["row"])[0]
        trains[rows[rows >= 0]] = False
    user, item, unknown = _of_files(number, rule)
    asked = _columns(validation, SIDES) if validation else [np.empty(0, np.int32)] * 2
    asked = [each[(asked[0] >= 0) & (asked[1] >= 0)] for each in asked]
    rows_of_files = len(user)
    if rule.validation:
        user, item = np.concatenate([user, asked[0]]), np.concatenate([item, asked[1]])
    keys, first = np.unique(user * _KEY_ITEMS + item, return_index=True)
    user, item = user[first], item[first]
    row = find_rows(table, user, item)
    is_further = (row < 0) | ~np.append(trains, False)[row]
    user, item, keys = user[is_further], item[is_further], keys[is_further]
    checksum = files.write_table(url, pa.table({"user": pa.array(user), "item": pa.array(item)}))
    of_validation = int(np.isin(keys, asked[0] * _KEY_ITEMS + asked[1]).sum())
    trained = int((~is_further & (first < rows_of_files)).sum())
    return FurtherPairs((url, checksum), len(user), of_validation, unknown, trained)


def _of_files(number: int, rule: KnownRule) -> tuple[_Pairs, _Pairs, int]:
    """Return the pairs that files name, dense, and the number of rows whose user or item is unknown."""
    if not rule.chunks:
        return np.empty(0, np.int32), np.empty(0, np.int32), 0
    raw = gather_rows(rule.folder, rule.chunks, number, rule.parts, rule.parts)
    user = read_piece(rule.users, number).dense_of(raw["user"])
    item = look_up(raw["item"], read_ids(rule.items)).astype(np.int32)
    is_known = (user >= 0) & (item >= 0)
    return user[is_known], item[is_known], int((~is_known).sum())


def _columns(place: Place, names: Sequence[str]) -> list[npt.NDArray[np.integer]]:
    url, checksum = place
    table = files.read_table(url, list(names), expected_checksum=checksum)
    return [table[name].to_numpy() for name in names]
