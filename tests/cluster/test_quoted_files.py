"""Files with quotes through whole stages: every row is right, or the file is refused in one line that names the quote.

Covers: line breaks in quotes on a real cluster, quarantine, growth, deletions, validation files, pairs, estimates,
names that have quotes, quotes left open, lone carriage returns; every remedy is tried.
Does not cover: text cut anywhere and the guess (test_quoting.py).
"""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from growing import assert_equals_cold, grown
from ingesting import ingest, refusal, settings, table
from raw_forms import attempt

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.settings.sections import SplitSettings
from funkflow.pipeline.stages.split import split
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing import sample
from funkflow.tasks.parsing.format import records
from funkflow.tasks.parsing.format.formats import Wanted
from funkflow.tasks.parsing.format.records import read_records
from funkflow.tasks.parsing.pairs import read_pairs
from funkflow.tasks.parsing.prepare import recognise
from funkflow.tasks.parsing.sample import estimate_counts
from funkflow.tasks.parsing.sources.chunks import Piece, RawFile

HEADER = ["user", "item", "rating", "text"]
NONE = 'set ingest.quoting = "none"'


def reviews(count: int, first: int = 0) -> list[list[Any]]:
    """Return rows of which a third has a text that looks like rows, if its quotes are overlooked."""
    texts = ["fine", "He said:\nghost,i1,5,x\nghost,i2,5,x", 'a "quote",\r\nghost,i3,1,\n\n' + "long " * 40]
    return [[f"u{each % 20}", f"i{each // 20}", 1 + each % 5, texts[each % 3]] for each in range(first, first + count)]


def write(path: Path, rows: list[list[Any]], header: list[str] | None = HEADER) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([*([header] if header else []), *rows])
    return path


def triples(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(frame[["user", "item", "rating"]].itertuples(index=False, name=None))


def ingested(context: Context, path: Path | list[Path], **more: Any) -> list[tuple[Any, ...]]:
    return triples(table(context, ingest(context, settings(path, **more))))


def test_a_line_in_a_quote_is_no_rating(context: Context, tmp_path: Path) -> None:
    rows = reviews(300)
    paths = [write(tmp_path / "a.csv", rows), write(tmp_path / "b.csv", reviews(200, first=300))]
    expected = sorted((row[0], row[1], float(row[2])) for row in [*rows, *reviews(200, first=300)])
    assert ingested(context, paths, chunk_bytes=1024) == expected
    assert ingested(context, paths, chunk_bytes=10**7, on_bad_rows="quarantine") == expected


def test_a_bad_row_among_them_is_named_by_its_first_line(context: Context, tmp_path: Path) -> None:
    rows = reviews(300)
    rows[200][2] = "five"
    path = write(tmp_path / "r.csv", rows)
    above = write(tmp_path / "above.csv", rows[:200]).read_bytes().count(b"\n")
    assert refusal(context, path).startswith(f"{path}:{above + 1}: rating 'five' is not a number: 'u0,i10,five,")
    manifest = ingest(context, settings(path, on_bad_rows="quarantine", chunk_bytes=1024))
    assert (manifest.ratings, manifest.quarantined) == (299, 1)
    rejected = pd.read_parquet(Path(context.store.dataset(manifest.id)) / "quarantine.parquet")
    assert rejected["line"].tolist() == [above + 1]
    assert rejected["text"][0].count("ghost") == 1


@pytest.mark.parametrize("at", [5, 250])
@pytest.mark.parametrize(
    ("bad", "problem"),
    [('bob,"i,3,x', "not closed"), ('bob,"i,3,x\r\nann,"i,4,y"', "not closed where its field ends")],
)
def test_a_quote_left_open_refuses_the_file(at: int, bad: str, problem: str, context: Context, tmp_path: Path) -> None:
    lines = [f"u{each % 20},i{each // 20},{1 + each % 5},fine" for each in range(300)]
    path = tmp_path / "r.csv"
    path.write_text("\r\n".join([",".join(HEADER), *lines[:at], bad, *lines[at:], ""]), newline="")
    for on_bad_rows in ("raise", "quarantine"):
        said = refusal(context, path, on_bad_rows=on_bad_rows)
        assert said.startswith(f"{path}:{at + 2}: a quote that is opened and {problem}: 'bob,\"i,3,x")
        assert NONE in said
    found = ingested(context, path, quoting="none")
    assert len(found) == 300 + 1 + bad.count("\n")
    assert ("bob", '"i', 3.0) in found


def test_a_quote_that_is_not_closed_soon_is_not_looked_for_without_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(records, "LONGEST_LINE_BYTES", 200)
    path = tmp_path / "r.csv"
    path.write_text('a,b,3\na,"b,3\n' + "a,b,3\n" * 100)
    file = RawFile(str(path), 0, path.stat().st_size, "r.csv")
    form = recognise(file, Wanted())
    with pytest.raises(BadInput, match=r"r\.csv:2: a quote that is opened and not closed within 200 bytes"):
        read_records(Piece(file, 0, 50), form)


@pytest.mark.parametrize(
    ("written", "said", "old", "new"),
    [
        ('"so \\"nice\\"\nghost,i,5,x"', "a quote that is escaped by a backslash", '\\"', '""'),
        (' "so nice\nghost,i,5,x"', "a space before the quote of a field", ', "', ',"'),
    ],
)
def test_quotes_of_another_kind_refuse_the_file(
    written: str, said: str, old: str, new: str, context: Context, tmp_path: Path
) -> None:
    path = tmp_path / "r.csv"
    rows = ["user,item,rating,text", "v,i,3,plain", *(f"u,i{each},{each % 5},{written}" for each in range(9)), ""]
    path.write_text("\n".join(rows))
    message = refusal(context, path, on_bad_rows="quarantine")
    assert f"{path}:3: {said}: " in message
    (remedy,) = re.findall("sed '.*'", message)
    remedied = subprocess.run(remedy, shell=True, stdin=path.open(), capture_output=True)
    assert remedied.stdout.decode() == path.read_text().replace(old, new)
    path.write_bytes(remedied.stdout)
    assert len(ingested(context, path)) == 10


def test_text_after_a_closing_quote_is_a_bad_row(context: Context, tmp_path: Path) -> None:
    rows = '"a, b",x,3\n"c, d",x,4\n"Ace" Kim,x,5\nAce Kim,x,2\n'
    (tmp_path / "r.csv").write_text("user,item,rating\n" + rows)
    said = refusal(context, tmp_path / "r.csv")
    assert f"{tmp_path / 'r.csv'}:4: text after the closing quote of a field: '\"Ace\" Kim,x,5'; {NONE}" in said
    assert ingested(context, tmp_path / "r.csv", on_bad_rows="quarantine") == [
        ("Ace Kim", "x", 2.0), ("a, b", "x", 3.0), ("c, d", "x", 4.0),
    ]  # fmt: skip
    (tmp_path / "few.csv").write_text("user,item,rating\n" + rows.split("\n", 2)[2])
    assert ingested(context, tmp_path / "few.csv", quoting="none") == [('"Ace" Kim', "x", 5.0), ("Ace Kim", "x", 2.0)]


NAMES = ['"Ace" Kim', "Ace Kim", '"Bo', '5" disk', '"Bo"']


def names_file(path: Path, columns: str = "user\titem\trating") -> Path:
    rows = [f"{name}\ti{number}\t{1 + number % 5}" for number in range(40) for name in NAMES]
    path.write_text("\n".join([columns, *rows, ""]))
    return path


def test_names_keep_their_quotes(context: Context, tmp_path: Path) -> None:
    path = names_file(tmp_path / "r.tsv")
    manifest = ingest(context, settings(path, quoting="none"))
    assert set(table(context, manifest)["user"]) == set(NAMES)
    path.write_text(path.read_text().replace('"Bo"\t', "Bo\t"))
    assert {user for user, _, _ in ingested(context, path)} == {*NAMES[:4], "Bo"}


def test_other_files_of_names_are_read_with_the_same_quoting(context: Context, tmp_path: Path) -> None:
    ratings = names_file(tmp_path / "r.tsv")
    (tmp_path / "out.tsv").write_text('user\titem\n"Bo"\ti3\n')
    chosen = settings(ratings, quoting="none", deletions=str(tmp_path / "out.tsv"))
    dataset = ingest(context, chosen)
    assert dataset.deleted == 1
    (tmp_path / "valid.tsv").write_text('user\titem\n"Bo"\ti4\n"Bo\ti5\n')
    validation = SplitSettings(kind="file", file=str(tmp_path / "valid.tsv"))
    assert split(attempt(context), dataset, validation, chosen, 0.0).validation.ratings == 2
    assert read_pairs(str(tmp_path / "out.tsv"), quoting="none").table["user"].to_pylist() == ['"Bo"']
    assert read_pairs(str(tmp_path / "out.tsv")).table["user"].to_pylist() == ["Bo"]


def test_pairs_in_other_files_may_have_line_breaks(context: Context, tmp_path: Path) -> None:
    rows = reviews(300)
    pairs = [[user, item, text] for user, item, _, text in rows[::7]]
    path = write(tmp_path / "pairs.csv", pairs, ["user", "item", "text"])
    found = read_pairs(str(path)).table
    assert [list(each.values()) for each in found.to_pylist()] == [row[:2] for row in pairs]
    chosen = settings(write(tmp_path / "r.csv", rows), chunk_bytes=1024)
    dataset = ingest(context, chosen)
    validation = SplitSettings(kind="file", file=str(path))
    assert split(attempt(context), dataset, validation, chosen, 0.0).validation.ratings == len(pairs)
    write(path, [*pairs, ["u1", "none", "x\ny"]], ["user", "item", "text"])
    line = write(tmp_path / "above.csv", pairs).read_bytes().count(b"\n") + 1
    with pytest.raises(BadInput, match=rf"pairs\.csv:{line}: user 'u1' has no rating for item 'none'"):
        split(attempt(context), dataset, validation, chosen, 0.0)
    without = ingest(
        context,
        settings(tmp_path / "r.csv", deletions=str(write(path, pairs, ["user", "item", "text"])), chunk_bytes=1024),
    )
    assert without.deleted == len(pairs)


def test_a_file_grows_by_records(context: Context, tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", reviews(200))
    grown(context, tmp_path, chunk_bytes=1024)
    with path.open("a", newline="") as file:
        csv.writer(file).writerows(reviews(100, first=200))
    now = grown(context, tmp_path, chunk_bytes=1024)
    assert now.parsed_bytes < path.stat().st_size / 2
    assert_equals_cold(context, now, tmp_path, chunk_bytes=1024)


def test_an_estimate_from_pieces_inside_quotes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", reviews(3000))
    file = RawFile(str(path), 0, path.stat().st_size, "r.csv")
    form = recognise(file, Wanted())
    monkeypatch.setattr(sample, "PIECE_BYTES", 1000)
    monkeypatch.setattr(sample, "PIECES", 50)
    rough = estimate_counts([file], form)
    assert 2000 < rough.ratings < 4000
    assert not rough.exact
    monkeypatch.setattr(sample, "PIECES", 10**6)
    exact = estimate_counts([file], form)
    assert (exact.ratings, exact.users, exact.exact) == (3000, 20, True)


def test_an_estimate_reads_a_quarter_of_a_small_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("".join(f"{user},{item},3\n" for user in range(100) for item in range(50)))
    file = RawFile(str(path), 0, path.stat().st_size, "r.csv")
    monkeypatch.setattr(sample, "PIECE_BYTES", path.stat().st_size // 300)
    rough = estimate_counts([file], recognise(file, Wanted()))
    assert not rough.exact
    assert 0.9 * 5000 < rough.ratings < 1.1 * 5000
    pieces, chosen = sample._chosen_pieces([file], recognise(file, Wanted()))
    assert (len(pieces) // 4, len(chosen)) == (75, 75)
    assert len(sample._chosen_pieces([file] * 3, recognise(file, Wanted()))[1]) == sample.PIECES


def test_lone_carriage_returns_end_lines(context: Context, tmp_path: Path) -> None:
    rows = [(each % 20, each // 20, 1 + each % 5) for each in range(300)]
    lines = ["user,item,rating", *(",".join(map(str, row)) for row in rows)]
    spoilt = [*lines[:250], lines[250].replace(",", ";"), *lines[251:], ""]
    (tmp_path / "spoilt.csv").write_bytes("\r".join(spoilt).encode())
    assert "spoilt.csv:251: 1 columns where 3 are expected" in refusal(context, tmp_path / "spoilt.csv")
    (tmp_path / "mac.csv").write_bytes("\r".join([*lines, ""]).encode())
    assert ingested(context, tmp_path / "mac.csv") == sorted(rows)


def test_files_that_end_their_lines_otherwise_than_the_first_are_refused(context: Context, tmp_path: Path) -> None:
    parts = [b"user,item,rating\n1,2,3\n", b"user,item,rating\r1,3,4\r", b"user,item,rating\r1,4,5\r1,5,5\n"]
    for name, data in zip("abc", parts, strict=True):
        (tmp_path / f"{name}.csv").write_bytes(data)
    for first, second in ("ab", "ba", "bc"):
        two = [str(tmp_path / f"{name}.csv") for name in (first, second)]
        said = refusal(context, tmp_path, ratings=two, on_bad_rows="quarantine")
        assert said.startswith(f"{tmp_path / second}.csv:1: ")
        assert said.endswith("convert it by tr '\\r' '\\n' < IN > OUT")
    for name, data in zip("abc", parts, strict=True):
        (tmp_path / f"{name}.csv").write_bytes(data.translate(bytes.maketrans(b"\r", b"\n")))  # what tr does
    assert len(ingested(context, [tmp_path / f"{name}.csv" for name in "abc"])) == 4
