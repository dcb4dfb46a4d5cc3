"""Tables of what is known of users or items, as columns of numbers.

Covers: tasks/parsing/row_features.py: kinds of columns, forms of files, what is refused; and the rows of a dataset
(tasks/dataset/feature_rows.py).
Does not cover: what training makes of them (test_feature_draws.py, tests/cluster/test_cold_items.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from funkflow.tasks.dataset.feature_rows import ids_of, read_feature_rows, write_feature_rows
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing import row_features
from funkflow.tasks.parsing.row_features import RowFeatures, read_row_features

FILMS = """film,title,genres,year,colour
10,Alien,Horror|Sci-Fi,1979,yes
20,Heat,Crime,1995,yes
30,Brazil,Sci-Fi|Comedy,1985,yes
40,M,Crime,1931,no
50,Clue,Comedy|Crime,,
"""


def found(folder: Path, text: str, name: str = "films.csv", column: str | None = None) -> RowFeatures:
    (folder / name).write_text(text, encoding="utf-8")
    return read_row_features(str(folder / name), column, "ingest.item_features")


def test_columns_are_words_lists_of_them_and_numbers(tmp_path: Path) -> None:
    films = found(tmp_path, FILMS)
    frame = pd.DataFrame(films.matrix.todense(), index=films.raw_ids, columns=films.names)
    half = 2**-0.5
    years = np.array([1979.0, 1995.0, 1985.0, 1931.0])
    scaled = [*((years - years.mean()) / years.std()), 0.0]
    wanted = {
        "genres=Comedy": [0, 0, half, 0, half],
        "genres=Crime": [0, 1, 0, 1, half],
        "genres=Sci-Fi": [half, 0, half, 0, 0],
        "year": scaled,
        "colour=yes": [1, 1, 1, 0, 0],
    }
    pd.testing.assert_frame_equal(frame, pd.DataFrame(wanted, index=films.raw_ids, dtype="f4"), rtol=1e-6)
    assert films.described == (
        "5 columns for 5 rows: nearly all differ, left out: title; 3 words of lists: genres; numbers: year; 1 words: "
        "colour"
    )


def test_the_column_of_the_ratings_ids_is_found_by_its_name(tmp_path: Path) -> None:
    films = found(tmp_path, "year,film\n1979,10\n1995,20\n", column="film")
    assert films.raw_ids == ["10", "20"]
    assert films.names == ["year"]


def test_files_of_movielens_have_no_names(tmp_path: Path) -> None:
    films = found(tmp_path, "1::Heat (1995)::Crime\n2::M (1931)::Crime|Drama\n3::Ran (1985)::Drama\n", "movies.dat")
    assert films.names == ["genres=Crime", "genres=Drama"]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    url = tmp_path / "films.parquet"
    pd.DataFrame({"film": [1, 2, 3], "tags": [["a", "b"], ["a"], ["b"]], "long": [1.5, None, 2.5]}).to_parquet(url)
    films = read_row_features(str(url), None, "ingest.item_features")
    assert films.names == ["tags=a", "tags=b", "long"]
    np.testing.assert_allclose(films.matrix.todense()[:, 2], [-1.0, 0.0, 1.0])


def test_a_null_is_no_id(tmp_path: Path) -> None:
    url = tmp_path / "films.parquet"
    pd.DataFrame({"film": ["a", None], "year": [1979, 1995]}).to_parquet(url)
    with pytest.raises(BadInput, match="1 rows have no id in column 'film'"):
        read_row_features(str(url), None, "ingest.item_features")


def test_days_in_parquet_are_words(tmp_path: Path) -> None:
    url = tmp_path / "films.parquet"
    days = pd.to_datetime(["1979-05-25", "1979-05-25", "1995-12-15", "1995-12-15"])
    pd.DataFrame({"film": [1, 2, 3, 4], "day": days}).to_parquet(url)
    films = read_row_features(str(url), None, "ingest.item_features")
    assert films.names == ["day=1979-05-25 00:00:00", "day=1995-12-15 00:00:00"]


def test_of_many_columns_the_most_frequent_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_features, "MOST_COLUMNS", 2)
    films = found(tmp_path, FILMS)
    assert sorted(films.names) == ["genres=Crime", "year"]
    assert "3 rarer columns left out" in films.described


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("film,year\n1,1979\n1,1980\n", "id '1' is there 2 times in column 'film'"),
        ("film,year\n,1979\n2,1980\n", "1 rows have no id in column 'film'"),
        ("film\n1\n2\n", "one column alone"),
        ("film,kind\n1,a\n2,a\n", "constant, left out: kind"),
        ("film,title\n1,Heat\n2,M\n", "no column says anything that several rows share"),
        ("film,year\n1,1979,7\n", "films.csv:2: 3 fields where there are 2 columns"),
        ('film,year\n1,"19"79\n', "films.csv:2: no line of a table"),
    ],
)
def test_what_says_nothing_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as refused:
        found(tmp_path, text)
    assert "\n" not in str(refused.value)


def test_a_missing_file_names_its_setting(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.csv: no such file; check ingest\.item_features"):
        read_row_features(str(tmp_path / "nowhere.csv"), None, "ingest.item_features")


@pytest.mark.parametrize("shards", [1, 3])
def test_rows_of_a_shard_are_those_of_its_ids(tmp_path: Path, shards: int) -> None:
    films = found(tmp_path, FILMS)
    own, ids = ids_of(films, pa.int64(), "films.csv"), pa.array([40, 7, 10, 50, 20, 8, 30])
    url = str(tmp_path / "rows.parquet")
    place = url, write_feature_rows(url, films, own, ids)
    dense: Any = np.vstack([films.matrix.todense(), np.zeros(5)])[[3, 5, 0, 4, 1, 5, 2]]
    for shard in range(shards):
        np.testing.assert_array_equal(read_feature_rows(place, shards, shard).todense(), dense[shard::shards])


def test_ids_that_are_no_numbers_are_refused_beside_ratings_with_numbers(tmp_path: Path) -> None:
    films = found(tmp_path, "film,year\na,1979\nb,1980\n")
    with pytest.raises(BadInput, match=r"films\.csv: the ids of the ratings are integers, these are not"):
        ids_of(films, pa.int64(), "films.csv")
