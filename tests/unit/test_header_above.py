"""The movie header above any line of Netflix text is the nearest line that is one, wherever the blocks are cut.

Covers: `header_above` of tasks/parsing/sources/chunks.py. Does not cover: rows below the headers (test_parse.py).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.tasks.parsing.sources import chunks
from funkflow.tasks.parsing.sources.chunks import RawFile, header_above

LINES = st.lists(st.sampled_from(["17:", "5:", "5,", "3,4,2000-01-01", "x", " 9: ", "", "8", "7:x", ":"]), max_size=30)


@pytest.mark.parametrize(("mark", "line_end"), [(None, "\n"), (b":", "\n"), (None, "\r\n"), (b":", "\r")])
@given(LINES, st.integers(1, 40), st.booleans())
def test_the_nearest_header(mark: bytes | None, line_end: str, lines: list[str], block: int, has_mark: bool) -> None:
    data = ("\ufeff" * has_mark + line_end.join([*lines, ""])).encode()
    last = line_end[-1]
    with tempfile.TemporaryDirectory() as folder, patch.object(chunks, "_BLOCK_BYTES", block):
        path = Path(folder, "ratings")
        path.write_bytes(data)
        for position in (place + 1 for place, letter in enumerate(data) if letter == ord(last)):
            above = data[:position].removeprefix("\ufeff".encode()).split(last.encode())
            stripped = [line.strip() for line in above if (line.strip().endswith(mark) if mark else b"," not in line)]
            expected = next((line for line in reversed(stripped) if line), b"")
            file = RawFile(str(path), 0, len(data), "ratings")
            assert header_above(file, position, mark, last) == expected
