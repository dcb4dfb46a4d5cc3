"""Which ratings of one part are kept from training: by a file, by a hash, or each user's last ones.

Covers: choosing validation and slice rows of a part of the dataset, and writing them with the row they came from.
Does not cover: reading the validation file (tasks/parsing/rows/text.py), which task runs when
(pipeline/stages/split.py), or the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.dataset.bucket_rows import gather_rows, settle
from funkflow.tasks.dataset.id_pieces import Piece, read_ids, read_piece
from funkflow.tasks.dataset.sorting import sorted_pairs
from funkflow.tasks.model.about import Place
from funkflow.tasks.parsing.erased_ids import NOBODY, SIDES, Forgotten
from funkflow.tasks.parsing.ids import hash_ids, look_up, mix
from funkflow.tasks.storage import files

_VALIDATION, _SLICE = 1, 2
"""Salts: the slice is drawn independently of the validation."""

_Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rule:
    """How ratings are held out, in plain values. `folder` and `chunks`: the scattered file of kind "file".

    `users` : the dataset's users by part, as id_pieces.py cuts them; `items` : its table of items. `forgotten` : ids
    whose rows in the file are passed over.
    """

    kind: Literal["file", "fraction", "last", "none"]
    fraction: float = 0.0
    last: int = 0
    seed: int = 0
    slice_fraction: float = 0.0
    folder: str = ""
    chunks: int = 0
    parts: int = 1
    users: str = ""
    items: Place = ("", "")
    forgotten: Forgotten = NOBODY


@dataclass(frozen=True)
class HeldOut:
    """What one part gave: manifest entries, ratings left for training, and what is to be said of the validation file.

    `unknown` counts held-out ratings of users or items that the data do not have. `missing` is the first pair without
    rating (raw user, raw item) that is not in the data.
    """

    validation: dict[str, Any]
    slice: dict[str, Any] | None
    training: int
    duplicates: int = 0
    missing: tuple[int | str, int | str] | None = None
    unknown: int = 0


def hold_out_part(dataset: str, path: str, checksum: str, number: int, rule: Rule, folder: str) -> HeldOut:
    """Choose the rows of dataset part `number` that are held out, and write them under `folder`.

    Each table has user and item int32 (dense; -1: not in the dataset), rating float32, timestamp if the dataset has it,
    and row int64: the position in the dataset part of the rating that training has to leave out, -1 for none.
    """
    part = files.read_table(files.join(dataset, path), expected_checksum=checksum)
    users, items = read_piece(rule.users, number), read_ids(rule.items)
    duplicates, missing = 0, None
    if rule.kind == "file":
        raw = gather_rows(rule.folder, rule.chunks, number, rule.parts, rule.parts)
        if rule.forgotten:
            held = [rule.forgotten.holds(side, raw[side]) for side in SIDES]
            raw = raw.filter(pa.array(~(held[0] | held[1])))
        chosen, duplicates, missing = _listed(part, raw, users, items)
    else:
        chosen = _at(part, _selected(part, users, items, rule))
    taken = np.zeros(part.num_rows, bool)
    rows = chosen["row"].to_numpy()
    taken[rows[rows >= 0]] = True
    validation = _written(folder, "validation", number, chosen)
    held_back = None
    if rule.slice_fraction > 0:
        sliced = np.flatnonzero(
            ~taken & (_pair_hashes(part, users, items, rule.seed, _SLICE) < _threshold(rule.slice_fraction))
        )
        taken[sliced] = True
        held_back = _written(folder, "slice", number, _at(part, sliced))
    unknown = int(((chosen["user"].to_numpy() < 0) | (chosen["item"].to_numpy() < 0)).sum())
    return HeldOut(validation, held_back, int(part.num_rows - taken.sum()), duplicates, missing, unknown)


def last_rows(user: npt.NDArray[np.int32], time: npt.NDArray[np.int64], tie: npt.NDArray[np.int64], last: int) -> _Rows:
    """Return the places of each user's `last` newest rows, ties broken by `tie`; of a user's rows at least one is left.

    So a user with n <= `last` ratings gives n - 1 of them, and one with a single rating gives none.
    """
    order = np.lexsort((tie, time, user))
    sorted_users = user[order]
    starts = (
        np.flatnonzero(np.append(True, sorted_users[1:] != sorted_users[:-1])) if len(order) else np.empty(0, np.int64)
    )
    counts = np.diff(np.append(starts, len(order)))
    rank = np.arange(len(order)) - np.repeat(starts, counts)
    from_end = np.repeat(counts, counts) - 1 - rank
    return np.sort(order[(from_end < last) & (rank > 0)])


def _selected(part: pa.Table, users: Piece, items: pa.Array, rule: Rule) -> _Rows:
    if rule.kind == "fraction":
        return np.flatnonzero(_pair_hashes(part, users, items, rule.seed, _VALIDATION) < _threshold(rule.fraction))
    if rule.kind == "last":
        places = np.empty(len(items), np.int64)
        places[pc.sort_indices(items).to_numpy()] = np.arange(len(items))
        return last_rows(
            part["user"].to_numpy(),
            part["timestamp"].cast(pa.int64()).to_numpy(),
            places[part["item"].to_numpy()],
            rule.last,
        )
    return np.empty(0, np.int64)


def _pair_hashes(part: pa.Table, users: Piece, items: pa.Array, seed: int, salt: int) -> npt.NDArray[np.uint64]:
    """Return a uint64 for every rating, made of (seed, salt, raw user, raw item) alone: added data move nothing."""
    key = mix(mix(np.array([seed], np.uint64)) + np.uint64(salt))[0]
    by_user = mix(hash_ids(users.raw_ids) ^ key)
    by_item = hash_ids(items)
    return mix(by_user[users.places_of(part["user"].to_numpy())] + by_item[part["item"].to_numpy()])


def _threshold(fraction: float) -> np.uint64:
    return np.uint64(int(fraction * 2.0**64))


def _at(part: pa.Table, rows: _Rows) -> pa.Table:
    return part.take(pa.array(rows)).append_column("row", pa.array(rows))


def _listed(
    part: pa.Table, raw: pa.Table, users: Piece, items: pa.Array
) -> tuple[pa.Table, int, tuple[int | str, int | str] | None]:
    """Return the pairs of a validation file as held-out rows, the number given twice, and the first missing one."""
    kept = _once(raw)
    duplicates = raw.num_rows - len(kept)
    raw = raw.take(pa.array(kept))
    user, item = users.dense_of(raw["user"]), look_up(raw["item"], items)
    row = _rows_of(part, user, item, len(items))
    columns = {"user": pa.array(user), "item": pa.array(item)}
    found = pa.array(row, mask=row < 0)
    missing = None
    if "rating" in raw.column_names:
        columns["rating"] = raw["rating"].combine_chunks()
    else:
        columns["rating"] = part["rating"].combine_chunks().take(found)
        absent = np.flatnonzero(row < 0)
        if len(absent):
            first = int(absent[np.argmin(kept[absent])])
            missing = (raw["user"][first].as_py(), raw["item"][first].as_py())
    if "timestamp" in part.column_names:
        own = "timestamp" in raw.column_names and "rating" in raw.column_names
        columns["timestamp"] = (
            raw["timestamp"].combine_chunks() if own else part["timestamp"].combine_chunks().take(found)
        )
    columns["row"] = pa.array(row)
    order = np.lexsort((item, user, row))
    return pa.table(columns).take(pa.array(order)), duplicates, missing


def _once(raw: pa.Table) -> _Rows:
    """Return the places of the rows that remain when each pair counts once, the newest of it, or else its last."""
    columns: dict[str, npt.NDArray[Any]] = {
        side: raw[side].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int32)
        for side in ("user", "item")
    }
    if "timestamp" in raw.column_names:
        columns["timestamp"] = raw["timestamp"].to_numpy()
    order = sorted_pairs(columns["user"], columns["item"])[2].astype(np.int64)
    columns = {name: values[order] for name, values in columns.items()}
    return settle({**columns, "place": order}, "last")["place"]


def _rows_of(part: pa.Table, user: npt.NDArray[np.int32], item: npt.NDArray[np.int32], items: int) -> _Rows:
    """Find pairs of dense ids in a part, which is sorted by them; -1 where there is none."""
    keys = part["user"].to_numpy().astype(np.int64) * items + part["item"].to_numpy()
    wanted = np.where((user >= 0) & (item >= 0), user.astype(np.int64) * items + item, -1)
    place = np.searchsorted(keys, wanted)
    inside = np.minimum(place, max(len(keys) - 1, 0))
    found = (keys[inside] == wanted) if len(keys) else np.zeros(len(wanted), bool)
    return np.where(found, place, -1)


def _written(folder: str, name: str, number: int, table: pa.Table) -> dict[str, Any]:
    path = f"{name}/part.{number:05d}.parquet"
    return {"path": path, "rows": table.num_rows, "checksum": files.write_table(files.join(folder, path), table)}
