"""Ratings in memory as one form of table: columns user, item, and where there are any rating and timestamp.

Covers: tables with other names of columns, ratings from another array, two tables as one, and the ratings as numbers.
Does not cover: tables of any library as Arrow (sources/tables.py), or rows that are wrong, which ingest refuses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.columns import ROLES, Columns, place_columns
from funkflow.tasks.parsing.sources.tables import as_arrow, is_dask


def is_table(data: object) -> bool:
    """Return whether `data` has named columns, and is no matrix."""
    return any(hasattr(data, name) for name in ("__arrow_c_stream__", "collect", "to_delayed"))


def canonical_table(data: Any, columns: Columns, ratings: Any = None, are_needed: bool = True) -> pa.Table:
    """Return a table with its columns under the names of `ROLES`; leave out those that have another role.

    Parameters
    ----------
    columns : names or positions of user, item, rating and timestamp; None: by the usual names.
    ratings : array-like (n,), in place of the table's own.
    are_needed : whether a table of more than pairs has to have ratings.

    Raises
    ------
    BadInput
        A column is missing, or there is not one rating for each row.
    """
    if is_dask(data):
        raise BadInput("X is a DataFrame of Dask, and an estimator holds its ratings in memory: give X.compute()")
    table = as_arrow(data, "X")
    if ratings is not None:
        given = np.asarray(ratings, np.float64)
        if given.shape != (table.num_rows,):
            raise BadInput(f"y has shape {given.shape}, and X {table.num_rows:,} rows; give one rating for each row")
        columns = (columns[0], columns[1], None, columns[3])
    needed = are_needed and ratings is None
    places = place_columns(table.column_names, columns, needed, "X", events=True)
    found = {role: table.column(place) for role, place in zip(ROLES, places, strict=True) if place >= 0}
    if ratings is not None:
        found["rating"] = pa.array(given)
    return pa.table(found)


def with_text_ids(table: pa.Table) -> pa.Table:
    """Return a table with its ids as texts."""
    columns = {name: table[name].cast(pa.string()) if name in ROLES[:2] else table[name] for name in table.column_names}
    return pa.table(columns)


def joined(earlier: pa.Table, later: pa.Table) -> pa.Table:
    """Return the rows of two tables, without columns that one of them lacks, in the types of the earlier one.

    Raises
    ------
    BadInput
        An id or a rating has no value of that type.
    """
    names = [name for name in later.column_names if name in earlier.column_names]
    kept = earlier.select(names)
    try:
        return pa.concat_tables([kept, later.select(names).cast(kept.schema)])
    except pa.ArrowInvalid as cause:
        kinds = ", ".join(f"{each.name} {each.type}" for each in kept.schema)
        raise BadInput(f"X has values of other types than fit had, {kinds} ({cause}); convert them") from cause


def ratings_of(table: pa.Table) -> npt.NDArray[np.float64]:
    """Return the ratings of a table, float64 (n,): ones if it has only pairs; raise BadInput if one is not finite."""
    if "rating" not in table.column_names:
        return np.ones(table.num_rows)
    values = pc.cast(table["rating"], pa.float64()).to_numpy()
    if not np.isfinite(values).all():
        raise BadInput(f"X row {int(np.argmin(np.isfinite(values))) + 1:,}: the rating is no finite number")
    return np.asarray(values)
