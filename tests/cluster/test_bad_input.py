"""Every kind of bad row is named with file, line, value and remedy, and leaves nothing half-written.

Covers: rows that cannot be used, through the whole ingest stage.
Does not cover: faults of whole files (test_bad_files.py), setting rows aside (test_ingest.py), validation files.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from ingesting import refusal
from raw_forms import made_rows, write_mv_folder, write_tar

from funkflow.pipeline.cluster.context import Context

ROWS = made_rows(200)
DAT = "1::7::5::10\n2::7::4::20\n"
NETFLIX = "7:\n1,3,2000-01-01\n2,4,2000-01-02\n"


ROW_FAULTS = {
    "malformed line": ("ratings.dat", DAT + "3::7::5\n", ":3: 3 columns where 4 are expected: '3::7::5'"),
    "malformed Netflix line": (
        "combined_data_1.txt",
        NETFLIX + "3;4;2000-01-01\n",
        ":4: malformed row: '3;4;2000-01-01'",
    ),
    "rating outside the format's scale": (
        "ratings.dat",
        DAT + "3::7::6::30\n",
        ":3: rating 6 is outside the scale 1 to 5: ",
    ),
    "rating that is NaN": (
        "r.csv",
        "user,item,rating\n1,2,3\n1,3,NaN\n",
        ":3: rating NaN is not a finite number: '1,3,NaN'",
    ),
    "rating that is infinite": (
        "r.csv",
        "user,item,rating\n1,2,3\n1,3,-inf\n",
        ":3: rating -inf is not a finite number",
    ),
    "rating that is no number": ("ratings.dat", DAT + "3::7::five::30\n", ":3: rating 'five' is not a number"),
    "rating that is complex": ("r.csv", "user,item,rating\n1,2,3\n1,3,1+2j\n", ":3: rating '1+2j' is not a number"),
    "no rating": ("r.csv", "user,item,rating\n1,2,3\n1,3,\n", ":3: rating '' is not a number"),
    "missing movie header": (
        "combined_data_1.txt",
        "1,3,2000-01-01\n" + NETFLIX,
        ":1: no movie header above this row: '1,3,2000-01-01'",
    ),
    "malformed movie header": ("combined_data_1.txt", NETFLIX + "8x:\n1,3,2000-01-01\n", ":4: malformed movie header"),
    "movie header without colon": ("combined_data_1.txt", NETFLIX + "8\n1,3,2000-01-01\n", ":4: malformed row: '8'"),
    "id that does not parse": ("ratings.dat", DAT + "3::seven::5::30\n", ":3: item 'seven' is not an integer: "),
    "id of more than 64 bits": (
        "ratings.dat",
        DAT + "9223372036854775808::7::5::30\n",
        ":3: user '9223372036854775808' is not an integer",
    ),
    "id in hexadecimal": ("ratings.dat", DAT + "0x1F::7::5::30\n", ":3: user '0x1F' is not an integer"),
    "empty id": ("r.csv", "user,item,rating\nann,x,3\n,y,4\n", ":3: the user is empty: ',y,4'"),
    "time that does not parse": (
        "combined_data_1.txt",
        NETFLIX + "3,4,2000-02-30\n",
        ":4: timestamp '2000-02-30' is neither an ISO date",
    ),
    "time in milliseconds": (
        "ratings.dat",
        DAT + "3::7::5::978300760000\n",
        ":3: timestamp 978300760000 is not in the years 1 to 9999",
    ),
    "quote left open": ("r.csv", 'user,item,rating\nann,x,3\nbob,"y,4\n', ":3: a quote that is opened and not closed"),
    "last line cut short": (
        "ratings.dat",
        DAT + "3::7::5",
        ":3: 3 columns where 4 are expected (no line end: the file seems cut short)",
    ),
}


@pytest.mark.parametrize("fault", ROW_FAULTS)
def test_a_bad_row_is_named(fault: str, context: Context, tmp_path: Path) -> None:
    name, text, expected = ROW_FAULTS[fault]
    path = tmp_path / name
    path.write_text(text)
    said = refusal(context, path)
    assert said.startswith(f"{path}{expected}")
    assert "; " in said


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        ("malformed line", 'set ingest.on_bad_rows = "quarantine"'),
        ("rating outside the format's scale", "set ingest.scale"),
        ("id that does not parse", 'set ingest.id_type = "string"'),
        ("missing movie header", "restore the line"),
    ],
)
def test_a_bad_row_comes_with_its_remedy(fault: str, remedy: str, context: Context, tmp_path: Path) -> None:
    name, text, _ = ROW_FAULTS[fault]
    (tmp_path / name).write_text(text)
    assert remedy in refusal(context, tmp_path / name)


def test_a_rating_outside_the_declared_scale(context: Context, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("user,item,rating\n1,2,9\n1,3,11\n")
    assert "r.csv:3: rating 11 is outside the scale 0 to 10" in refusal(context, tmp_path / "r.csv", scale=[0, 10])


def test_the_first_bad_row_of_many_is_named_whatever_task_ends_first(context: Context, tmp_path: Path) -> None:
    lines = [f"{number}::7::5::10" for number in range(3000)]
    for number in (500, 501, 2900):
        lines[number] = "x" + lines[number]
    (tmp_path / "ratings.dat").write_text("\n".join(lines) + "\n")
    assert {refusal(context, tmp_path / "ratings.dat") for _ in range(3)} == {
        f"{tmp_path / 'ratings.dat'}:501: user 'x500' is not an integer: 'x500::7::5::10'; "
        'set ingest.id_type = "string" if ids are not numbers, '
        'or set ingest.on_bad_rows = "quarantine" to quarantine such rows'
    }


def test_the_right_file_of_a_folder_is_named(context: Context, tmp_path: Path) -> None:
    folder = write_mv_folder(tmp_path / "nf", ROWS)
    bad = folder / "training_set" / "mv_0000009.txt"
    bad.write_text(bad.read_text() + "1,0,2000-01-01\n")
    line = bad.read_text().count("\n")
    assert refusal(context, folder).startswith(f"{bad}:{line}: rating 0 is outside the scale 1 to 5")


def test_a_movie_file_without_header_does_not_take_that_of_the_file_before(context: Context, tmp_path: Path) -> None:
    folder = write_mv_folder(tmp_path / "nf", ROWS)
    bad = folder / "training_set" / "mv_0000009.txt"
    bad.write_text(bad.read_text().split("\n", 1)[1])
    assert refusal(context, folder, chunk_bytes=10**6).startswith(f"{bad}:1: no movie header above this row")


def test_a_bad_member_of_an_archive_is_named(context: Context, tmp_path: Path) -> None:
    rows = [(*row[:2], 6 if row[1] == 9 else row[2], row[3]) for row in ROWS]
    for mode, name in (("w", "t.tar"), ("w:gz", "t.tar.gz")):
        path = write_tar(tmp_path / name, rows, mode)
        assert refusal(context, path).startswith(f"{path}/training_set/mv_0000009.txt:2: rating 6 is outside")
