"""Which files of a folder or archive hold ratings, by their names, and what lies beside them.

Covers: the layouts of the Netflix Prize and MovieLens, folders of tables, names of companions such as movies.csv.
Does not cover: listing (sources.py), or what is in the files (tasks/parsing/format/formats.py).
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


def titles_beside(name: str) -> tuple[str, ...]:
    """Return what a file of titles may be called that lies beside ratings of this name; packed like them, too."""
    names = next((names for pattern, names in _TITLES if pattern.fullmatch(name)), ())
    ending = name[len(plain_name(name)) :]
    return (*names, *(each + ending for each in names)) if ending else names


def pick(paths: Sequence[str], where: str) -> list[str]:
    """Return those paths of a folder or archive that hold ratings, by the layouts that are known, sorted.

    Raises
    ------
    BadInput
        There is none, or nothing says which of several kinds of files to take.
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
    raise BadInput(_nothing_in(visible, where))


def _nothing_in(paths: Sequence[str], where: str) -> str:
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
