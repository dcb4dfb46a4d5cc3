"""Dense ids of one side: those of the dataset that goes before, as they are, and new ones after them.

Covers: users.parquet and items.parquet, from the distinct ids that all chunks left and from an earlier table; both
tables cut by part, for the tasks that gather one.
Does not cover: the order that new ids are given (tasks/parsing/ids.py), titles (tasks/parsing/titles.py), rows
(write_part.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from funkflow.tasks.dataset.bucket_rows import ids_url
from funkflow.tasks.dataset.id_pieces import cut_ids, read_ids
from funkflow.tasks.parsing.erased_ids import Forgotten
from funkflow.tasks.parsing.ids import closed_up, dense_order, distinct, look_up, refuse_too_many
from funkflow.tasks.parsing.titles import attach_titles, read_titles
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_groups import read_groups


@dataclass(frozen=True)
class Numbering:
    """How one side is numbered.

    Attributes
    ----------
    scratch, chunks : where that many chunks left their distinct ids.
    seed, number, generation : what the order of new ids is drawn from; `number` tells the sides apart (ids.USERS,
        ids.ITEMS), `generation` counts the datasets that go before.
    titles : a file of titles, or "".
    earlier : url and checksum of the table of the dataset that goes before, or None.
    all_occur : every id of that table has ratings still; otherwise those do that the chunks have.
    forgotten : ids on this list get no number.
    parts : of the dataset: so many pieces of this table and of the earlier one are left in `scratch`; 0: none.
    """

    scratch: str
    side: str
    chunks: int
    seed: int
    number: int
    generation: int
    kind: pa.DataType
    titles: str
    earlier: tuple[str, str] | None
    all_occur: bool
    forgotten: Forgotten
    parts: int = 0

    @property
    def pieces(self) -> tuple[str, str]:
        """Where the pieces of the table and of the earlier one lie, as id_pieces.py cuts them."""
        place = files.join(self.scratch, f"{self.side}s")
        return f"{place}.arrow", f"{place}-before.arrow"


@dataclass(frozen=True)
class Numbered:
    """Rows and checksum of the table; `moved`: not all ids of the earlier table have their number still.

    `pieces` : where this table and the earlier one lie cut by part, if they do.
    """

    rows: int
    checksum: str
    moved: bool
    pieces: tuple[str, str]


def write_ids(numbering: Numbering, target: str) -> Numbered:
    """Number all raw ids of one side and write the table in their order.

    Raises
    ------
    BadInput
        More ids than dense ids can tell apart.
    """
    ids, moved = _ordered(numbering)
    refuse_too_many(len(ids), numbering.side)
    if numbering.parts:
        cut_ids(ids, numbering.parts, numbering.pieces[0])
    table = pa.table({"raw_id": ids})
    if numbering.titles:
        table = attach_titles(table, read_titles(numbering.titles))
    return Numbered(table.num_rows, files.write_table(target, table), moved, numbering.pieces)


def _ordered(numbering: Numbering) -> tuple[pa.Array, bool]:
    chunks = range(numbering.chunks)
    found = (
        read_groups(ids_url(numbering.scratch, numbering.side, each), [0])["raw_id"].cast(numbering.kind)
        for each in chunks
    )
    ids = distinct(found, numbering.kind)
    if numbering.forgotten:
        ids = ids.filter(pa.array(~numbering.forgotten.holds(numbering.side, ids)))
    if numbering.earlier is None:
        return dense_order(ids, numbering.seed, numbering.number, numbering.generation), False
    url, checksum = numbering.earlier
    before = read_ids((url, checksum))
    if numbering.parts:
        cut_ids(before, numbering.parts, numbering.pieces[1])
    kept = ~numbering.forgotten.holds(numbering.side, before)
    if not numbering.all_occur:
        kept &= look_up(before, ids) >= 0
    new = ids.filter(pa.array(look_up(ids, before) < 0))
    appended = dense_order(new, numbering.seed, numbering.number, numbering.generation)
    return pa.concat_arrays([closed_up(before, kept), appended]), not bool(np.all(kept))
