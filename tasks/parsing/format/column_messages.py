"""Messages about columns of a table that are not found.

Covers: a role without a column, and rows without ratings. Does not cover: finding columns (columns.py).
"""

from __future__ import annotations

from collections.abc import Sequence

_ASKED = (
    "name it in ingest.columns.rating, or a column of counts, such as plays, in ingest.counts; if every row is a like "
    'or a click, set ingest.columns.rating = "none"'
)


def missing_column(names: Sequence[str], places: Sequence[int], role: str, column: str | int | None, name: str) -> str:
    """Return the message about a role without a column; `column` : what the user named; `places` : of roles before."""
    columns = ", ".join(names)
    if column is not None:
        return f"{name}:1: no column {column!r} among {columns}; name it in ingest.columns.{role}"
    if role == "rating":
        user, item = (names[place] for place in places[:2])
        return (
            f"{name}:1: no column for the rating among {columns}, where {user} is the user and {item} the item; "
            f"{_ASKED}"
        )
    return f"{name}:1: no column for the {role} among {columns}; name it in ingest.columns.{role}"


def no_ratings(sample: Sequence[Sequence[str]], user: int, item: int, timestamp: int, name: str) -> str:
    """Return the message about rows without a header in which no column can be that of the ratings."""
    if item < 0:
        return (
            f"{name}:1: cannot tell the columns user, item and rating in {tuple(sample[0])!r}; set ingest.columns "
            "(names, or positions from 0 where there is no header), ingest.delimiter or ingest.format"
        )
    roles = {user: " (user)", item: " (item)", timestamp: " (time)"}
    shown = "; ".join(
        f"{place}{roles.get(place, '')}: {', '.join(values)}"
        for place, values in enumerate(zip(*sample[:3], strict=True))
    )
    return (
        f"{name}:1: no column of ratings among columns {shown}; {_ASKED} (columns without names: by position, from 0)"
    )
