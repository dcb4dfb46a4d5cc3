"""Which column is the user, the item, the rating and the time, and whether the first row is a header.

Covers: names, positions, and tables with neither; what is refused, and what is asked for then.
Does not cover: how values are written (test_field_values.py), whole ingests (test_real_files.py).
"""

from __future__ import annotations

import pytest

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.columns import ColumnPlaces, ColumnRequest, Columns, place_columns, place_fields

NOTHING: Columns = (None, None, None, None)


def placed(
    text: str, columns: Columns = NOTHING, ratings: bool = True, integer_users: bool = False, events: bool = False
) -> ColumnPlaces:
    rows = [line.split(",") for line in text.split()]
    return place_fields(rows, ColumnRequest(columns, ratings, integer_users, events), "r.csv")


def positions(found: ColumnPlaces) -> tuple[int, int, int, int]:
    return found.user, found.item, found.rating, found.timestamp


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("user_id:token,item_id:token,rating:float,timestamp:float", (0, 1, 2, 3)),
        ("User-ID,ISBN,Book-Rating", (0, 1, 2, -1)),
        ("review_score,artist_id,user_id", (2, 1, 0, -1)),
        (",userId,movieId,rating", (1, 2, 3, -1)),
    ],
)
def test_names_that_data_sets_use(header: str, expected: tuple[int, int, int, int]) -> None:
    found = placed(f"{header}\n" + ",".join("1234"[: header.count(",") + 1]) + "\n")
    assert positions(found) == expected
    assert found.header == tuple(header.split(","))


def test_a_name_matches_with_and_without_its_type() -> None:
    assert place_columns(["u:token", "i:token", "r:float"], ("u", "i:token", "r", None), True, "x") == (0, 1, 2, -1)


def test_a_first_row_whose_rating_is_no_number_is_a_header() -> None:
    rows = [["1a", "2b", "how good"], ["1", "2", "3"], ["4", "5", "4"]]
    with pytest.raises(BadInput, match=r"r\.csv:1: no column for the user among 1a, 2b, how good"):
        place_fields(rows, ColumnRequest(NOTHING, True), "r.csv")


@pytest.mark.parametrize("missing", ["", "NaN", "?", "\\N", "null"])
def test_a_rating_that_is_missing_makes_no_header(missing: str) -> None:
    found = placed(f"1,2,{missing}\n4,5,3\n7,8,4\n")
    assert (found.header, positions(found)) == ((), (0, 1, 2, -1))


def test_positions_mean_that_no_row_of_pairs_is_eaten() -> None:
    assert placed("anna,film\nbert,book\n", (0, 1, None, None), ratings=False).header == ()
    assert placed("anna,film\nbert,book\n", ratings=False).header == ()
    assert placed("user,item\nbert,book\n", (0, 1, None, None), ratings=False).header == ("user", "item")


def test_words_above_numbers_are_a_header_of_pairs() -> None:
    for integer_users in (False, True):
        with pytest.raises(BadInput, match="no column for the user among who, what"):
            placed("who,what\n1,2\n3,4\n", ratings=False, integer_users=integer_users)


def test_positions_of_ratings_with_a_header_leave_the_header_out() -> None:
    found = placed("who,what,stars\na,b,3\nc,d,4\n", (1, 0, 2, None))
    assert (len(found.header), positions(found)) == (3, (1, 0, 2, -1))


def test_a_column_that_was_given_is_not_guessed_again() -> None:
    with pytest.raises(BadInput, match=r"no column of ratings among columns 0 \(item\): 1, 4; 1: 2, 5; 2 \(user\)"):
        placed("1,2,3\n4,5,6\n", (2, 0, None, None))


def test_a_position_outside_the_table_is_named() -> None:
    with pytest.raises(BadInput, match="there is no column 7 for the rating: there are 3, from 0 on"):
        placed("1,2,3\n4,5,6\n", (0, 1, 7, None))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["{n},{i},1500000{n:03}"], "no ratings"),
        (["{n},{i},1500000{n:03},4"], (0, 1, 3, 2)),
        (["{n},{i},4,1500000{n:03}"], (0, 1, 2, 3)),
        (["{n},{i},4,2018-01-02"], (0, 1, 2, 3)),
        (["{n},{i},4,20180102"], (0, 1, 2, 3)),
        (["{n},{i},20180102"], "no ratings"),
        (["{n},{i},4,0.5"], (1, 2, 3, -1)),
        (["7{i},{i},4,0.5"], (0, 1, 2, -1)),
        (["{n},{i},3,4,1500000{n:03}"], (1, 2, 3, 4)),
        (["{n},{i}"], "no ratings"),
    ],
)
def test_columns_without_header_are_told_by_their_values(
    rows: list[str], expected: tuple[int, int, int, int] | str
) -> None:
    text = "\n".join(rows[0].format(n=n, i=n * 7 % 19) for n in range(40))
    if expected == "no ratings":
        with pytest.raises(
            BadInput, match=r"ingest\.columns\.rating, or a column of counts, such as plays, in ingest\.counts"
        ):
            placed(text)
    else:
        assert positions(placed(text)) == expected


def test_an_index_is_said_to_be_one() -> None:
    found = placed("\n".join(f"{n},{n % 6},{n % 5},{n % 4}" for n in range(30)))
    assert found.doubt == "column 0 counts the rows, so it is taken for an index"


def test_times_may_be_left_out() -> None:
    assert placed("user,item,rating,date\n1,2,3,x\n", (None, None, None, "none")).timestamp == -1
    assert placed("1,2,3,1500000000\n4,5,3,1500000000\n", (None, None, None, "none")).timestamp == -1
    assert placed("1,2,3,1500000000\n4,5,3,1500000000\n", (0, 1, 2, "none")).timestamp == -1


def test_what_was_found_is_named_where_ratings_are_missing() -> None:
    with pytest.raises(BadInput, match="where user_id is the user and item_id the item; name it in ingest"):
        placed("user_id,item_id,timestamp\n1,2,3\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user_id,item_id\n1,2\n3,4\n", (0, 1, -1, -1)),
        ("item_id,user_id,timestamp\n1,2,1500000000\n", (1, 0, -1, 2)),
        ("1,2\n3,4\n", (0, 1, -1, -1)),
        ("1,2,1500000000\n3,4,1500000001\n", (0, 1, -1, 2)),
        ("anna,film\nbert,book\n", (0, 1, -1, -1)),
        ("user,item,rating\n1,2,3\n", (0, 1, 2, -1)),
    ],
)
def test_rows_without_ratings_are_likes_where_nothing_else_is_in_them(text: str, expected: tuple[int, ...]) -> None:
    found = placed(text, events=True)
    assert positions(found) == expected
    assert bool(found.header) == ("item" in text)


@pytest.mark.parametrize("text", ["user,item,mood\n1,2,3\n", "user,item,mood\n1,2,good\n", "1,2,good\n3,4,bad\n"])
def test_a_column_that_could_be_the_rating_is_asked_about(text: str) -> None:
    with pytest.raises(BadInput, match=r'if every row is a like or a click, set ingest\.columns\.rating = "none"'):
        placed(text, events=True)
    assert placed(text, (None, None, "none", None), events=True).rating == -1
