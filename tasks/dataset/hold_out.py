"""Hold ratings of one part out of training: those of a file, by a hash, each user's last ones, or all from a date on.

Covers: choosing the validation and slice rows of a part, and writing them with their row number in the part.
Does not cover: reading the validation file (tasks/parsing/rows/text.py), the order of tasks
(pipeline/stages/split.py), or the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.dataset.bucket_rows import gather_rows, settle_duplicates
from funkflow.tasks.dataset.id_pieces import IdPiece, read_ids, read_piece
from funkflow.tasks.dataset.pair_rows import find_rows
from funkflow.tasks.dataset.sorting import sort_pairs
from funkflow.tasks.mix import mix
from funkflow.tasks.model.about import Place
from funkflow.tasks.parsing.erased_ids import NOBODY, SIDES, ErasedIds
from funkflow.tasks.parsing.ids import hash_ids, look_up
from funkflow.tasks.storage import files
from funkflow.tasks.storage.stored_table import StoredTable

_VALIDATION, _SLICE, _USERS, _FOUND = 1, 2, 3, 4
"""Salts: the slice, the validation ratings, held-out users and their ratings to find are drawn independently."""

_SLICE_ROWS = 1 << 16
_Rows = npt.NDArray[np.int64]
RawPair = tuple[int | str, int | str]
"""A raw user and a raw item."""


class HeldOutEntry(TypedDict):
    """A manifest's entry for one file of held-out ratings."""

    path: str
    rows: int
    checksum: str


@dataclass(frozen=True)
class HoldOutRule:
    """How to hold out ratings, in plain values. `folder` and `chunks`: the scattered rows of kind "file".

    `users` : the dataset's users by part, from id_pieces.py; `items` : its table of items. `forgotten` : the rule skips
    the file's rows with these ids. `since` : of kind "after", seconds since 1970. `found` : of
    kind "users", the part of a user's ratings to validate on.
    """

    kind: Literal["file", "fraction", "last", "after", "users", "none"]
    fraction: float = 0.0
    last: int = 0
    since: int = 0
    found: float = 0.0
    seed: int = 0
    slice_fraction: float = 0.0
    folder: str = ""
    chunks: int = 0
    parts: int = 1
    users: str = ""
    items: Place = ("", "")
    forgotten: ErasedIds = NOBODY


@dataclass(frozen=True)
class PartSplit:
    """The split of one part: manifest entries, the number of training ratings, findings in the validation file.

    `unknown` counts held-out ratings whose user or item is not in the dataset. `missing` is the file's first pair
    without a rating that the dataset does not have. `times` : the part's earliest and latest, in seconds since 1970, of
    kind "after"; None for a part without ratings. `given` : of kind "users", the other ratings of the held-out users.
    """

    validation: HeldOutEntry
    slice: HeldOutEntry | None
    training: int
    duplicates: int = 0
    missing: RawPair | None = None
    unknown: int = 0
    times: tuple[int, int] | None = None
    given: HeldOutEntry | None = None


class _Part:
    """A part of a dataset. `users`, `items` : int32 (n,), by user and item; `table` : its file."""

    def __init__(self, url: str, checksum: str) -> None:
        self.table = StoredTable(url, checksum)

    @cached_property
    def users(self) -> npt.NDArray[np.int32]:
        return np.asarray(self.table.column("user").to_numpy())

    @cached_property
    def items(self) -> npt.NDArray[np.int32]:
        return np.asarray(self.table.column("item").to_numpy())

    def places_in(self, users: IdPiece) -> npt.NDArray[np.int32]:
        """Return the place of each rating's user in a piece of ids, int32 (n,); each user is looked up once."""
        starts = np.flatnonzero(np.append(True, self.users[1:] != self.users[:-1])[: len(self.users)])
        places = users.places_of(self.users[starts]).astype(np.int32)
        return np.repeat(places, np.diff(starts, append=len(self.users)))

    def take(self, rows: _Rows) -> pa.Table:
        """Return some rows, whose numbers ascend, and these numbers."""
        pairs = {"user": pa.array(self.users[rows]), "item": pa.array(self.items[rows])}
        values = self.table.take(rows, self.values)
        return pa.table({**pairs, **dict(zip(self.values, values.columns, strict=True)), "row": pa.array(rows)})

    @property
    def values(self) -> list[str]:
        """The other columns: the rating, and the time if there is one."""
        return [name for name in self.table.names if name not in SIDES]


def hold_out_part(dataset: str, path: str, checksum: str, number: int, rule: HoldOutRule, folder: str) -> PartSplit:
    """Choose the held-out rows of dataset part `number`, and write them under `folder`.

    Each table has user and item int32 (dense; -1: not in the dataset), rating float32, timestamp if the dataset has it,
    and row int64: the rating's row in the part, which training leaves out; -1 for none.
    """
    part = _Part(files.join(dataset, path), checksum)
    users, items = read_piece(rule.users, number), read_ids(rule.items)
    duplicates, missing = 0, None
    if rule.kind == "file":
        raw = gather_rows(rule.folder, rule.chunks, number, rule.parts, rule.parts)
        if rule.forgotten:
            held = [rule.forgotten.holds(side, raw[side]) for side in SIDES]
            raw = raw.filter(pa.array(~(held[0] | held[1])))
        chosen, duplicates, missing = _match_file_pairs(part, raw, users, items)
    else:
        chosen = part.take(_choose_rows(part, users, items, rule))
    is_held_out = np.zeros(part.table.num_rows, bool)
    rows = chosen["row"].to_numpy()
    is_held_out[rows[rows >= 0]] = True
    validation = write_held_out_rows(folder, "validation", number, chosen)
    given_entry = None
    if rule.kind == "users":
        given = np.flatnonzero(~is_held_out & _is_of_held_out_user(part, users, rule))
        is_held_out[given] = True
        given_entry = write_held_out_rows(folder, "given", number, part.take(given))
    slice_entry = None
    if rule.slice_fraction > 0:
        sliced = np.flatnonzero(~is_held_out & _is_drawn(part, users, items, rule.seed, _SLICE, rule.slice_fraction))
        is_held_out[sliced] = True
        slice_entry = write_held_out_rows(folder, "slice", number, part.take(sliced))
    unknown = int(((chosen["user"].to_numpy() < 0) | (chosen["item"].to_numpy() < 0)).sum())
    training = int(len(is_held_out) - is_held_out.sum())
    times = None
    if rule.kind == "after" and part.table.num_rows:
        seconds = _seconds(part)
        times = int(seconds.min()), int(seconds.max())
    return PartSplit(
        validation, slice_entry, training, duplicates=duplicates, missing=missing, unknown=unknown, times=times,
        given=given_entry,
    )  # fmt: skip


def last_rows(user: npt.NDArray[np.int32], time: npt.NDArray[np.int64], tie: npt.NDArray[np.int64], last: int) -> _Rows:
    """Return, int64, the places of each user's `last` newest rows; `tie` orders rows of equal time.

    Each user keeps at least one row: a user with n <= `last` ratings gives n - 1 of them.

    Parameters
    ----------
    user, time, tie : (n,), one entry a rating.
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


def _choose_rows(part: _Part, users: IdPiece, items: pa.Array, rule: HoldOutRule) -> _Rows:
    if rule.kind == "fraction":
        return np.flatnonzero(_is_drawn(part, users, items, rule.seed, _VALIDATION, rule.fraction))
    if rule.kind == "users":
        is_to_be_found = _is_drawn(part, users, items, rule.seed, _FOUND, rule.found)
        return np.flatnonzero(_is_of_held_out_user(part, users, rule) & is_to_be_found)
    if rule.kind == "after":
        return np.flatnonzero(_seconds(part) >= rule.since)
    if rule.kind == "last":
        places = np.empty(len(items), np.int64)
        places[pc.sort_indices(items).to_numpy()] = np.arange(len(items))
        return last_rows(
            part.users,
            _seconds(part),
            places[part.items],
            rule.last,
        )
    return np.empty(0, np.int64)


def _seconds(part: _Part) -> _Rows:
    """Return the times of a part, which Parquet keeps in milliseconds, in seconds since 1970."""
    return np.asarray(part.table.column("timestamp").cast(pa.timestamp("s")).cast(pa.int64()).to_numpy())


def _is_drawn(
    part: _Part, users: IdPiece, items: pa.Array, seed: int, salt: int, fraction: float
) -> npt.NDArray[np.bool_]:
    """Return for each rating, bool (n,), whether a hash draws it, so many of all.

    The hash rests on (seed, salt, raw user, raw item) alone, so new data change none.
    """
    by_user, by_item, places = _user_hashes(users, seed, salt), hash_ids(items), part.places_in(users)
    is_drawn, threshold = np.empty(len(places), bool), _threshold(fraction)
    for start in range(0, len(places), _SLICE_ROWS):  # in the cache
        rows = slice(start, start + _SLICE_ROWS)
        is_drawn[rows] = mix(by_user[places[rows]] + by_item[part.items[rows]]) < threshold
    return is_drawn


def _user_hashes(users: IdPiece, seed: int, salt: int) -> npt.NDArray[np.uint64]:
    """Return a uint64 for each user of a piece from (seed, salt, raw user) alone."""
    key = mix(mix(np.array([seed], np.uint64)) + np.uint64(salt))[0]
    return np.asarray(mix(hash_ids(users.raw_ids) ^ key))


def _is_of_held_out_user(part: _Part, users: IdPiece, rule: HoldOutRule) -> npt.NDArray[np.bool_]:
    """Return for each rating, bool (n,), whether the hash holds its user out whole."""
    is_held_out = _user_hashes(users, rule.seed, _USERS) < _threshold(rule.fraction)
    return np.asarray(is_held_out[part.places_in(users)])


def _threshold(fraction: float) -> np.uint64:
    return np.uint64(int(fraction * 2.0**64))


def _match_file_pairs(
    part: _Part, raw: pa.Table, users: IdPiece, items: pa.Array
) -> tuple[pa.Table, int, RawPair | None]:
    """Return the pairs of a validation file as held-out rows, the number of duplicates, and the first missing pair."""
    user, item = users.dense_of(raw["user"]), look_up(raw["item"], items)
    places = sort_pairs(user + 1, item + 1)[2].astype(np.int64)
    if np.any((np.diff(user[places]) == 0) & (np.diff(item[places]) == 0)):  # a pair twice, or ids that are not there
        kept = _last_of_each_pair(raw)
        places = kept[sort_pairs(user[kept] + 1, item[kept] + 1)[2]]
    duplicates = raw.num_rows - len(places)
    row = find_rows(part.table, user[places], item[places])
    order = np.argsort(row, kind="stable")  # the missing ones come first
    places, row = places[order], row[order]
    raw, absent = raw.take(pa.array(places)), int(np.sum(row < 0))
    has_ratings, missing = "rating" in raw.column_names, None
    if absent and not has_ratings:
        first = int(np.argmin(places[:absent]))
        missing = (raw["user"][first].as_py(), raw["item"][first].as_py())
    brought = [name for name in raw.column_names if has_ratings and name in part.values]
    values = part.table.take(row[absent:], [name for name in part.values if name not in brought])
    columns = {"user": pa.array(user[places]), "item": pa.array(item[places])}
    for name in part.values:
        if name in brought:
            columns[name] = raw[name].combine_chunks()
        else:
            columns[name] = pa.concat_arrays([pa.nulls(absent, values[name].type), *values[name].chunks])
    return pa.table({**columns, "row": pa.array(row)}), duplicates, missing


def _last_of_each_pair(raw: pa.Table) -> _Rows:
    """Return the place of one row per pair: the newest, or the last where there are no times."""
    columns: dict[str, npt.NDArray[Any]] = {
        side: raw[side].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int32)
        for side in ("user", "item")
    }
    if "timestamp" in raw.column_names:
        columns["timestamp"] = raw["timestamp"].to_numpy()
    order = sort_pairs(columns["user"], columns["item"])[2].astype(np.int64)
    columns = {name: values[order] for name, values in columns.items()}
    return settle_duplicates({**columns, "place": order}, "last")["place"]


def write_held_out_rows(folder: str, name: str, number: int, table: pa.Table) -> HeldOutEntry:
    """Write the held-out ratings of part `number` under `folder`/`name`; return their manifest entry."""
    path = f"{name}/part.{number:05d}.parquet"
    # Users and rows hardly repeat: with dictionaries they take twice the time, and more room.
    dictionaries = [name for name in table.column_names if name not in ("user", "row")]
    checksum = files.write_table(files.join(folder, path), table, dictionaries=dictionaries)
    return {"path": path, "rows": table.num_rows, "checksum": checksum}
