"""Hold the tests that are skipped to a committed list: a pytest plugin, loaded for every session.

Covers: `--skips-as-listed`, which fails a session whose skipped tests are not exactly those of skips.txt (and of
skips-without-*.txt, where there are no real ratings, no Slurm, no sshd, no browser, no axe-core, no faiss, or no
right to make hosts, mount a disk or build an image).
Tests deselected or expected to fail count as skipped. Where processes share the tests (pytest-xdist), the one that
hands them out keeps the list.
Does not cover: why a test is skipped (each says so itself), nor where real ratings can be had (data/README.md).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from axe_package import axe
from browser_path import chromium
from container_image import can_build_images
from sessions import ELSEWHERE, SENT, UNREAD

from chaos.hosts import may_make_hosts
from chaos.small_disk import may_mount

HERE = Path(__file__).parent


def ratings_folder() -> Path:
    """Return where real ratings lie, if they are on this machine: the one place that knows the default."""
    return Path(os.environ.get("FUNKFLOW_RATINGS_DIR") or HERE.parents[2] / "shared" / "ratings")


def slurm_is_here() -> bool:
    """Say whether a queue can be run here: Slurm and munge are installed, and we may start them."""
    return _can_start("munged", "slurmctld", "slurmd", "sbatch")


def sshd_is_here() -> bool:
    """Say whether sshd can be run here: it is installed, and we may start it."""
    return _can_start("sshd", "ssh-keygen")


CONDITIONAL: dict[str, Callable[[], bool]] = {
    "skips-without-ratings.txt": lambda: ratings_folder().is_dir(),
    "skips-without-slurm.txt": slurm_is_here,
    "skips-without-sshd.txt": sshd_is_here,
    "skips-without-chromium.txt": lambda: chromium() is not None,
    "skips-without-axe.txt": lambda: axe() is not None,
    "skips-without-faiss.txt": lambda: find_spec("faiss") is not None,
    "skips-without-hosts.txt": may_make_hosts,
    "skips-without-mounts.txt": may_mount,
    "skips-without-images.txt": can_build_images,
}
"""Lists that hold where something is not here, and whether it is."""


def list_files() -> list[Path]:
    """Return the lists that hold here: one always, and one for each thing that is not here."""
    return [HERE / name for name in ("skips.txt", *(name for name, is_here in CONDITIONAL.items() if not is_here()))]


def read_list(text: str) -> dict[str, str]:
    """Return reason by node id. A line is `node id  # reason`, where `*` stands for anything; or a comment; or empty.

    Raises
    ------
    ValueError
        A line has no reason.
    """
    listed: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pattern, separator, reason = line.partition("  # ")
        if not separator or not reason.strip():
            raise ValueError(f"{line!r}: write it as `node id  # reason`")
        listed[pattern.strip()] = reason.strip()
    return listed


def differences(
    listed: dict[str, str], skipped: dict[str, str], ran: set[str], elsewhere: Iterable[str] = ()
) -> list[str]:
    """Say in lines how the skipped tests (reason by node id) and those that ran differ from the listed patterns.

    `elsewhere` : tests of another session, which may be listed, too.
    """
    expected = {pattern: re.compile(".*".join(map(re.escape, pattern.split("*")))) for pattern in listed}
    lines = [
        f"skipped, but not listed: {node} ({reason})"
        for node, reason in sorted(skipped.items())
        if not any(pattern.fullmatch(node) for pattern in expected.values())
    ]
    for name, pattern in expected.items():
        lines += [
            f"listed as skipped by {name!r}, but it ran: {node}" for node in sorted(ran) if pattern.fullmatch(node)
        ]
        if not any(pattern.fullmatch(node) for node in (*skipped, *elsewhere)):
            lines.append(f"listed, but no such test was skipped: {name}")
    return lines


_DESELECTED = "funkflow-deselected"


class Deselected:
    """What a process that runs tests for another one (pytest-xdist) deselected, sent along with its end."""

    def __init__(self, sent: dict[str, Any]) -> None:
        self.deselected: dict[str, str] = sent.setdefault(_DESELECTED, {})

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.deselected.update(_deselected(items))


def _deselected(items: list[pytest.Item]) -> dict[str, str]:
    return {item.nodeid: "deselected" for item in items}


@dataclass(eq=False)  # pytest keeps its plugins in sets
class SkipList:
    """What one session skipped and what it ran, by node id."""

    skipped: dict[str, str] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    found: list[str] = field(default_factory=list)
    elsewhere: set[str] = field(default_factory=set)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skipped[report.nodeid] = _reason(report)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.skipped.update(_deselected(items))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self.skipped[report.nodeid] = _reason(report)
        elif report.when == "call":
            self.ran.add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        try:
            listed = read_list("\n".join(path.read_text(encoding="utf-8") for path in list_files()))
            unread: set[str] = session.config.stash.get(UNREAD, set())
            here: set[str] = session.config.stash.get(ELSEWHERE, set())
            here = here | {name for name in listed if name.partition("::")[0] in unread}
            self.found = differences(listed, self.skipped, self.ran, self.elsewhere | here)
        except (OSError, ValueError) as cause:
            self.found = [f"the list of skipped tests cannot be read: {cause}"]
        if self.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a process reports to nobody otherwise: what it deselected, and left to the other session."""
        sent = getattr(node, "workeroutput", {})
        self.skipped.update(sent.get(_DESELECTED, {}))
        self.elsewhere.update(sent.get(SENT, ()))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        names = " and ".join(path.name for path in list_files())
        terminalreporter.section(f"{len(self.skipped)} skipped, held to {names}")
        for node, reason in sorted(self.skipped.items()):
            terminalreporter.line(f"{node}: {reason}")
        for line in self.found:
            terminalreporter.line(f"ERROR {line}", red=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--skips-as-listed`, meant for whole sessions only."""
    parser.addoption(
        "--skips-as-listed",
        action="store_true",
        help="fail unless the skipped tests are exactly those of tests/support/skips*.txt",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Watch the session where that was asked for."""
    if config.getoption("--skips-as-listed"):
        sent = getattr(config, "workeroutput", None)
        config.pluginmanager.register(SkipList() if sent is None else Deselected(sent), "funkflow-skip-list")


def _can_start(*programs: str) -> bool:
    return os.geteuid() == 0 and all(shutil.which(each, path=f"{os.environ['PATH']}:/usr/sbin") for each in programs)


def _reason(report: pytest.CollectReport | pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail}"
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
