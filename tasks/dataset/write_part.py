"""One part of a dataset: rows of all chunks, upon those of the dataset that goes before, less what does not count.

Covers: dense ids, duplicates, deletions, rows of forgotten ids, and keeping the earlier file where nothing changed.
Does not cover: which rows belong to a part (bucket_rows.py), who has which dense id (number_ids.py), which task runs
when (pipeline/stages/ingest.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.bucket_rows import Duplicates, gather_rows, settle
from funkflow.tasks.dataset.id_pieces import Piece, read_ids, read_piece
from funkflow.tasks.dataset.sorting import sorted_pairs
from funkflow.tasks.model.about import Place
from funkflow.tasks.parsing.ids import look_up
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import share

Columns = dict[str, npt.NDArray[Any]]
"""user and item int32, dense; rating float32; timestamp datetime64[s] where there are times."""


@dataclass(frozen=True)
class Scratch:
    """Rows that `chunks` chunks left in a folder, in so many buckets."""

    folder: str
    chunks: int
    buckets: int

    def rows(self, part: int, parts: int) -> pa.Table | None:
        """Return the rows of one part; None where there are no chunks."""
        return gather_rows(self.folder, self.chunks, part, parts, self.buckets) if self.chunks else None


@dataclass(frozen=True)
class Earlier:
    """The dataset that goes before: its folder and parts (path, checksum, rows).

    `users` : its users, cut by the parts that there are now (id_pieces.py); `items` : its table of items; both are read
    only where rows have to be told apart or numbered anew. `moved` : some of its ids have another number now, or none.
    """

    folder: str
    parts: tuple[tuple[str, str, int], ...]
    users: str
    items: Place
    moved: bool


@dataclass(frozen=True)
class Gathering:
    """What all parts of a dataset have in common.

    `users` : its users by part, as id_pieces.py cuts them; `items` : its table of items.
    `deletions` : pairs that no longer count. `forgetting` : rows of ids without a number are dropped, not a fault.
    """

    ratings: Scratch
    deletions: Scratch
    earlier: Earlier | None
    dataset: str
    users: str
    items: Place
    parts: int
    duplicates: Duplicates
    forgetting: bool


def write_part(part: int, gathering: Gathering) -> dict[str, Any]:
    """Gather one part and write it sorted by (user, item), or let the earlier file stand where it says the same.

    Returns path, rows, checksum, whether the file was kept, the number of duplicates settled and of ratings deleted; or
    `fault`, the message of what is wrong.
    """
    raw, unwanted = (each.rows(part, gathering.parts) for each in (gathering.ratings, gathering.deletions))
    before = gathering.earlier
    same_cut = before is not None and len(before.parts) == gathering.parts
    if same_cut and before and not before.moved and not any(each and each.num_rows for each in (raw, unwanted)):
        return _kept(gathering, before, part)
    users, items = read_piece(gathering.users, part), read_ids(gathering.items)
    old = _earlier(before, part, gathering) if before else None
    now = _numbered_anew(before, old, part, users, items) if before and old and before.moved else old
    both = [each for each in (now, _dense(raw, users, items, gathering.forgetting)) if each is not None]
    columns = _sorted({name: np.concatenate([each[name] for each in both]) for name in both[0]})
    settled = settle(columns, gathering.duplicates)
    duplicates = len(columns["user"]) - len(settled["user"])
    if duplicates and gathering.duplicates == "raise":
        return {"fault": _duplicate_message(columns, users, items)}
    counted = settled if unwanted is None else _without(settled, unwanted, users, items)
    changes = {"duplicates": duplicates, "deleted": len(settled["user"]) - len(counted["user"])}
    if same_cut and before and old is not None and _same(counted, old):
        return {**_kept(gathering, before, part), **changes}
    path = _path(part)
    written = files.write_table(files.join(gathering.dataset, path), pa.table(counted), compression="lz4")
    return {"path": path, "rows": len(counted["user"]), "checksum": written, "kept": False, **changes}


def _path(part: int) -> str:
    return f"ratings.parquet/part.{part:05d}.parquet"


def _kept(gathering: Gathering, before: Earlier, part: int) -> dict[str, Any]:
    path, checksum, rows = before.parts[part]
    share(files.join(before.folder, path), files.join(gathering.dataset, _path(part)))
    return {"path": _path(part), "rows": rows, "checksum": checksum, "kept": True, "duplicates": 0, "deleted": 0}


def _earlier(before: Earlier, part: int, gathering: Gathering) -> Columns:
    """Return the earlier rows of a part as they were; one part may have become two since, or four."""
    share_of = gathering.parts // len(before.parts)
    path, checksum, _ = before.parts[part // share_of]
    table = files.read_table(files.join(before.folder, path), expected_checksum=checksum)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    if "timestamp" in columns:
        columns["timestamp"] = columns["timestamp"].astype("datetime64[s]")
    if share_of > 1:
        columns = _where(columns, read_piece(before.users, part).has(columns["user"]))
    return columns


def _numbered_anew(before: Earlier, columns: Columns, part: int, users: Piece, items: pa.Array) -> Columns:
    """Return earlier rows with the dense ids of now; rows of those that have none any more are gone."""
    then = read_piece(before.users, part)
    user = users.dense_of(then.raw_ids)[then.places_of(columns["user"])]
    item = look_up(read_ids(before.items), items)[columns["item"]]
    return _numbered({**columns, "user": user, "item": item})


def _dense(raw: pa.Table | None, users: Piece, items: pa.Array, forgetting: bool) -> Columns | None:
    if raw is None:
        return None
    columns = {"user": users.dense_of(raw["user"]), "item": look_up(raw["item"], items)}
    columns |= {name: raw[name].to_numpy() for name in raw.column_names if name not in columns}
    return _numbered(columns) if forgetting else columns


def _numbered(columns: Columns) -> Columns:
    """Return the rows whose user and item have a number."""
    return _where(columns, (columns["user"] >= 0) & (columns["item"] >= 0))


def _where(columns: Columns, chosen: npt.NDArray[np.bool_]) -> Columns:
    return columns if chosen.all() else {name: values[chosen] for name, values in columns.items()}


def _sorted(columns: Columns) -> Columns:
    user, item, places = sorted_pairs(columns["user"], columns["item"])
    rest = {name: values[places] for name, values in columns.items() if name not in ("user", "item")}
    return {"user": user, "item": item, **rest}


def _without(columns: Columns, unwanted: pa.Table, users: Piece, items: pa.Array) -> Columns:
    pairs = _dense(unwanted, users, items, forgetting=True)
    if pairs is None:
        return columns
    listed, own = (
        each["user"].astype(np.int64) * len(items) + each["item"].astype(np.int64) for each in (pairs, columns)
    )
    return _where(columns, ~np.isin(own, listed))


def _same(columns: Columns, old: Columns) -> bool:
    return all(np.array_equal(values, old[name]) for name, values in columns.items())


def _duplicate_message(columns: Columns, users: Piece, items: pa.Array) -> str:
    user, item, rating = columns["user"], columns["item"], columns["rating"]
    first = int(np.flatnonzero((user[1:] == user[:-1]) & (item[1:] == item[:-1]))[0])
    return (
        f"user {users.raw_of(user[[first]])[0].as_py()!r} has rated item {items[int(item[first])].as_py()!r} "
        "more than once "
        f'({rating[first]:g} and {rating[first + 1]:g}); set ingest.duplicates = "last" or "mean", or remove one'
    )
