"""Which tests a session takes, so that several take every test: a pytest plugin.

Covers: the markers `alone` and `long`; `--alone only|without` and `--long only|without`, which between them take every
test once; and how many examples of a property are tried.
Does not cover: how many processes share the rest (Makefile), which tests are skipped (skip_list.py), which test comes
first (longest_first.py).

Alone on the machine are tests of memory (a page of a library that processes share counts for each in part, and so for
less where another test's cluster has it, too) and those of how soon something is noticed. Long are proofs of which a
shorter test keeps the heart. A property is in both sessions: with all its examples in the long one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from hypothesis import is_hypothesis_test, settings
from hypothesis.strategies import SearchStrategy, sampled_from

ELSEWHERE = pytest.StashKey[set[str]]()
"""The tests of the other sessions, by node id."""
UNREAD = pytest.StashKey[set[str]]()
"""The files without a test of this session, as node ids name them."""
SENT = "funkflow-elsewhere"
"""Under which a process that runs tests for another one (pytest-xdist) sends them along with its end."""
KINDS = {
    "alone": "measures what other processes change, such as time, or memory that they share",
    "long": "proves at length what a shorter test keeps the heart of; `make long` runs it",
}
_SHARE, _FEWEST = 4, 8
FULL, SHORT = "full", "short"
"""Hypothesis' profiles: that of `make long` and that of all other sessions."""
settings.register_profile(FULL, settings(), deadline=None)  # a busy machine is no failure
settings.register_profile(SHORT, settings(), deadline=None, max_examples=settings().max_examples // _SHARE)
settings.load_profile(SHORT)


def examples(count: int) -> int:
    """Return how many examples of a property to try, where the long session tries `count`."""
    is_full = settings.get_current_profile_name() == FULL
    return count if is_full else min(count, max(_FEWEST, count // _SHARE))


def choices(few: Sequence[Any], more: Sequence[Any]) -> SearchStrategy[Any]:
    """Return values that a property draws from: the few, and where all examples are tried, more of them.

    For what costs a second each, as a kernel that is compiled for every rank.
    """
    is_full = settings.get_current_profile_name() == FULL
    return sampled_from([*few, *more] if is_full else [*few])


def only_long(*values: object) -> ParameterSet:
    """Return the parameters of a case that the long session alone takes."""
    return pytest.param(*values, marks=pytest.mark.long)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option for each marker."""
    for kind in KINDS:
        parser.addoption(
            f"--{kind}", choices=("only", "without"), help=f"take only the tests that are marked {kind}, or all others"
        )


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers, for sessions that read no settings of ours."""
    for kind, words in KINDS.items():
        config.addinivalue_line("markers", f"{kind}: {words}")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Read no file without a test to run alone where only those are taken: the imports of all files take seconds."""
    if config.getoption("--alone") != "only" or not collection_path.match("test_*.py"):
        return None
    if "pytest.mark.alone" in collection_path.read_text(encoding="utf-8"):
        return None
    name = collection_path.relative_to(config.rootpath).as_posix()
    config.stash.setdefault(UNREAD, set()).add(name)
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what belongs to the other sessions. It is not deselected, which would count as skipped."""
    chosen = {kind: config.getoption(f"--{kind}") for kind in KINDS}
    if not any(chosen.values()):
        return
    mine = {item for item in items if all(_belongs(item, kind, which) for kind, which in chosen.items())}
    elsewhere = [item.nodeid for item in items if item not in mine]
    items[:] = [item for item in items if item in mine]
    config.stash[ELSEWHERE] = set(elsewhere)
    if hasattr(config, "workeroutput"):  # a process that runs tests for another one, which collects none itself
        config.workeroutput[SENT] = elsewhere


def _belongs(item: pytest.Item, kind: str, which: str | None) -> bool:
    is_marked = item.get_closest_marker(kind) is not None
    is_property = kind == "long" and is_hypothesis_test(getattr(item, "obj", None))
    return which is None or is_marked == (which == "only") or is_property


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where tests were chosen by hand, none of them need be one of those."""
    chosen = any(session.config.getoption(f"--{kind}") == "only" for kind in KINDS)
    if chosen and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK
