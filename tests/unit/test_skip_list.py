"""The list of skipped tests is kept: small sessions run by pytest inside pytest, each held to a list of its own.

Covers: tests/support/skip_list.py: what is reported, and the exit code of the session.
Does not cover: which tests of this project are on the lists.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from inner_session import InnerFolder, run_pytest
from inner_session import inner as inner

TESTS = """
import pytest

@pytest.mark.skip(reason="no such machine")
def test_skipped(): pass

def test_ran(): pass
"""


@pytest.fixture
def session(inner: InnerFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    (tmp_path / "ratings").mkdir()
    monkeypatch.setenv("FUNKFLOW_RATINGS_DIR", str(tmp_path / "ratings"))
    inner.write(
        conftest=f"""
from pathlib import Path
import skip_list
name = "skips-without-ratings.txt"
skip_list.HERE, skip_list.CONDITIONAL = Path({str(tmp_path)!r}), {{name: skip_list.CONDITIONAL[name]}}
"""
    )
    return Session(inner, tmp_path)


class Session:
    def __init__(self, inner: InnerFolder, folder: Path) -> None:
        self.inner = inner
        self.folder = folder

    def run(self, tests: str, listed: str, *arguments: str, without_ratings: str = "") -> pytest.RunResult:
        (self.folder / "skips.txt").write_text(listed, encoding="utf-8")
        (self.folder / "skips-without-ratings.txt").write_text(without_ratings, encoding="utf-8")
        self.inner.write(test_it=tests)
        return run_pytest(self.inner, "-p", "skip_list", "--skips-as-listed", *arguments)


def test_list_that_agrees_passes_and_names_what_was_skipped(session: Session) -> None:
    result = session.run(TESTS, "# a comment\n\ntest_it.py::test_skipped  # no such machine\n")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["test_it.py::test_skipped: *no such machine*", "*1 passed, 1 skipped*"])


def test_closing_line_stays_last(session: Session) -> None:
    assert "1 passed, 1 skipped" in session.run(TESTS, "").outlines[-1]


@pytest.mark.parametrize(
    ("tests", "listed", "complaint"),
    [
        pytest.param(TESTS, "", "skipped, but not listed: test_it.py::test_skipped", id="not listed"),
        pytest.param(
            TESTS,
            "test_it.py::*  # all\n",
            "listed as skipped by 'test_it.py::[*]', but it ran: *test_ran",
            id="it ran",
        ),
        pytest.param(
            "def test_a(): pass",
            "test_gone.py::test_b  # x\n",
            "listed, but no such test was skipped: test_gone*",
            id="gone",
        ),
        pytest.param("def test_a(): pass", "test_it.py::test_a\n", "*cannot be read*write it as*", id="no reason"),
        pytest.param(
            "import pytest\npytest.skip('no', allow_module_level=True)",
            "",
            "skipped, but not listed: test_it.py *",
            id="module",
        ),
        pytest.param(
            "import pytest\n@pytest.mark.xfail\ndef test_a(): assert 0",
            "",
            "*not listed: test_it.py::test_a *",
            id="xfail",
        ),
    ],
)
def test_difference_fails_the_session(session: Session, tests: str, listed: str, complaint: str) -> None:
    result = session.run(tests + "\n", listed)
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines([f"ERROR {complaint}*"])


def test_deselected_test_counts_as_skipped(session: Session) -> None:
    result = session.run(TESTS, "test_it.py::test_skipped  # no such machine\n", "-k", "skipped")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR skipped, but not listed: test_it.py::test_ran (deselected)"])


def test_second_list_holds_where_ratings_are_absent(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNKFLOW_RATINGS_DIR", str(session.folder / "nowhere"))
    result = session.run(TESTS, "", without_ratings="test_it.py::test_skipped  # no such machine\n")
    assert result.ret == pytest.ExitCode.OK


def test_second_list_is_no_excuse_where_ratings_are_there(session: Session) -> None:
    result = session.run(TESTS, "", without_ratings="test_it.py::test_skipped  # no such machine\n")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_folder_with_a_conftest_is_no_obstacle(session: Session) -> None:
    folder = session.inner.path / "folder"
    folder.mkdir()
    (folder / "conftest.py").write_text("", encoding="utf-8")
    (folder / "test_more.py").write_text("def test_more(): pass\n", encoding="utf-8")
    assert session.run("def test_a(): pass", "").ret == pytest.ExitCode.OK


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments",
    [pytest.param((), id="skipped"), pytest.param(("-k", "skipped"), id="deselected", marks=pytest.mark.long)],
)
def test_processes_that_share_the_tests_keep_one_list(session: Session, arguments: tuple[str, ...]) -> None:
    result = session.run(TESTS, "", "-p", "xdist", "-n", "2", *arguments)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR skipped, but not listed: test_it.py::test_skipped *"])
    deselected = "ERROR skipped, but not listed: test_it.py::test_ran (deselected)"
    assert (deselected in result.stdout.str()) == bool(arguments)
    listed = "test_it.py::*  # all of them\n" if arguments else "test_it.py::test_skipped  # no such machine\n"
    assert session.run(TESTS, listed, "-p", "xdist", "-n", "2", *arguments).ret == pytest.ExitCode.OK
