"""Sessions take every test once: those that need the machine for themselves, those that are long, and the others.

Covers: tests/support/sessions.py, and what the list of skipped tests makes of a session that has only some of them.
Does not cover: which tests are marked.
"""

from __future__ import annotations

import pytest
from inner_session import InnerFolder, run_pytest
from inner_session import inner as inner
from sessions import FULL, SHORT

TESTS = """
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

@pytest.mark.alone
def test_memory(): pass

@pytest.mark.alone
@pytest.mark.long
def test_memory_of_all(): pass

@pytest.mark.alone
@pytest.mark.skip(reason="no hosts")
def test_hosts(): pass

def test_other(): pass

@pytest.mark.long
def test_all(): pass

@given(st.integers())
@settings(max_examples=examples(40))
def test_property(number): print("\\nexample")

@pytest.mark.skip(reason="no such machine")
def test_skipped(): pass
"""

LISTED = "test_it.py::test_skipped  # no such machine\ntest_it.py::test_hosts  # no hosts\n"


PLUGINS = ("-p", "_hypothesis_pytestplugin", "-p", "sessions", "-p", "skip_list")
CONFTEST = """
from pathlib import Path
import skip_list
skip_list.HERE, skip_list.CONDITIONAL = Path(__file__).parent, {}
"""
CHOSEN = {
    "alone": (["--alone", "only", "--long", "without"], 1, 1),
    "make test": (["--alone", "without", "--long", "without"], 2, 1),
    "long, alone": (["--alone", "only", "--long", "only"], 1, 0),
    "make long": (["--alone", "without", "--long", "only"], 2, 0),
    "alone, of all lengths": (["--alone", "only"], 2, 1),
    "all": ([], 5, 2),
}
SHARED = ["-p", "xdist", "-n", "2"]


@pytest.mark.parametrize(
    ("session", "processes"),
    [
        *(pytest.param(name, [], id=name, marks=[pytest.mark.long] * ("alone" in name)) for name in CHOSEN),
        pytest.param("make test", SHARED, id="make test, shared"),
        pytest.param("make long", SHARED, id="make long, shared", marks=pytest.mark.long),
    ],
)
def test_each_test_is_in_one_of_the_sessions_and_a_property_in_two(
    inner: InnerFolder, session: str, processes: list[str]
) -> None:
    chosen, passed, skipped = CHOSEN[session]
    inner.write(test_it=TESTS, conftest=CONFTEST)
    (inner.path / "skips.txt").write_text(LISTED, encoding="utf-8")
    result = run_pytest(inner, *PLUGINS, "--skips-as-listed", *chosen, *processes)
    result.assert_outcomes(passed=passed, skipped=skipped)
    assert result.ret == pytest.ExitCode.OK


def test_files_without_a_test_to_run_alone_are_not_read_where_only_those_are_taken(inner: InnerFolder) -> None:
    inner.write(test_it=TESTS, test_other="raise SystemError", conftest=CONFTEST)
    skipped = "test_other.py::test_skipped*  # no such machine\n"
    (inner.path / "skips.txt").write_text(LISTED + skipped, encoding="utf-8")
    result = run_pytest(inner, *PLUGINS, "--skips-as-listed", *CHOSEN["alone"][0])
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize(("profile", "tried"), [(SHORT, 10), (FULL, 40)])
def test_the_long_session_tries_all_examples(inner: InnerFolder, profile: str, tried: int) -> None:
    inner.write(test_it=TESTS)
    result = run_pytest(inner, *PLUGINS, "-s", "-k", "property", f"--hypothesis-profile={profile}")
    assert result.outlines.count("example") == tried


def test_none_that_needs_the_machine_is_no_failure_and_none_at_all_is(inner: InnerFolder) -> None:
    inner.write(test_it="def test_other(): pass")
    assert run_pytest(inner, "-p", "sessions", "--alone", "only").ret == pytest.ExitCode.OK
    assert run_pytest(inner, "-p", "sessions", "--long", "only").ret == pytest.ExitCode.OK
    none = run_pytest(inner, "-p", "sessions", "--alone", "without", "-k", "nothing")
    assert none.ret == pytest.ExitCode.NO_TESTS_COLLECTED
