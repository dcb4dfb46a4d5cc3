"""A saved model for the tasks that choose items for users: all of it in memory, or its files, read part by part.

Covers: rows of users by dense id, the items in shards, raw ids of items, and the best items of users.
Does not cover: the model by raw ids (tasks/model/model.py), the choice of items (top_items.py), the choice between
memory and files (pipeline/planning/serving_memory.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.about import Place, read_about
from funkflow.tasks.model.parts import ModelParts, rows_of_own, split_places, table_rows
from funkflow.tasks.serving.top_items import RatedItems, Shard, TopItems, top_items
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import as_column
from funkflow.tasks.transform import as_ratings

SHARD_ROWS = 65_536
"""Rows of a file that are decoded at once: at rank 64 17 MB."""


@dataclass(frozen=True)
class UserRows(Weighed):
    """Some users: `factors`, float32 (n, k); `scores`, float32 (n,), mean plus user bias; `ids` : raw ids (n,)."""

    factors: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    ids: pa.Array

    def take(self, places: npt.NDArray[np.integer]) -> UserRows:
        """Return the users at these places."""
        return UserRows(self.factors[places], self.scores[places], self.ids.take(as_column(places)))


@dataclass(frozen=True)
class HeldModel(Weighed):
    """All rows of a saved model, in its order: users, items as one shard, and the raw ids of items."""

    users: UserRows
    items: Shard
    item_ids: pa.Array


@dataclass(frozen=True)
class ServedModel(Weighed):
    """A saved model by dense ids of users. Items go by their row in the model, which is their place in its item parts.

    `held` : all rows; None: the methods read the files, one after another, `SHARD_ROWS` rows at a time. Both give the
    same bits.
    """

    parts: ModelParts
    held: HeldModel | None = None

    @classmethod
    def of_files(cls, folder: str) -> ServedModel:
        """Return the model in a folder, without holding it."""
        return cls(ModelParts.of(folder, read_about(folder)))

    @property
    def items(self) -> int:
        """Number of items."""
        return sum(self.parts.item_counts)

    def user_rows(self, users: npt.NDArray[np.int32]) -> UserRows:
        """Return the rows of these dense users.

        Raises
        ------
        DamagedFile
            A file is missing or does not match its checksum; so it is for items.
        """
        return self.users_at(rows_of_own(users, self.parts.user_counts))

    def users_at(self, rows: npt.NDArray[np.integer]) -> UserRows:
        """Return rows of the model, whose parts need not be those of a grid."""
        return self.held.users.take(rows) if self.held else _read_users(self.parts, rows)

    def item_rows(self, items: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Return the rows of dense items."""
        return rows_of_own(items, self.parts.item_counts)

    def item_shards(self) -> Iterator[Shard]:
        """Yield all items in shards, in the order of the model."""
        if self.held:
            yield self.held.items
            return
        yield from _read_shards(self.parts)

    def item_ids(self, rows: npt.NDArray[np.integer]) -> pa.Array:
        """Return the raw ids of rows of items, (n,)."""
        if self.held:
            return self.held.item_ids.take(as_column(rows))
        found, places = [], []
        for number, own, within in _by_part(rows, self.parts.item_counts):
            found.append(_read_ids(self.parts.items[number]).take(as_column(within)))
            places.append(own)
        return _in_order(found, places, self.parts.items)

    def top(self, users: UserRows, rated: RatedItems, count: int) -> TopItems:
        """Return the best items that these users did not rate, with unclipped scores in rating units.

        rated : rows of items.
        """
        top = top_items(users.factors, self.item_shards(), rated, min(count, self.items))
        np.add(top.scores, users.scores[:, None], out=top.scores)
        transform = self.parts.transform
        return top if transform == "none" else replace(top, scores=as_ratings(top.scores, transform))


def read_served_model(parts: ModelParts, held: bool) -> ServedModel:
    """Return a model for tasks to share; `held` : read all of it now.

    Raises
    ------
    DamagedFile
        A file is missing or does not match its checksum.
    """
    if not held:
        return ServedModel(parts)
    users = _read_users(parts, np.arange(sum(parts.user_counts)))
    items, start = np.empty((sum(parts.item_counts), parts.rank + 1), np.float32), 0
    for shard in _read_shards(parts):
        items[start : start + len(shard)] = shard
        start += len(shard)
    return ServedModel(parts, HeldModel(users, items, pa.concat_arrays([_read_ids(place) for place in parts.items])))


def _read_shards(parts: ModelParts) -> Iterator[Shard]:
    for place in parts.items:
        for table in files.read_batches(place[0], ["bias", "factors"], place[1], SHARD_ROWS):
            rows = table_rows(table, parts.rank)
            yield np.concatenate([rows.factors, rows.biases[:, None]], axis=1)


def _read_users(parts: ModelParts, rows: npt.NDArray[np.integer]) -> UserRows:
    """Read some rows of the users, one part after another."""
    factors, scores = np.empty((len(rows), parts.rank), np.float32), np.empty(len(rows), np.float32)
    ids, places = [], []
    for number, own, within in _by_part(rows, parts.user_counts):
        url, checksum = parts.users[number]
        first = 0
        for table in files.read_batches(url, ["raw_id", "bias", "factors"], checksum, SHARD_ROWS):
            here = (within >= first) & (within < first + table.num_rows)
            at, inside = own[here], within[here] - first
            part = table_rows(table, parts.rank)
            factors[at], scores[at] = part.factors[inside], part.biases[inside]
            ids.append(_one_array(table["raw_id"]).take(as_column(inside)))
            places.append(at)
            first += table.num_rows
    scores += np.float32(parts.mean)
    return UserRows(factors, scores, _in_order(ids, places, parts.users))


def _by_part(
    rows: npt.NDArray[np.integer], counts: Sequence[int]
) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int32]]]:
    """Yield each part that has any of the rows: its number, the places of these rows, and their rows in the part."""
    part, within = split_places(rows, counts)
    for number in np.unique(part).tolist():
        own = np.flatnonzero(part == number)
        yield number, own, within[own]


def _in_order(found: list[pa.Array], places: list[npt.NDArray[np.int64]], side: Sequence[Place]) -> pa.Array:
    """Return the ids found, which belong at these places, in the order of the places; none, of the side's type."""
    if not found:
        return _read_ids(side[0]).slice(0, 0)
    order = np.empty(sum(map(len, places)), np.int64)
    order[np.concatenate(places)] = np.arange(len(order))
    return pa.concat_arrays(found).take(as_column(order))


def _read_ids(place: Place) -> pa.Array:
    return _one_array(files.read_table(place[0], ["raw_id"], expected_checksum=place[1])["raw_id"])


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks)
