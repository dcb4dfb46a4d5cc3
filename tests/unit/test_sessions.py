"""Sessions take every test once: those that need the machine for themselves, those that are long, and the others.

Covers: tests/support/sessions.py, and what the list of skipped tests makes of a session that has only some of them.
Does not cover: which tests are marked.
"""

from __future__ import annotations

import pytest
import skip_list
from hypothesis import settings
from sessions import FULL, SHORT

pytest_plugins = ["pytester"]

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


PLUGINS = ("-p", "_hypothesis_pytestplugin", "-p", "sessions", "-p", "skip_list", "--skips-as-listed")


@pytest.mark.parametrize("processes", [[], ["-p", "xdist", "-n", "2"]], ids=["here", "shared"])
@pytest.mark.parametrize(
    ("chosen", "passed", "skipped"),
    [
        (["--alone", "only", "--long", "without"], 1, 1),
        (["--alone", "without", "--long", "without"], 2, 1),
        (["--alone", "only", "--long", "only"], 1, 0),
        (["--alone", "without", "--long", "only"], 2, 0),
        (["--alone", "only"], 2, 1),
        ([], 5, 2),
    ],
)
def test_each_test_is_in_one_of_the_sessions_and_a_property_in_two(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    chosen: list[str],
    passed: int,
    skipped: int,
    processes: list[str],
) -> None:
    pytester.makepyfile(test_it=TESTS)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(skip_list, "HERE", pytester.path)
    monkeypatch.setattr(skip_list, "CONDITIONAL", {})
    (pytester.path / "skips.txt").write_text(LISTED, encoding="utf-8")
    result = pytester.runpytest_inprocess(*PLUGINS, *chosen, *processes)
    result.assert_outcomes(passed=passed, skipped=skipped)
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize(("profile", "tried"), [(SHORT, 10), (FULL, 40)])
def test_the_long_session_tries_all_examples(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, profile: str, tried: int
) -> None:
    pytester.makepyfile(test_it=TESTS)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    try:
        result = pytester.runpytest_inprocess(*PLUGINS[:4], "-s", "-k", "property", f"--hypothesis-profile={profile}")
    finally:
        settings.load_profile(SHORT)
    assert result.stdout.str().splitlines().count("example") == tried


def test_none_that_needs_the_machine_is_no_failure_and_none_at_all_is(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_it="def test_other(): pass")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert pytester.runpytest_inprocess("-p", "sessions", "--alone", "only").ret == pytest.ExitCode.OK
    assert pytester.runpytest_inprocess("-p", "sessions", "--long", "only").ret == pytest.ExitCode.OK
    none = pytester.runpytest_inprocess("-p", "sessions", "--alone", "without", "-k", "nothing")
    assert none.ret == pytest.ExitCode.NO_TESTS_COLLECTED
