"""Find a table's columns of users, items, ratings and times, and its header.

Covers: columns by name, by the position the user gives, or else by their values.
Does not cover: the notation of values (field_values.py), delimiters (delimiters.py), or messages about columns
(column_messages.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.column_messages import missing_column, no_ratings
from funkflow.tasks.parsing.format.field_values import count_up, is_number, looks_like_times, mostly_numbers

Column = str | int | None
Columns = tuple[Column, Column, Column, Column]
"""The user's names or positions for user, item, rating and timestamp; None: funkflow finds the column."""

ROLES = ("user", "item", "rating", "timestamp")
NO_COLUMN = "none"
"""As the name of a column of times or of ratings: there is none, whatever the file seems to have."""

_USUAL_NAMES = {
    "user": (
        "user", "userid", "users", "username", "customer", "customerid", "uid", "reviewer", "reviewerid", "profileid",
        "member", "memberid", "visitorid",
    ),
    "item": (
        "item", "itemid", "movie", "movieid", "film", "filmid", "product", "productid", "book", "bookid", "track",
        "trackid", "song", "songid", "artist", "artistid", "business", "businessid", "iid", "asin", "isbn",
    ),
    "rating": ("rating", "ratings", "score", "stars", "value", "overall", "bookrating", "userrating", "reviewscore"),
    "timestamp": ("timestamp", "time", "date", "datetime", "unixtime", "unixreviewtime", "ratedat", "createdat"),
}  # fmt: skip
_ALL_USUAL = {each for names in _USUAL_NAMES.values() for each in names}
_MISSING_RATING = re.compile(r"[+-]?(nan|inf|infinity|null|none|na|n/a|\\n|-|\?)?", re.IGNORECASE)
_TYPE_SUFFIX = re.compile(r":[a-z_]+$")


@dataclass(frozen=True)
class ColumnPlaces:
    """Positions of the columns, from 0; -1 for a missing column. `header`: the first row, if it is one.

    `doubt` : a guess that may be wrong, in a few words; `unnamed` : the number of columns on the left without a name.
    """

    header: tuple[str, ...]
    user: int
    item: int
    rating: int
    timestamp: int
    doubt: str = ""
    unnamed: int = 0

    def after_row_names(self) -> ColumnPlaces:
        """Return the same columns for rows with one more column on the left, which the header does not name."""
        moved = {role: place + (place >= 0) for role in ROLES for place in [getattr(self, role)]}
        return replace(self, **moved, unnamed=1, doubt="the first column has no name, so it is taken for an index")

    def called(self, place: int) -> str:
        """Return the name of a column, or its position if there is no header."""
        return self.header[place - self.unnamed].strip() if self.header else str(place)


@dataclass(frozen=True)
class ColumnRequest:
    """The user's settings for columns.

    `ratings` False allows bare pairs; `events` allows them where no column is left that could hold ratings;
    `integer_users`: users are integers.
    """

    columns: Columns
    ratings: bool
    integer_users: bool = False
    events: bool = False

    @property
    def named(self) -> bool:
        return any(isinstance(column, str) and column != NO_COLUMN for column in self.columns)

    @property
    def positioned(self) -> bool:
        return any(isinstance(column, int) for column in self.columns)


def place_columns(
    names: Sequence[str], columns: Columns, ratings: bool, name: str, events: bool = False
) -> tuple[int, int, int, int]:
    """Return the positions of user, item, rating and timestamp among named columns; -1 for none.

    `ratings`, `events` : as for `ColumnRequest`.

    Raises
    ------
    BadInput
        A necessary column is missing; the message lists the columns.
    """
    plain = [_letters_only(each) for each in names]
    without_types = [_TYPE_SUFFIX.sub("", each) for each in names]
    places = []
    for role, column in zip(ROLES, columns, strict=True):
        if column == NO_COLUMN and role in ("rating", "timestamp"):
            places.append(-1)
            continue
        if isinstance(column, int):
            place = column if 0 <= column < len(names) else -1
        elif column is not None:
            found = names if column in names else without_types
            place = list(found).index(column) if column in found else -1
        else:
            place = _usual_place(plain, role)
        is_needed = role in ("user", "item") or (role == "rating" and ratings and not events)
        if place < 0 and (column is not None or is_needed):
            raise BadInput(missing_column(names, places, role, column, name))
        places.append(place)
    if ratings and places[2] < 0 and columns[2] != NO_COLUMN and len(names) > 2 + (places[3] >= 0):
        raise BadInput(missing_column(names, places, "rating", None, name))
    return places[0], places[1], places[2], places[3]


def place_fields(
    rows: Sequence[Sequence[str]], request: ColumnRequest, name: str, no_header: bool = False
) -> ColumnPlaces:
    """Return the positions of the columns in rows of text.

    Parameters
    ----------
    rows : the fields of sample lines, the first line first.
    no_header : the format never has a header.

    Raises
    ------
    BadInput
        The columns are unclear, or there are no ratings.
    """
    first, rest = rows[0], rows[1:]
    width = len(first)
    if request.named:
        return ColumnPlaces(tuple(first), *_place_by_name(first, request, name))
    has_header = not no_header and _has_header(first, [row for row in rest if len(row) == width], request)
    header = tuple(first) if has_header else ()
    sample = [row for row in (rest if has_header else rows) if len(row) == width]
    if request.positioned:
        return ColumnPlaces(header, *_place_by_position(rows, has_header, request, name))
    if has_header:
        return ColumnPlaces(header, *_place_by_name(first, request, name))
    return _place_by_values(sample or [first], request, name, no_header)


def _place_by_name(first: Sequence[str], request: ColumnRequest, name: str) -> tuple[int, int, int, int]:
    names = [field.strip() for field in first]
    return place_columns(names, request.columns, request.ratings, name, events=request.events)


def seems_usable(rows: Sequence[Sequence[str]], ratings: bool) -> bool:
    """Return whether rows, split in some way, have usual names at the top, or a rating."""
    if _count_usual_names(rows[0]) >= 2:
        return True
    least = 3 if ratings else 2
    return len(rows[0]) >= least and (not ratings or mostly_numbers([row[2] for row in rows[1:] or rows]))


def _has_header(first: Sequence[str], rest: Sequence[Sequence[str]], request: ColumnRequest) -> bool:
    rating = request.columns[2] if isinstance(request.columns[2], int) else 2
    if request.ratings and rating < len(first) and not _MISSING_RATING.fullmatch(first[rating].strip()):
        below = [row[rating] for row in rest]
        if not mostly_numbers([first[rating]]) and below and mostly_numbers(below):
            return True
    if request.positioned:
        return all(
            isinstance(column, int) and column < len(first) and _letters_only(first[column]) in _USUAL_NAMES[role]
            for role, column in zip(ROLES[:2], request.columns[:2], strict=True)
        )
    if _count_usual_names(first) >= 2:
        return True
    if len(first) < 2 or not all(re.fullmatch(r"[^\W\d][\w .:-]*", field.strip()) for field in first):
        return False
    # Words above numbers are a header of unusual names; words above words are the first row of a table without one.
    columns = list(zip(*rest, strict=True)) if rest else []
    is_table = any(map(mostly_numbers, columns)) or (request.ratings and not request.events)
    return request.integer_users or is_table


def _place_by_position(
    rows: Sequence[Sequence[str]], has_header: bool, request: ColumnRequest, name: str
) -> tuple[int, int, int, int]:
    """Take columns at the user's positions, and the others by name or at their usual positions."""
    width, sample = len(rows[0]), [row for row in rows[has_header:] if len(row) == len(rows[0])]
    taken = {column for column in request.columns if isinstance(column, int)}
    plain = [_letters_only(each) for each in rows[0]] if has_header else []
    places = []
    for position, (role, column) in enumerate(zip(ROLES, request.columns, strict=True)):
        if isinstance(column, int):
            place = column if 0 <= column < width else -1
            if place < 0 and (request.ratings or role in ROLES[:2]):
                raise BadInput(f"{name}:1: there is no column {column} for the {role}: there are {width}, from 0 on")
        elif has_header:
            place = _usual_place(plain, role)
        else:
            place = position if position < width and position not in taken else -1
        places.append(place)
    user, item, rating, timestamp = places
    if request.columns[2] == NO_COLUMN:
        rating = -1
    if min(user, item) < 0 or (request.ratings and rating < 0 and not _are_events(request, width, timestamp)):
        raise BadInput(no_ratings(sample or [rows[0]], user, item, timestamp, name))
    guessed = timestamp >= 0 and not isinstance(request.columns[3], int) and not has_header
    if request.columns[3] == NO_COLUMN or (guessed and not looks_like_times([row[timestamp] for row in sample])):
        timestamp = -1
    return user, item, rating, timestamp


def _place_by_values(
    sample: Sequence[Sequence[str]], request: ColumnRequest, name: str, is_known: bool
) -> ColumnPlaces:
    """Find columns without header by their values: user, item, rating, time, unless values contradict this order."""
    columns = list(zip(*sample, strict=True))
    width = len(columns)
    begin, doubt = 0, ""
    if not is_known and width >= 4 and count_up(columns[0]) and _rating_follows(columns):
        begin, doubt = 1, "column 0 counts the rows, so it is taken for an index"
    user, item, rating, timestamp = (place if place < width else -1 for place in range(begin, begin + 4))
    if not is_known:
        if rating >= 0 and looks_like_times(columns[rating]):
            rating, timestamp = timestamp, rating
            if rating >= 0 and looks_like_times(columns[rating]):
                rating = -1
        elif timestamp >= 0 and not looks_like_times(columns[timestamp]):
            timestamp, doubt = -1, doubt or f"column {timestamp} has no times and is left out"
    if request.columns[3] == NO_COLUMN:
        timestamp = -1
    no_number = rating >= 0 and not (any(map(is_number, columns[rating])) or mostly_numbers(columns[rating]))
    if no_number or request.columns[2] == NO_COLUMN:
        rating = -1
    if item < 0 or (request.ratings and rating < 0 and not _are_events(request, width - begin, timestamp)):
        raise BadInput(no_ratings(sample, user, item, timestamp, name))
    return ColumnPlaces((), user, item, rating, timestamp, doubt=doubt)


def _are_events(request: ColumnRequest, width: int, timestamp: int) -> bool:
    """Return whether rows without a rating are likes or clicks: the user says so, or nothing else is in them."""
    return request.columns[2] == NO_COLUMN or (request.events and width == 2 + (timestamp >= 0))


def _rating_follows(columns: Sequence[Sequence[str]]) -> bool:
    """Return whether user, item and a rating follow the first column, an index."""
    if not mostly_numbers(columns[3]) or any(map(looks_like_times, columns[2:4])):
        return False
    return len(columns) == 4 or looks_like_times(columns[4])


def _usual_place(plain: Sequence[str], role: str) -> int:
    """Return the place of a role's usual name; for user and item also that of the only other name ending with "id"."""
    found = next((plain.index(usual) for usual in _USUAL_NAMES[role] if usual in plain), -1)
    if found >= 0 or role not in ROLES[:2]:
        return found
    others = [
        place for place, name in enumerate(plain) if len(name) > 2 and name.endswith("id") and name not in _ALL_USUAL
    ]
    return others[0] if len(others) == 1 else -1


def _count_usual_names(fields: Sequence[str]) -> int:
    return sum(_letters_only(field) in _ALL_USUAL for field in fields)


def _letters_only(field: str) -> str:
    return re.sub(r"[^a-z]", "", _TYPE_SUFFIX.sub("", field.strip().lower()))
