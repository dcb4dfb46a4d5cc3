"""Where compiled kernels are kept: a place of the user's own, whatever the machine lets this process write to.

Covers: the private folder below the temporary folder, and a whole run where only its root can be written to.
Does not cover: numba's own choice where it may write.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from ungated import UNGATED

from chaos.small_disk import may_mount
from funkflow.pipeline.cluster import workers
from funkflow.pipeline.cluster.workers import warn_of_uncached_kernels
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.tasks.kernels import cache

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, in which only this user may write."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"funkflow-{os.geteuid()}"


def test_the_folder_is_made_for_this_user_alone_and_used_again(temporary: Path) -> None:
    assert cache._private_folder() == str(temporary)
    assert temporary.stat().st_mode & 0o777 == 0o700
    assert cache._private_folder() == str(temporary)


def test_a_folder_that_others_can_write_to_is_refused(temporary: Path) -> None:
    temporary.mkdir()
    temporary.chmod(0o770)
    with pytest.raises(PermissionError, match="not a folder of this user alone"):
        cache._private_folder()


def test_a_link_in_its_place_is_refused(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    temporary.symlink_to(tmp_path / "mine")
    with pytest.raises(PermissionError, match="not a folder of this user alone"):
        cache._private_folder()


def test_a_folder_of_somebody_else_is_refused(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    temporary.with_name("funkflow-12345").mkdir(mode=0o700)
    with pytest.raises(PermissionError, match="not a folder of this user alone"):
        cache._private_folder()


@pytest.mark.parametrize(("mode", "is_refused"), [(0o777, True), (0o1777, False)])
def test_a_folder_that_others_could_replace_is_refused(temporary: Path, mode: int, is_refused: bool) -> None:
    temporary.parent.chmod(mode)
    if is_refused:
        with pytest.raises(PermissionError, match="others could replace"):
            cache._private_folder()
    else:
        assert cache._private_folder() == str(temporary)


def test_kernels_are_compiled_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "why_uncached", lambda: "the disk can only be read")
    kernel: Any = cache.compiled()(_next)
    assert kernel(1) == 2
    assert kernel.stats.cache_path is None


def _next(number: int) -> int:
    return number + 1


def test_one_warning_tells_of_workers_that_keep_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Event] = []
    warn_of_uncached_kernels(client, heard.append)
    assert heard == []
    monkeypatch.setattr(workers, "why_uncached", lambda: "the disk can only be read")
    warn_of_uncached_kernels(client, heard.append)
    [told] = heard
    assert isinstance(told, Noticed)
    assert told.warning
    assert "again: the disk can only be read; set NUMBA_CACHE_DIR" in told.message


ONLY_THE_ROOT_CAN_BE_WRITTEN = """
mount --bind /dev/null /etc/passwd
mount --bind {root} {root}
cut -d ' ' -f 5 /proc/self/mountinfo | while read -r place; do
    case "$place" in {root}|/proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$place" ;; esac
done
if touch {checkout}/tasks/written {temporary}/written 2>/dev/null; then echo "both can still be written"; exit 99; fi
cd /
exec env --ignore-environment PATH="$PATH" PYTHONPATH={checkout} PYTHONDONTWRITEBYTECODE=1 COLUMNS=200 "$@"
"""
"""For a shell in a mount namespace of its own: nobody has a home, and only one folder can be written to."""


@pytest.mark.long
def test_a_run_needs_nothing_but_its_root(tmp_path: Path) -> None:
    """Not HOME, nor a folder for temporary files, nor that of the package; workers included."""
    if not may_mount():
        pytest.skip("no disk can be mounted here")
    root = tmp_path / "root"
    root.mkdir()
    ratings = tmp_path / "ratings.csv"
    rows = (f"{user},{item},{1 + user * item % 5}" for user in range(30) for item in range(1 + user % 3, 30, 3))
    ratings.write_text("\n".join(("user,item,rating", *rows)), encoding="utf-8")
    script = ONLY_THE_ROOT_CAN_BE_WRITTEN.format(root=root, checkout=CHECKOUT, temporary=tempfile.gettempdir())
    few = ("train.rank=2", "train.epochs=1", "ranking.count=0", "report.write=false", "cluster.threads=1", UNGATED)
    words = ["-m", "funkflow", "run", f"--ratings={ratings}", f"--root={root}", *(f"--set={each}" for each in few)]
    line = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "compiled kernels are not kept" not in done.stderr
    assert len(list(root.glob("runs/*/model/model.json"))) == 1
    assert not list(root.glob(".funkflow-temporary*"))
