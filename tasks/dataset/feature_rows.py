"""The features of a dataset's users or items, in the order of their dense ids.

Covers: the file, and reading the rows of a shard.
Does not cover: what columns mean (tasks/parsing/row_features.py), dense ids (number_ids.py).

A row of the file is a row of a sparse matrix: its columns, int32, and their values, float32. The names of columns are
in the file's metadata.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.errors import BadInput
from funkflow.tasks.late import late
from funkflow.tasks.model.about import Place
from funkflow.tasks.parsing.ids import look_up
from funkflow.tasks.parsing.row_features import RowFeatures
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import as_column, numbers_of

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = late("scipy.sparse")


def ids_of(found: RowFeatures, kind: pa.DataType, url: str) -> pa.Array:
    """Return the raw ids in the type of the ratings' ids.

    Raises
    ------
    BadInput
        An id is no number, where those of the ratings are.
    """
    try:
        return pa.array(found.raw_ids, pa.string()).cast(kind)
    except pa.ArrowInvalid as cause:
        raise BadInput(f"{url}: the ids of the ratings are integers, these are not: {cause}") from cause


def write_feature_rows(url: str, found: RowFeatures, own: pa.Array, ids: pa.Array) -> str:
    """Write the features of all ids in their order, none where a row is not known; return the file's checksum.

    own : raw ids of the features, in the type of `ids`.
    """
    rows = look_up(ids, own)
    matrix = sparse.vstack([found.matrix, sparse.csr_array((1, found.matrix.shape[1]), dtype=np.float32)], "csr")
    taken = matrix[np.where(rows < 0, len(own), rows)]
    starts = as_column(taken.indptr.astype(np.int32))
    lists = {
        name: pa.ListArray.from_arrays(starts, as_column(values))
        for name, values in (("columns", taken.indices.astype(np.int32)), ("values", taken.data))
    }
    table = pa.table(lists).replace_schema_metadata({"names": json.dumps(found.names)})
    return files.write_table(url, table)


def read_feature_rows(place: Place, shards: int, shard: int) -> Any:
    """Return the features of a shard, which has every `shards`-th id: float64 CSR (rows, p)."""
    url, checksum = place
    table = files.read_table(url, expected_checksum=checksum)
    count = len(json.loads(table.schema.metadata[b"names"]))
    own = table.take(pa.array(np.arange(shard, table.num_rows, shards)))
    columns, values = (numbers_of(pc.list_flatten(own[name])) for name in ("columns", "values"))
    starts = np.cumsum([0, *numbers_of(pc.list_value_length(own["columns"])).tolist()])
    return sparse.csr_array((values.astype(np.float64), columns, starts), shape=(own.num_rows, count))
