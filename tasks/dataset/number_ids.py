"""Dense ids of one side: ids of the parent dataset keep theirs, new ids follow.

Covers: users.parquet and items.parquet, from the distinct ids of all chunks and the parent's table; their features;
pieces of both tables by part.
Does not cover: the order of new ids (tasks/parsing/ids.py), titles (tasks/parsing/titles.py), rows
(write_part.py).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from funkflow.tasks.dataset.coded_ids import ids_url
from funkflow.tasks.dataset.feature_rows import ids_of, write_feature_rows
from funkflow.tasks.dataset.id_pieces import cut_ids, read_ids
from funkflow.tasks.parsing.erased_ids import ErasedIds
from funkflow.tasks.parsing.ids import close_gaps, dense_order, distinct, look_up, refuse_too_many_ids
from funkflow.tasks.parsing.row_features import read_row_features
from funkflow.tasks.parsing.titles import attach_titles, read_titles
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_groups import read_groups


@dataclass(frozen=True)
class Numbering:
    """How to number the ids of one side.

    Attributes
    ----------
    scratch, chunks : the folder and number of the chunks' files of distinct ids.
    seed, number, generation : seeds of the order of new ids; `number` is ids.USERS or ids.ITEMS, `generation` counts
        the ancestors of the dataset.
    titles, features : a file of titles, and one of features, or ""; id_column : of the ratings.
    earlier : url and checksum of the parent dataset's table, or None.
    all_occur : all ids of that table still have ratings; otherwise only those in the chunks do.
    forgotten : ids on this list get no number.
    parts : write so many pieces of this table and of the parent's to `scratch`; 0: none.
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
    forgotten: ErasedIds
    parts: int = 0
    features: str = ""
    id_column: str | int | None = None

    @property
    def pieces(self) -> tuple[str, str]:
        """The paths of the pieces of this table and of the parent's (id_pieces.py)."""
        place = files.join(self.scratch, f"{self.side}s")
        return f"{place}.arrow", f"{place}-before.arrow"


@dataclass(frozen=True)
class IdTable:
    """Rows and checksum of the table; `moved`: some ids of the parent's table have lost or changed their number.

    `pieces` : the paths of the pieces of this table and of the parent's, if written; `features` : checksum of the
    file of features, if there is one, and `understood` : what was found in it.
    """

    rows: int
    checksum: str
    moved: bool
    pieces: tuple[str, str]
    features: str = ""
    understood: str = ""


def write_ids(numbering: Numbering, target: str) -> IdTable:
    """Number all raw ids of one side and write the table in the order of dense ids.

    Rows that features alone name have numbers, too: they are predicted by what their features mean elsewhere.

    Raises
    ------
    BadInput
        There are more ids than int32 can number, or the features are not usable.
    """
    said = own = None
    if numbering.features:
        said = read_row_features(numbering.features, numbering.id_column, f"ingest.{numbering.side}_features")
        own = ids_of(said, numbering.kind, numbering.features)
    ids, moved = _order_ids(numbering, own)
    refuse_too_many_ids(len(ids), numbering.side)
    if numbering.parts:
        cut_ids(ids, numbering.parts, numbering.pieces[0])
    table = pa.table({"raw_id": ids})
    if numbering.titles:
        table = attach_titles(table, read_titles(numbering.titles))
    made = IdTable(table.num_rows, files.write_table(target, table), moved, numbering.pieces)
    if said is None or own is None:
        return made
    return replace(made, understood=said.described, features=write_feature_rows(features_url(target), said, own, ids))


def features_url(table: str) -> str:
    """Return the path of the features of the rows of a table of ids."""
    return table.removesuffix("s.parquet") + "_features.parquet"


def _order_ids(numbering: Numbering, more: pa.Array | None) -> tuple[pa.Array, bool]:
    chunks = range(numbering.chunks)
    found = (
        read_groups(ids_url(numbering.scratch, numbering.side, each))["raw_id"].cast(numbering.kind) for each in chunks
    )
    ids = distinct(itertools.chain(found, () if more is None else (more,)), numbering.kind)
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
    return pa.concat_arrays([close_gaps(before, kept), appended]), not bool(np.all(kept))
