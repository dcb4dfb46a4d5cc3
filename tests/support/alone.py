"""Tests that need the machine for themselves, apart from those that processes share: a pytest plugin.

Covers: the marker `alone`, and `--alone only` and `--alone without`, which between them take every test once.
Does not cover: how many processes share the rest (Makefile), or which tests are skipped (skip_list.py).

Such are tests of memory (a page of a library that processes share counts for each in part, and so for less where
another test's cluster has it, too) and those of how soon something is noticed.
"""

from __future__ import annotations

import pytest

ELSEWHERE = pytest.StashKey[set[str]]()
"""The tests of the other session, by node id."""
SENT = "funkflow-elsewhere"
"""Under which a process that runs tests for another one (pytest-xdist) sends them along with its end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--alone`."""
    parser.addoption(
        "--alone", choices=("only", "without"), help="take only the tests that are marked alone, or all others"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker, for sessions that read no settings of ours."""
    config.addinivalue_line(
        "markers", "alone: measures what other processes change, such as time, or memory that they share"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what belongs to the other session. It is not deselected, which would count as skipped."""
    chosen = config.getoption("--alone")
    if chosen is None:
        return
    mine = {each for each in items if (each.get_closest_marker("alone") is not None) == (chosen == "only")}
    elsewhere = [each.nodeid for each in items if each not in mine]
    items[:] = [each for each in items if each in mine]
    config.stash[ELSEWHERE] = set(elsewhere)
    if hasattr(config, "workeroutput"):  # a process that runs tests for another one, which collects none itself
        config.workeroutput[SENT] = elsewhere


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where tests were chosen by hand, none of them need be one of those."""
    if session.config.getoption("--alone") == "only" and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK
