"""What is recognised from a file's name and its first bytes.

Covers: Netflix, MovieLens and general forms, headers, columns, kinds of id, times and scales.
Does not cover: files that are not recognised (test_bad_input.py), or reading rows (test_parse.py).
"""

from __future__ import annotations

import pytest

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import Form, Wanted, recognise_text


def recognised(text: str, name: str = "ratings.txt", **wanted: object) -> Form:
    return recognise_text(text.encode(), f"/some/where/{name}", Wanted(**wanted))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text", "described", "scale"),
    [
        (
            "mv_0000001.txt",
            "1:\n5,3,2005-09-06\n",
            "Netflix Prize text (movie header lines, then user,rating,date)",
            (1.0, 5.0),
        ),
        (
            "some.txt",
            "1:\n5,3,2005-09-06\n",
            "Netflix Prize text (movie header lines, then user,rating,date)",
            (1.0, 5.0),
        ),
        ("ratings.dat", "1::2::3::978300760\n", "MovieLens ratings.dat", (1.0, 5.0)),
        ("ratings.dat", "1::2::3.5::978300760\n", "MovieLens ratings.dat", (0.5, 5.0)),
        ("u.data", "1\t2\t3\t978300760\n", "MovieLens u.data", (1.0, 5.0)),
        ("u3.test", "1\t2\t3\t978300760\n", "MovieLens u3.test", (1.0, 5.0)),
        ("ratings.csv", "userId,movieId,rating,timestamp\n1,2,0.5,3\n", "MovieLens ratings.csv", (0.5, 5.0)),
        ("x.csv", "user,item,rating\n1,2,3\n", "CSV (columns user, item, rating)", None),
        ("x.tsv", "1\t2\t3\n", "TSV (no header)", None),
        ("x.csv", "user;item;rating\n1;2;3\n", "text separated by ';' (columns user, item, rating)", None),
    ],
)
def test_forms_are_told_by_name_and_content(
    name: str, text: str, described: str, scale: tuple[float, float] | None
) -> None:
    form = recognised(text, name)
    assert (form.described, form.scale) == (described, scale)


@pytest.mark.parametrize(
    "header",
    [
        "user,item,rating,timestamp",
        "userId,movieId,rating,time",
        "Customer ID,Film,Stars,Date",
        "user_id,product_id,score,unixReviewTime",
    ],
)
def test_usual_names_of_columns(header: str) -> None:
    form = recognised(f"{header}\n1,2,3,4\n")
    assert (form.user, form.item, form.rating, form.timestamp) == (0, 1, 2, 3)
    assert form.header == tuple(header.split(","))


def test_columns_stand_in_any_order_among_others() -> None:
    form = recognised("id,date,stars,title,movie,user\n1,2005-01-01,3,x,4,5\n")
    assert (form.user, form.item, form.rating, form.timestamp, form.width, form.clock) == (5, 4, 2, 1, 6, "iso")


def test_named_columns_win_over_usual_names() -> None:
    form = recognised("user,item,rating,mean\n1,2,3,4\n", columns=(None, None, "mean", None))
    assert form.rating == 3


@pytest.mark.parametrize(
    ("rows", "user_type", "item_type"),
    [
        ("1,2,3\n4,5,6\n", "integer", "integer"),
        ("a,2,3\nb,5,6\n", "string", "integer"),
        ("1,2,3\n4,x5,6\n", "integer", "string"),
    ],
)
def test_kinds_of_id(rows: str, user_type: str, item_type: str) -> None:
    form = recognised("user,item,rating\n" + rows)
    assert (form.user_type, form.item_type) == (user_type, item_type)


def test_the_kind_of_id_may_be_told() -> None:
    form = recognised("user,item,rating\n1,2,3\n", user_type="string", item_type="string")
    assert (form.user_type, form.item_type) == ("string", "string")


def test_known_forms_have_integers_even_where_a_first_line_is_bad() -> None:
    assert recognised("1::x::3::4\n1::2::3::4\n", "ratings.dat").item_type == "integer"


def test_a_bad_first_row_is_no_header() -> None:
    form = recognised("1::2::five::4\n1::2::3::4\n", "ratings.dat")
    assert (form.header, form.width) == ((), 4)


@pytest.mark.parametrize(
    ("field", "clock"), [("978300760", "seconds"), ("2005-01-01", "iso"), ("2005-01-01 10:00", "iso")]
)
def test_clocks(field: str, clock: str) -> None:
    assert recognised(f"user,item,rating,time\n1,2,3,{field}\n").clock == clock


@pytest.mark.parametrize(
    ("text", "width", "rating", "timestamp"),
    [
        ("1:\n5\n", 1, -1, -1),
        ("1:\n5,2005-01-01\n", 2, -1, 1),
        ("1:\n5,3\n", 2, 1, -1),
        ("1:\n5,3,2005-01-01\n", 3, 1, 2),
    ],
)
def test_netflix_rows_of_every_width(text: str, width: int, rating: int, timestamp: int) -> None:
    form = recognised(text, ratings=False)
    assert (form.width, form.rating, form.timestamp) == (width, rating, timestamp)


def test_pairs_need_no_rating() -> None:
    form = recognised("movieId,userId\n1,2\n", ratings=False)
    assert (form.user, form.item, form.rating) == (1, 0, -1)


def test_a_format_may_be_insisted_on() -> None:
    assert recognised("1\t2,3,4\n", format="csv", user_type="string").delimiter == ","
    with pytest.raises(BadInput, match="not a MovieLens file"):
        recognised("user,item,rating\n1,2,3\n", format="movielens")


def test_what_cannot_be_told_is_refused_with_the_first_row() -> None:
    with pytest.raises(
        BadInput,
        match=r"ratings\.txt:1: no column of ratings among columns 0 \(user\): 1, 2; 1 \(item\): x, z; 2: y, w",
    ):
        recognised("1,x,y\n2,z,w\n")
