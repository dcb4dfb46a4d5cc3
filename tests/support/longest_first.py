"""The files that take longest begin first, so that no process is left with one of them at the end: a pytest plugin.

Covers: the order of files by tests/support/durations.txt; `--write-durations`, which writes that table anew, with the
tests that took over ten seconds without being marked long.
Does not cover: which tests a session takes (sessions.py).
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

TABLE = Path(__file__).with_name("durations.txt")
LONG_SECONDS = 10.0
_UNKNOWN_SECONDS = 60.0
"""A file that the table lacks begins after those that take minutes, and before all others."""


def read_table(text: str) -> dict[str, float]:
    """Return seconds by file. A line is `seconds file`; or a comment; or empty."""
    rows = (line.split() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {file: float(seconds) for seconds, file in rows}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--write-durations`, meant for whole sessions only."""
    parser.addoption("--write-durations", action="store_true", help=f"write {TABLE.name} from what this session takes")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the session where that was asked for: in the process that hands the tests out."""
    if config.getoption("--write-durations") and not hasattr(config, "workeroutput"):
        config.pluginmanager.register(Durations(), "funkflow-durations")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files in order. Tests of a file stay together, and in their order."""
    known = read_table(TABLE.read_text(encoding="utf-8"))
    items.sort(key=lambda item: -known.get(item.nodeid.partition("::")[0], _UNKNOWN_SECONDS))


class Durations:
    """How long each file and each test took, with what its fixtures did."""

    def __init__(self) -> None:
        self.files: Counter[str] = Counter()
        self.tests: Counter[str] = Counter()
        self.marked: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.files[report.nodeid.partition("::")[0]] += report.duration  # type: ignore[assignment]
        self.tests[report.nodeid] += report.duration  # type: ignore[assignment]
        if "long" in report.keywords:
            self.marked.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        before = read_table(TABLE.read_text(encoding="utf-8"))
        known = {file: seconds for file, seconds in before.items() if (TABLE.parents[2] / file).exists()}
        TABLE.write_text(self.table({**known, **self.files}), encoding="utf-8")

    def table(self, files: dict[str, float]) -> str:
        """Return the table: files, longest first, and in comments what takes long without saying so."""
        load = os.getloadavg()[0]
        lines = [
            "# Seconds by file, as tests/support/longest_first.py reads them; written anew by --write-durations.",
            f"# {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {load:.0f}.",
            *(f"{seconds:.1f} {file}" for file, seconds in sorted(files.items(), key=lambda each: (-each[1], each[0]))),
            f"# Not marked long, and over {LONG_SECONDS:.0f} s:",
            *(
                f"# {seconds:.1f} {test}"
                for test, seconds in self.tests.most_common()
                if seconds > LONG_SECONDS and test not in self.marked
            ),
        ]
        return "\n".join(lines) + "\n"
