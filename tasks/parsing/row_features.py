"""What a table says of users or items besides their ratings: its columns as numbers, of which most are 0.

Covers: tables in CSV, TSV and Parquet with names of columns, movies.dat and u.item; numbers, categories and lists of
them; what was understood, in words.
Does not cover: the rows of a dataset (tasks/dataset/feature_rows.py), training (tasks/training/posterior/).

A column of numbers is scaled to mean 0 and deviation 1, and 0 where it has none. A column of words gets a column for
each word that several rows have: 1 where a row has it, or n^(-1/2) for each of its n words (Drama|War).
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.errors import BadInput
from funkflow.tasks.late import late
from funkflow.tasks.parsing.sources.codecs import plain_name, read_text
from funkflow.tasks.storage import files

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = late("scipy.sparse")

MOST_COLUMNS = 1000
"""Of a side. A draw of what they mean takes their number cubed once, and squared in each sweep."""
_LEAST_ROWS = 2
"""That a word must be in, to say something of other rows."""
_DELIMITERS = ",;\t|"
_HEADLESS = (
    (re.compile(r".*movies.*\.dat"), "::", ("item", "title", "genres")),
    (re.compile(r".*u\.item"), "|", ("item", "title", "date", "video date", "url", *(f"genre {n}" for n in range(19)))),
)
"""Files of MovieLens without names of columns, in Latin-1."""


@dataclass(frozen=True)
class RowFeatures:
    """What is known of some rows.

    raw_ids : as text, (n,); matrix : float32 CSR (n, p); names : of its columns; understood : what each column of the
    table was taken for, and its name.
    """

    raw_ids: list[str]
    matrix: Any
    names: list[str]
    understood: list[tuple[str, str]]

    @property
    def described(self) -> str:
        """What was understood, in one line."""
        return f"{self.matrix.shape[1]} columns for {len(self.raw_ids):,} rows: {_in_words(self.understood)}"


def read_row_features(url: str, id_column: str | int | None, setting: str) -> RowFeatures:
    """Read a table.

    Parameters
    ----------
    id_column : of the ratings; the table's column of this name has the ids, else its first one.
    setting : that names the file, for messages.

    Raises
    ------
    BadInput
        There is no such file, it is no table, an id is missing or there twice, or no column says anything.
    """
    if not files.exists(url):
        raise BadInput(f"{url}: no such file; check {setting}")
    named = [] if posixpath.splitext(url)[1] else files.names(url)  # a folder, as of a table in memory
    parts = [files.join(url, name) for name in named if name.endswith(".parquet")]
    if parts or url.lower().endswith((".parquet", ".pq")):
        names, columns = _read_parquet(parts or [url])
    else:
        names, columns = _read_text(url)
    if len(names) < 2:
        raise BadInput(f"{url}: one column alone: {setting} needs a column of ids and at least one more")
    place = names.index(id_column) if isinstance(id_column, str) and id_column in names else 0
    ids = ["" if _is_empty(value) else str(value) for value in columns[place]]
    for value, count in Counter(ids).items():
        if count > 1 or not value:
            what = f"id {value!r} is there {count} times" if value else f"{count} rows have no id"
            raise BadInput(f"{url}: {what} in column {names[place]!r}; each row needs an id of its own")
    found, understood = list[_Column](), list[tuple[str, str]]()
    for name, values in zip(names, columns, strict=True):
        if values is columns[place]:
            continue
        added, kind = _understood(name, values)
        found += added
        understood.append((kind, name))
    if not found:
        raise BadInput(f"{url}: no column says anything that several rows share ({_in_words(understood)})")
    if len(found) > MOST_COLUMNS:
        found.sort(key=lambda column: -len(column.rows))
        understood.append((f"{len(found) - MOST_COLUMNS:,} rarer columns left out", ""))
        found = found[:MOST_COLUMNS]
    starts = np.cumsum([0, *(len(column.rows) for column in found)])
    rows, numbers = (np.concatenate([getattr(column, each) for column in found]) for each in ("rows", "values"))
    by_column = sparse.csc_array((numbers, rows, starts), shape=(len(ids), len(found)), dtype=np.float32)
    return RowFeatures(ids, by_column.tocsr(), [column.name for column in found], understood)


@dataclass(frozen=True)
class _Column:
    """A column of the matrix: its rows, and a value for each, float32."""

    name: str
    rows: npt.NDArray[np.intp]
    values: npt.NDArray[np.float32]


def _in_words(understood: Sequence[tuple[str, str]]) -> str:
    """Return each kind of column with the names of its columns, the first and the last of many."""
    kinds = dict.fromkeys(kind for kind, _ in understood)
    named = {kind: [name for each, name in understood if each == kind] for kind in kinds}
    return "; ".join(
        f"{kind} {', '.join(names) if len(names) < 5 else f'{names[0]} to {names[-1]} ({len(names)})'}".rstrip()
        for kind, names in named.items()
    )


def _understood(name: str, values: Sequence[Any]) -> tuple[list[_Column], str]:
    """Return the columns of the matrix for a column of the table, and what it is."""
    filled = [(row, value) for row, value in enumerate(values) if not _is_empty(value)]
    if not filled:
        return [], "empty, left out:"
    rows = np.array([row for row, _ in filled])
    if (numbers := _as_numbers([value for _, value in filled])) is not None:
        deviation = numbers.std()
        if not deviation:
            return [], "constant, left out:"
        scaled = (numbers - numbers.mean()) / deviation
        return [_Column(name, rows, scaled.astype(np.float32))], "numbers:"
    several = any(isinstance(value, list) or "|" in str(value) for _, value in filled)
    words = [(row, _words_of(value) if several else [str(value)]) for row, value in filled]
    counts = Counter(word for _, own in words for word in own)
    if len(counts) == 1 and len(filled) == len(values):
        return [], "constant, left out:"
    shared = sorted(word for word, count in counts.items() if count >= _LEAST_ROWS)
    if not shared or (not several and 2 * len(counts) > len(filled)):  # as titles are
        return [], "nearly all differ, left out:"
    at = {word: ([], []) for word in shared}  # type: dict[str, tuple[list[int], list[float]]]
    for row, own in words:
        for word in own:
            if word in at:
                at[word][0].append(row)
                at[word][1].append(len(own) ** -0.5)
    kind = f"{len(shared):,} words{' of lists' if several else ''}:"
    return [
        _Column(f"{name}={word}", np.array(each), np.array(own, np.float32)) for word, (each, own) in at.items()
    ], kind


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value != value


def _as_numbers(values: Sequence[Any]) -> npt.NDArray[np.float64] | None:
    """Return values as finite numbers; None if any is none."""
    try:
        numbers = np.array([float(value) for value in values])
    except (TypeError, ValueError):
        return None
    return numbers if np.isfinite(numbers).all() else None


def _words_of(value: Any) -> list[str]:
    parts = map(str, value) if isinstance(value, list) else str(value).split("|")
    return list(dict.fromkeys(word for part in parts if (word := part.strip())))


def _read_parquet(urls: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    table = pa.concat_tables([files.read_table(url) for url in sorted(urls)])
    return table.column_names, [column.to_pylist() for column in table.columns]


def _read_text(url: str) -> tuple[list[str], list[list[Any]]]:
    base = plain_name(posixpath.basename(url).lower())
    for pattern, delimiter, names in _HEADLESS:
        if pattern.fullmatch(base):
            lines = (line.split(delimiter) for line in read_text(url, "latin-1").splitlines())
            return list(names), _columns(url, names, enumerate(lines, start=1))
    text = read_text(url, "utf-8")
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(_DELIMITERS, key=header.count), strict=True)
    try:
        found = [name.strip() for name in next(reader, [])]
        return found, _columns(url, found, ((reader.line_num, fields) for fields in reader))
    except csv.Error as cause:
        raise BadInput(f"{url}:{reader.line_num}: no line of a table ({cause}); mend or remove it") from cause


def _columns(url: str, names: Sequence[str], lines: Iterator[tuple[int, list[str]]]) -> list[list[Any]]:
    """Return the columns of lines of fields; lines : with their numbers."""
    columns: list[list[Any]] = [[] for _ in names]
    for number, fields in lines:
        if not fields or fields == [""]:
            continue
        if len(fields) != len(names):
            raise BadInput(
                f"{url}:{number}: {len(fields)} fields where there are {len(names)} columns; mend or remove it"
            )
        for column, value in zip(columns, fields, strict=True):
            column.append(value.strip())
    return columns
