"""Pick the files of ratings in a folder or archive by name, and name their companions.

Covers: the layouts of the Netflix Prize and MovieLens, folders of tables, names of companions such as movies.csv, and
folders of ratings that were given in memory.
Does not cover: listing (sources.py), or the content of files (tasks/parsing/format/formats.py).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.sources.codecs import PACKED, TARS, plain_name
from funkflow.tasks.parsing.sources.other_kinds import named_kind

_LAYOUTS = tuple(
    re.compile(pattern)
    for pattern in (
        r"mv_\d+\.txt" + PACKED,
        "training_set" + TARS,
        r"combined_data_\d+\.txt" + PACKED,
        r"ratings\.dat" + PACKED,
        r"u\.data" + PACKED,
        r"ratings\.csv" + PACKED,
        r"[^_].*\.(parquet|pq)",
    )
)
INPUTS = "inputs"
"""The folder under a root of ratings that were given in memory, each table in a folder of its id."""
_GIVEN = re.compile(rf"(?:^|/){INPUTS}/([0-9a-f]{{16}})/?$")
_NO_RATINGS = r"(?!readme|license|probe\.|qualifying\.|judging\.|movie_titles\.|movies\.|tags\.|links\.)"
_DATA = tuple(
    re.compile(_NO_RATINGS + rf".*\.({kinds})" + PACKED, re.IGNORECASE)
    for kinds in ("csv|tsv|txt|dat|data|jsonl|ndjson", "json")  # beside other files, .json is most often about them
)
_TITLES = (
    (re.compile(r"ratings\.dat" + PACKED), ("movies.dat",)),
    (re.compile(r"u([1-5]|[ab])?\.(data|base|test)" + PACKED), ("u.item",)),
    (re.compile(r"ratings\.csv" + PACKED), ("movies.csv",)),
    (re.compile(r"(mv_|combined_data_|training_set).*|.*" + TARS), ("movie_titles.txt", "movie_titles.csv")),
)


def given_id(path: str) -> str:
    """Return the id of ratings that were given in memory, from their folder; "" for any other path."""
    found = _GIVEN.search(path)
    return found[1] if found else ""


def titles_beside(name: str) -> tuple[str, ...]:
    """Return possible names of the file of titles beside ratings of this name, plain or packed like them."""
    names = next((names for pattern, names in _TITLES if pattern.fullmatch(name)), ())
    ending = name[len(plain_name(name)) :]
    return (*names, *(each + ending for each in names)) if ending else names


def pick_rating_files(paths: Sequence[str], where: str) -> list[str]:
    """Return the sorted paths of a folder or archive that hold ratings, by the known layouts.

    Raises
    ------
    BadInput
        There are none, or there are several kinds of files.
    """
    visible = sorted(path for path in paths if not posixpath.basename(path).startswith("."))
    for layout in _LAYOUTS:
        taken = [path for path in visible if layout.fullmatch(posixpath.basename(path))]
        if taken:
            return taken
    for data in _DATA:
        taken = [path for path in visible if data.fullmatch(posixpath.basename(path))]
        kinds = sorted({posixpath.splitext(plain_name(path))[1].lower() for path in taken})
        if len(kinds) > 1:
            raise BadInput(
                f"{where}: holds several kinds of files ({', '.join(kinds)}); "
                "name those with the ratings in ingest.ratings"
            )
        if taken:
            return taken
    raise BadInput(_no_ratings_in(visible, where))


def _no_ratings_in(paths: Sequence[str], where: str) -> str:
    other = next(((posixpath.basename(path), kind) for path in paths if (kind := named_kind(path))), None)
    if other:
        return f"{where}: holds no ratings that are read, but {other[0]}: {other[1]}"
    packed = [path for path in paths if re.fullmatch(r".*(\.zip|" + TARS + ")", path)]
    if packed:
        return f"{where}: holds no ratings but {posixpath.basename(packed[0])}; name that archive itself"
    return (
        f"{where}: holds no ratings: no mv_*.txt, combined_data_*.txt, ratings.dat, u.data, .csv, .tsv, .jsonl, "
        ".parquet; name the files themselves in ingest.ratings"
    )
