"""Files begin in the order of a table, which a session can write anew: small sessions run by pytest inside pytest.

Covers: tests/support/longest_first.py. Does not cover: how long the files of this project take.
"""

from __future__ import annotations

from pathlib import Path

import longest_first
import pytest
from inner_session import InnerFolder, run_pytest
from inner_session import inner as inner


@pytest.fixture
def table(inner: InnerFolder) -> Path:
    """A table of two of three files, and of one that is gone."""
    inner.write(test_a="def test_one(): pass\n\ndef test_two(): pass", test_b="def test_b(): pass")
    inner.write(test_c="import time\n\ndef test_c(): time.sleep(0.2)")
    path = inner.path / "tests" / "support" / "durations.txt"
    path.parent.mkdir(parents=True)
    path.write_text("# seconds file\n1.0 test_a.py\n90.0 test_b.py\n5.0 test_gone.py\n", encoding="utf-8")
    inner.write(
        conftest=f"""
from pathlib import Path
import longest_first
longest_first.TABLE, longest_first.LONG_SECONDS = Path({str(path)!r}), 0.1
"""
    )
    return path


def test_the_longest_begins_first_and_an_unknown_one_before_short_ones(inner: InnerFolder, table: Path) -> None:
    result = run_pytest(inner, "-p", "longest_first", "-v")
    ran = [line.split()[0] for line in result.outlines if "PASSED" in line]
    assert ran == ["test_b.py::test_b", "test_c.py::test_c", "test_a.py::test_one", "test_a.py::test_two"]


@pytest.mark.parametrize("processes", [[], ["-p", "xdist", "-n", "2"]], ids=["here", "shared"])
def test_a_session_writes_what_it_took(inner: InnerFolder, table: Path, processes: list[str]) -> None:
    run_pytest(inner, "-p", "longest_first", "--write-durations", *processes, "test_c.py", "test_b.py")
    text = table.read_text(encoding="utf-8")
    seconds = longest_first.read_table(text)
    assert list(seconds) == ["test_a.py", "test_c.py", "test_b.py"]
    assert seconds["test_c.py"] >= 0.2
    assert seconds["test_a.py"] == 1.0
    assert text.splitlines()[-1].endswith(" test_c.py::test_c")
