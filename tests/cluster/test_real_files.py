"""Files as people have them, through the whole ingest stage: read right, or refused in one line with a remedy.

Covers: ids that are numbers in part, headers, columns without header, delimiters, times, likes, and what is printed.
Does not cover: single fields (test_parse.py, test_columns.py, test_field_values.py), bad rows (test_bad_input.py).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Heard
from ingesting import ingest, refusal, settings, table
from skip_list import ratings_folder

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.settings.sections import SplitSettings
from funkflow.pipeline.stages.split import split
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.pairs import read_pairs


def lines(count: int = 300, form: str = "{u},{i},{r}") -> str:
    """Rows of 30 users, 19 items and five ratings."""
    return "\n".join(form.format(n=n, u=n % 30, i=n * 7 % 19, r=1 + n % 5) for n in range(count)) + "\n"


def counted(context: Context, path: Path, **more: Any) -> tuple[int, int, int]:
    manifest = ingest(context, settings(path, **more))
    return manifest.ratings, manifest.users, manifest.items


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_padded_ids_that_come_late_are_named_and_the_remedy_works(context: Context, tmp_path: Path) -> None:
    text = "user,item,rating\n" + lines(2000) + "007,3,4\n07,3,4\n7,3,4\n"
    path = written(tmp_path, "r.csv", text)
    said = refusal(context, path)
    assert said.startswith(f"{path}:2002: user '007' is not the integer 7, which may be another user: '007,3,4'; ")
    assert 'ingest.id_type = "string"' in said
    assert counted(context, path, id_type="string", chunk_bytes=1024)[1] == 32


def test_padded_ids_are_no_stray_rows(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path, "r.csv", "user,item,rating\n" + lines(2000) + "007,3,4\n")
    assert "'007'" in refusal(context, path, on_bad_rows="quarantine")


def test_padded_ids_in_a_second_file_are_named(context: Context, tmp_path: Path) -> None:
    first = written(tmp_path, "1.csv", "user,item,rating\n" + lines())
    second = written(tmp_path, "2.csv", "user,item,rating\n3,007,4\n")
    assert refusal(context, tmp_path).startswith(f"{second}:2: item '007' is not the integer 7")
    assert first.exists()


def test_padded_ids_under_the_header_of_movielens_are_text(context: Context, tmp_path: Path) -> None:
    header = "userId,movieId,rating,timestamp\n"
    path = written(tmp_path, "ratings.csv", header + "007,1,3,10\n7,1,4,10\n07,1,5,10\n")
    assert counted(context, path) == (3, 3, 1)


@pytest.mark.parametrize(
    ("name", "text", "more"),
    [
        ("konect.tsv", "% bip weighted\n% 300 30 19\n" + lines(form="{u} {i} {r}"), {}),
        ("comments.csv", "# made by hand\n\n# twice\nuser,item,rating\n" + lines(), {}),
        ("letters.csv", "#user,item,rating\n" + lines(form="#{u},%{i},{r}"), {}),
        ("anime.csv", "user_id,anime_id,rating\n" + lines(), {}),
        ("typed.inter", "user_id:token\titem_id:token\trating:float\n" + lines(form="{u}\t{i}\t{r}.0"), {}),
        ("blank.csv", "\r\n  \r\n\r\nuser,item,rating\r\n" + lines().replace("\n", "\r\n"), {}),
        ("spaced.csv", "user, item, rating\n" + lines(form="u{u}, i{i}, {r}"), {}),
        ("spaced-quoted.csv", "user, item, rating\n" + lines(form='"u{u}", "i{i}", {r}'), {}),
        ("libmf.txt", lines(form="{u} {i} {r}"), {}),
        ("aligned.txt", lines(form="  {u:>4} {i:>6}   {r}  "), {}),
        ("decimal.csv", "user;item;rating\n" + lines(form="{u};{i};{r},5"), {}),
        ("decimal-some.csv", "user;item;rating\n" + lines(form="{u};{i};{r}") + "3;4;2,5\n", {}),
        ("carets.txt", lines(form="{u}^{i}^{r}"), {"delimiter": "^"}),
        ("tabs.txt", "user\titem\trating\tnote\n" + lines(form="{u}\t{i}\t{r}\ta, b, c"), {"delimiter": "tab"}),
        ("index.csv", lines(form="{n},{u},{i},{r}"), {}),
        ("index-named.csv", ",user,item,rating\n" + lines(form="{n},{u},{i},{r}"), {}),
        ("row-names.csv", "user,item,rating\n" + lines(form="{n},{u},{i},{r}"), {}),
        ("trailing.csv", "user,item,rating\n" + lines(form="{u},{i},{r},"), {}),
        ("times-first.csv", lines(form="{u},{i},15000{n:05},{r}"), {}),
    ],
)
def test_a_form_that_people_have_is_read(
    name: str, text: str, more: dict[str, Any], context: Context, tmp_path: Path
) -> None:
    manifest = ingest(context, settings(written(tmp_path, name, text), **more))
    assert (manifest.users, manifest.items, manifest.quarantined) == (30, 19, 0)
    assert manifest.rating_maximum in (5.0, 5.5)
    assert manifest.timestamps == (name == "times-first.csv")


def test_a_decimal_comma_keeps_the_rating(context: Context, tmp_path: Path) -> None:
    manifest = ingest(context, settings(written(tmp_path, "r.csv", "a;b;3,5\nc;b;4\n")))
    assert sorted(table(context, manifest)["rating"]) == [3.5, 4.0]


@pytest.mark.parametrize("rating", ["***", "{r}0%", "{r}/5", "1.234,5"])
def test_ratings_that_are_no_numbers_are_named(rating: str, context: Context, tmp_path: Path) -> None:
    path = written(tmp_path, "r.csv", "user;item;rating\n" + lines(form="{u};{i};" + rating))
    assert "r.csv: the ratings in column rating are no numbers, such as" in refusal(context, path)


def test_mixed_decimals_are_named(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path, "r.csv", "a;b;3,5\nc;b;4.5\n")
    assert "some ratings have a decimal comma (3,5), others a point (4.5)" in refusal(context, path)


@pytest.mark.parametrize(
    "time",
    [
        "1514862245", "1514862245.9", "1514862245000", "1514862245000.5", "1514862245000000", "2018-01-02 03:04:05",
        "2018-01-02T03:04:05Z", "2018-01-02T04:04:05.25+01:00",
    ],
)  # fmt: skip
def test_times_of_every_kind_are_the_same_moment(time: str, context: Context, tmp_path: Path) -> None:
    path = written(tmp_path, "r.csv", "user,item,rating,timestamp\n" + lines(100, "{u},{i},{r}," + time))
    found = table(context, ingest(context, settings(path)))
    assert {str(each) for each in found["timestamp"]} == {"2018-01-02 03:04:05"}


def test_eight_digits_are_a_date(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path, "r.csv", "user,item,rating,date\n" + lines(100, "{u},{i},{r},20180102"))
    assert str(table(context, ingest(context, settings(path)))["timestamp"][0]) == "2018-01-02 00:00:00"


def test_times_that_cannot_be_read_are_left_out_by_the_remedy(context: Context, tmp_path: Path) -> None:
    path = written(tmp_path, "r.csv", "user,item,rating,date\n" + lines(form="{u},{i},{r},02/01/2018"))
    said = refusal(context, path)
    assert "'02/01/2018' in column date is no time that is read" in said
    assert 'set ingest.columns.timestamp = "none"' in said
    manifest = ingest(context, settings(path, columns={"timestamp": "none"}))
    assert (manifest.users, manifest.timestamps) == (30, False)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("user_id,item_id\n" + lines(form="{u},{i}"), "where user_id is the user and item_id the item"),
        ("user_id,item_id,timestamp\n" + lines(form="{u},{i},1500{n:06}"), "no column for the rating among user_id"),
        (lines(form="{u},{i},1500{n:06}"), "2 (time): 1500000000, 1500000001"),
        (lines(form="{u},{i},2018-01-02"), "2 (time): 2018-01-02"),
        (lines(form="{u},{i}"), "columns 0 (user): 0, 1, 2; 1 (item): 0, 7, 14"),
    ],
)
def test_likes_are_refused_by_what_they_are_where_ratings_are_asked_for(
    text: str, named: str, context: Context, tmp_path: Path
) -> None:
    path = written(tmp_path, "likes.csv", text)
    said = refusal(context, path, events=False)
    assert named in said
    assert "name it in ingest.columns.rating, or a column of counts, such as plays, in ingest.counts" in said
    manifest = ingest(context, settings(path))
    assert (manifest.counts, manifest.users, manifest.items) == (True, 30, 19)
    assert set(table(context, manifest)["rating"]) == {1.0}


def test_pairs_whose_first_row_is_no_header_lose_none(tmp_path: Path) -> None:
    path = written(tmp_path, "pairs.csv", "anna,filmk\nbert,filml\ncarl,filmm\n")
    for columns in ((None, None), (0, 1), ("user", "item")):
        assert read_pairs(str(path), "string", "string", columns).table.num_rows == 3
    assert read_pairs(str(path), columns=(1, 0)).table["user"].to_pylist() == ["filmk", "filml", "filmm"]


def test_padded_ids_are_named_in_pairs_deletions_and_validation_files(context: Context, tmp_path: Path) -> None:
    ratings = written(tmp_path, "r.csv", "user,item,rating\n" + lines())
    other = written(tmp_path, "other.csv", "user,item,rating\n3,2,5\n007,11,3\n")
    with pytest.raises(BadInput, match=r"other\.csv:3: user '007' is not the integer 7"):
        read_pairs(str(other), "integer", "integer")
    with pytest.raises(BadInput, match=r"other\.csv:3: user '007' is not the integer 7"):
        ingest(context, settings(ratings, deletions=[str(other)]))
    held_out = SplitSettings(kind="file", file=str(other))
    manifest = ingest(context, settings(ratings))
    with pytest.raises(BadInput, match=r"other\.csv:3: user '007' is not the integer 7"):
        split(context, manifest, held_out, settings(ratings), 0.0)


def test_a_later_night_keeps_the_kind_of_its_ids(context: Context, tmp_path: Path) -> None:
    written(tmp_path, "1.csv", "user,item,rating\n" + lines())
    chosen = settings(tmp_path / "*.csv", incremental=True)
    ingest(context, chosen)
    second = written(tmp_path, "2.csv", "user,item,rating\n1,2,5\n007,11,3\n")
    with pytest.raises(BadInput, match=re.escape(f"{second}:3: user '007' is not the integer 7")):
        ingest(context, chosen)


def test_what_was_understood_is_told_in_one_line(heard: Heard, tmp_path: Path) -> None:
    path = written(tmp_path, "r.csv", "Film;Customer ID;Stars;time\nx1;7;3,5;1514862245000\nx2;8;4;1514862245001\n")
    ingest(heard.context, settings(path))
    (said,) = [event.message for event in heard.events if isinstance(event, Noticed) and "is read as" in event.message]
    assert said == (
        f"{path} is read as text (delimiter: semicolon, quoting: double, header: yes): user in column Customer ID, "
        "integers (7, 8); item in column Film, text (x1, x2); rating in column Stars, numbers with a decimal comma "
        "(3.5, 4); time in column time, milliseconds since 1970 (2018-01-02 03:04:05, 2018-01-02 03:04:05)"
    )


@pytest.mark.parametrize("side", ["user", "item"])
def test_one_rating_each_is_warned_of(side: str, heard: Heard, tmp_path: Path) -> None:
    row = "{n},{i},{r}" if side == "user" else "{u},{n},{r}"
    ingest(heard.context, settings(written(tmp_path, "r.csv", lines(form=row))))
    warned = [event.message for event in heard.events if isinstance(event, Noticed) and event.warning]
    assert [message for message in warned if f"each of the 300 ratings is of another {side}" in message]


CASES = ratings_folder().parent / "cases"
READ: dict[str, tuple[int, int, int]] = {
    "typed-header.inter": (300, 30, 19),
    "blankfirst.csv": (300, 30, 19),
    "spaces.csv": (300, 30, 19),
    "indexnohead.csv": (300, 30, 19),
    "spaces.txt": (400, 40, 23),
    "times-ms.csv": (100, 30, 19),
    "times-float.csv": (100, 30, 19),
    "times-no-ratings.csv": (600, 50, 31),
    "times-no-ratings-no-header.tsv": (600, 50, 31),
    "text-pairs-no-header.csv": (90, 10, 9),
    "line-breaks-in-quotes.csv": (200, 20, 17),
    "literal-quotes.tsv": (300, 30, 19),
    "mac.csv": (300, 30, 19),
    "r.csv.bz2": (300, 30, 19),
    "r.csv.xz": (300, 30, 19),
    "r.csv.zst": (300, 30, 19),
    "r.jsonl": (300, 30, 19),
    "hive-by-year": (400, 40, 23),
    "hive-by-rating": (400, 40, 23),
    "binary-ids.parquet": (260, 20, 13),
}
NAMED = {
    "padded-ids-late.csv": r":3002: user '01000' is not the integer 1000.*ingest\.id_type",
    "list-item.parquet": "list",
    "binary-ids-one-null.parquet": "rating is empty",
    "bool-rating-gap.parquet": "rating is empty",
}


@pytest.mark.parametrize("name", [*READ, *NAMED])
def test_cases_that_went_wrong(name: str, context: Context) -> None:
    path = CASES / name
    if not path.exists():
        pytest.skip("the small inputs that went wrong are not there")
    if name in READ:
        assert counted(context, path) == READ[name]
    else:
        assert re.search(NAMED[name], refusal(context, path))


def test_padded_ids_of_a_case_are_all_there_as_text(context: Context) -> None:
    path = CASES / "padded-ids-late.csv"
    if not path.exists():
        pytest.skip("the small inputs that went wrong are not there")
    assert counted(context, path, id_type="string")[1:] == (70, 50)
