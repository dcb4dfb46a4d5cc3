"""Write one part of a dataset: the parent's rows plus the rows of all chunks, minus deletions and erased ids.

Covers: dense ids, duplicates, deletions, rows of erased ids, and reusing the parent's file if nothing has changed.
Does not cover: which rows belong to a part (bucket_rows.py), numbering ids (number_ids.py), the order of tasks
(pipeline/stages/ingest.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.bucket_rows import Duplicates, PartRows, gather_part, settle_duplicates
from funkflow.tasks.dataset.id_pieces import IdPiece, read_ids, read_piece
from funkflow.tasks.dataset.sorting import sort_rows
from funkflow.tasks.model.about import Place
from funkflow.tasks.parsing.ids import look_up
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import share

Columns = dict[str, npt.NDArray[Any]]
"""user and item int32, dense; rating float32; timestamp if there are times, integer seconds since 1970; all (n,)."""
_DICTIONARIES = ["timestamp"]
_ENCODINGS = {"user": "PLAIN", "item": "DELTA_BINARY_PACKED", "rating": "BYTE_STREAM_SPLIT"}
"""Of the columns of a part, sorted by user and item. Dictionaries for all of them take half as long again to write, a
quarter longer to read, and the same bytes."""
PartRecord = dict[str, Any]
"""A manifest's entry for a part, see `write_part`."""


@dataclass(frozen=True)
class ScatteredRows:
    """The scratch rows of `chunks` chunks in a folder, in so many buckets."""

    folder: str
    chunks: int
    buckets: int

    def rows(self, part: int, parts: int) -> PartRows | None:
        """Return the rows of one part; None if there are no chunks."""
        return gather_part(self.folder, self.chunks, part, parts, self.buckets) if self.chunks else None


@dataclass(frozen=True)
class ParentParts:
    """The parent dataset: its folder and parts (path, checksum, rows).

    `users` : its users by the parts of the new dataset (id_pieces.py); `items` : its table of items. Both are read only
    to split or renumber rows. `moved` : some of its ids have lost or changed their number.
    """

    folder: str
    parts: tuple[tuple[str, str, int], ...]
    users: str
    items: Place
    moved: bool


@dataclass(frozen=True)
class PartJob:
    """The settings that all parts of a dataset share.

    `users` : its users by part (id_pieces.py); `items` : its table of items. `deletions` : pairs to delete.
    `forgetting` : drop rows whose ids have no number; otherwise there are none. `compiled` : sort by compiled loops.
    """

    ratings: ScatteredRows
    deletions: ScatteredRows
    earlier: ParentParts | None
    dataset: str
    users: str
    items: Place
    parts: int
    duplicates: Duplicates
    forgetting: bool
    compiled: bool = False


def write_part(part: int, job: PartJob) -> PartRecord:
    """Gather one part and write it sorted by (user, item); reuse the parent's file if it has the same rows.

    Returns path, rows, checksum, whether the file was kept, and the numbers of settled duplicates and deleted ratings,
    and with summed duplicates the greatest sum; or `fault`, an error message.
    """
    raw, unwanted = (each.rows(part, job.parts) for each in (job.ratings, job.deletions))
    before = job.earlier
    same_cut = before is not None and len(before.parts) == job.parts
    if same_cut and before and not before.moved and not any(each and len(each) for each in (raw, unwanted)):
        return _reuse_parent_part(job, before, part)
    users, items = read_piece(job.users, part), read_ids(job.items)
    old = _read_parent_rows(before, part, job) if before else None
    now = _renumber(before, old, part, users, items) if before and old and before.moved else old
    both = [each for each in (now, _to_dense_rows(raw, users, items, job.forgetting)) if each is not None]
    columns = {name: np.concatenate([each[name] for each in both]) for name in both[0]} if len(both) > 1 else both[0]
    columns = sort_rows(columns, job.compiled)
    settled = settle_duplicates(columns, job.duplicates)
    duplicates = len(columns["user"]) - len(settled["user"])
    if duplicates and job.duplicates == "raise":
        return {"fault": _duplicate_message(columns, users, items)}
    counted = settled if unwanted is None else _delete_pairs(settled, unwanted, users, items)
    changes: PartRecord = {"duplicates": duplicates, "deleted": len(settled["user"]) - len(counted["user"])}
    if same_cut and before and old is not None and _are_equal(counted, old):
        return {**_reuse_parent_part(job, before, part), **changes}
    if job.duplicates == "sum":
        changes["greatest"] = float(counted["rating"].max(initial=0.0))
    path = _part_path(part)
    if "timestamp" in counted:
        counted = {**counted, "timestamp": counted["timestamp"].astype("M8[s]")}
    written = files.write_table(
        files.join(job.dataset, path), pa.table(counted), compression="lz4", dictionaries=_DICTIONARIES,
        encodings=_ENCODINGS,
    )  # fmt: skip
    return {"path": path, "rows": len(counted["user"]), "checksum": written, "kept": False, **changes}


def _part_path(part: int) -> str:
    return f"ratings.parquet/part.{part:05d}.parquet"


def _reuse_parent_part(job: PartJob, before: ParentParts, part: int) -> PartRecord:
    path, checksum, rows = before.parts[part]
    share(files.join(before.folder, path), files.join(job.dataset, _part_path(part)))
    return {"path": _part_path(part), "rows": rows, "checksum": checksum, "kept": True, "duplicates": 0, "deleted": 0}


def _read_parent_rows(before: ParentParts, part: int, job: PartJob) -> Columns:
    """Return the parent's rows of a part; one parent part may now be two parts, or four."""
    share_of = job.parts // len(before.parts)
    path, checksum, _ = before.parts[part // share_of]
    table = files.read_table(files.join(before.folder, path), expected_checksum=checksum)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    if "timestamp" in columns:
        columns["timestamp"] = columns["timestamp"].astype("M8[s]").astype(np.int64)
    if share_of > 1:
        columns = _select_rows(columns, read_piece(before.users, part).has(columns["user"]))
    return columns


def _renumber(before: ParentParts, columns: Columns, part: int, users: IdPiece, items: pa.Array) -> Columns:
    """Give the parent's rows their new dense ids; drop rows whose ids have none."""
    then = read_piece(before.users, part)
    user = users.dense_of(then.raw_ids)[then.places_of(columns["user"])]
    item = look_up(read_ids(before.items), items)[columns["item"]]
    return _drop_unnumbered({**columns, "user": user, "item": item})


def _to_dense_rows(raw: PartRows | None, users: IdPiece, items: pa.Array, forgetting: bool) -> Columns | None:
    if raw is None:
        return None
    columns: Columns = {
        "user": raw.users.dense(users.dense_of),
        "item": raw.items.dense(lambda ids: look_up(ids, items)),
    }
    columns |= raw.rest
    return _drop_unnumbered(columns) if forgetting else columns


def _drop_unnumbered(columns: Columns) -> Columns:
    """Keep the rows whose user and item have a number."""
    return _select_rows(columns, (columns["user"] >= 0) & (columns["item"] >= 0))


def _select_rows(columns: Columns, chosen: npt.NDArray[np.bool_]) -> Columns:
    return columns if chosen.all() else {name: values[chosen] for name, values in columns.items()}


def _delete_pairs(columns: Columns, unwanted: PartRows, users: IdPiece, items: pa.Array) -> Columns:
    pairs = _to_dense_rows(unwanted, users, items, forgetting=True)
    if pairs is None:
        return columns
    listed, own = (
        each["user"].astype(np.int64) * len(items) + each["item"].astype(np.int64) for each in (pairs, columns)
    )
    return _select_rows(columns, ~np.isin(own, listed))


def _are_equal(columns: Columns, old: Columns) -> bool:
    return all(np.array_equal(values, old[name]) for name, values in columns.items())


def _duplicate_message(columns: Columns, users: IdPiece, items: pa.Array) -> str:
    user, item, rating = columns["user"], columns["item"], columns["rating"]
    first = int(np.flatnonzero((user[1:] == user[:-1]) & (item[1:] == item[:-1]))[0])
    return (
        f"user {users.raw_of(user[[first]])[0].as_py()!r} has rated item {items[int(item[first])].as_py()!r} "
        "more than once "
        f'({rating[first]:g} and {rating[first + 1]:g}); set ingest.duplicates = "last" or "mean", or remove one'
    )
