"""Two sessions take every test once: those that need the machine for themselves, and the others.

Covers: tests/support/alone.py, and what the list of skipped tests makes of a session that has only some of the tests.
Does not cover: which tests are marked.
"""

from __future__ import annotations

import pytest
import skip_list

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.alone
def test_memory(): pass

@pytest.mark.alone
@pytest.mark.skip(reason="no hosts")
def test_hosts(): pass

def test_other(): pass

@pytest.mark.skip(reason="no such machine")
def test_skipped(): pass
"""

LISTED = "test_it.py::test_skipped  # no such machine\ntest_it.py::test_hosts  # no hosts\n"


@pytest.mark.parametrize("processes", [[], ["-p", "xdist", "-n", "2"]], ids=["here", "shared"])
@pytest.mark.parametrize(("chosen", "passed", "skipped"), [("only", 1, 1), ("without", 1, 1), (None, 2, 2)])
def test_each_test_is_in_one_of_the_two_sessions(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    chosen: str | None,
    passed: int,
    skipped: int,
    processes: list[str],
) -> None:
    pytester.makepyfile(test_it=TESTS)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(skip_list, "HERE", pytester.path)
    monkeypatch.setattr(skip_list, "CONDITIONAL", {})
    (pytester.path / "skips.txt").write_text(LISTED, encoding="utf-8")
    words = [
        "-p",
        "alone",
        "-p",
        "skip_list",
        "--skips-as-listed",
        *(["--alone", chosen] if chosen else []),
        *processes,
    ]
    result = pytester.runpytest_inprocess(*words)
    result.assert_outcomes(passed=passed, skipped=skipped)
    assert result.ret == pytest.ExitCode.OK


def test_none_that_needs_the_machine_is_no_failure_and_none_at_all_is(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_it="def test_other(): pass")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert pytester.runpytest_inprocess("-p", "alone", "--alone", "only").ret == pytest.ExitCode.OK
    none = pytester.runpytest_inprocess("-p", "alone", "--alone", "without", "-k", "nothing")
    assert none.ret == pytest.ExitCode.NO_TESTS_COLLECTED
