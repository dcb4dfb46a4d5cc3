"""The rows of (user, item) pairs in a part of a dataset, which is sorted by pair.

Covers: pairs of dense ids in arrays, and in a part's file, read stretch by stretch.
Does not cover: raw ids (id_pieces.py), what the rows are for (hold_out.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from funkflow.tasks.parsing.erased_ids import SIDES
from funkflow.tasks.storage.stored_table import StoredTable

Rows = npt.NDArray[np.int64]


def find_rows(part: StoredTable, user: npt.NDArray[np.int32], item: npt.NDArray[np.int32]) -> Rows:
    """Return the row of each pair in a part's file, int64 (m,), as `find_pairs` does; the pairs ascend."""
    row, end = np.full(len(user), -1, np.int64), 0
    for stretch in part.stretches(SIDES):
        users, items = (stretch[side].to_numpy() for side in SIDES)
        own = slice(*np.searchsorted(user, [users[0], users[-1] + 1]).tolist()) if len(users) else slice(0)
        begin, end = end, end + len(users)
        found = find_pairs(users, items, user[own], item[own])
        row[own] = np.where(found < 0, row[own], found + begin)
    return row


def find_pairs(
    users: npt.NDArray[np.int32], items: npt.NDArray[np.int32], user: npt.NDArray[np.int32], item: npt.NDArray[np.int32]
) -> Rows:
    """Return the row of each pair, int64 (m,), among rows sorted by pair; -1 for a missing pair.

    Parameters
    ----------
    users, items : (n,), of the rows; user, item : (m,), of the pairs, -1 for an unknown id. Pairs in order are faster.
    """
    starts = np.concatenate([[0], np.flatnonzero(users[1:] != users[:-1]) + 1, [len(users)]])
    owners = np.append(users[starts[:-1][: len(users)]], np.int32(-1))
    place = np.searchsorted(owners[:-1], user)
    row, stop = starts[place], starts[np.where(owners[place] == user, place + 1, place)]
    step = 1 << int((stop - row).max(initial=0)).bit_length()
    while step := step >> 1:  # all pairs bisect their user's rows together
        beyond = row + step
        row = np.where((beyond <= stop) & (items[np.minimum(beyond, len(items)) - 1] < item), beyond, row)
    is_there = row < stop
    is_there[is_there] = items[row[is_there]] == item[is_there]
    return np.where(is_there, row, -1)
