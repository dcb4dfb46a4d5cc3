"""Matrix Market files: what is recognised, what is read, what is refused.

Covers: the sizes above the rows, line numbers below them, kinds without a line for each rating.
Does not cover: other text (test_formats.py, test_parse.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.format.formats import Wanted, recognise_text
from funkflow.tasks.parsing.rows.text import parse_chunk
from funkflow.tasks.parsing.sources.chunks import Chunk, RawFile, whole

TEXT = b"%%MatrixMarket matrix coordinate integer general\n% made by hand\n943 1682 3\n1 2 3\n4 5 x\n6 7 1\n"


def test_the_line_of_sizes_is_no_rating(tmp_path: Path) -> None:
    (tmp_path / "r.mtx").write_bytes(TEXT)
    form = recognise_text(TEXT, "r.mtx", Wanted())
    parsed = parse_chunk(Chunk((whole(RawFile(str(tmp_path / "r.mtx"), 0, len(TEXT), "r.mtx")),)), form)
    assert form.described == "Matrix Market"
    assert parsed.table.select(["user", "item", "rating"]).to_pydict() == {
        "user": [1, 6], "item": [2, 7], "rating": [3.0, 1.0],
    }  # fmt: skip
    assert [row.line for row in parsed.rejected] == [5]


@pytest.mark.parametrize("kind", ["array real general", "coordinate real symmetric", "coordinate"])
def test_a_file_without_a_line_for_each_rating_is_refused(kind: str) -> None:
    with pytest.raises(BadInput, match=r"ratings\.mtx:1: .*symmetry='general'"):
        recognise_text(f"%%MatrixMarket matrix {kind}\n2 2 1\n1 1 5\n".encode(), "ratings.mtx", Wanted())


def test_a_file_without_rows_is_refused() -> None:
    with pytest.raises(BadInput, match="no row below its sizes"):
        recognise_text(b"%%MatrixMarket matrix coordinate real general\n2 2 0\n", "ratings.mtx", Wanted())
