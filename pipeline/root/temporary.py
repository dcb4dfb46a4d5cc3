"""Folders that go away: a root for this process, and temporary files on a machine without a writable folder for them.

Covers: the root of runs that name none, until the end of the process; a folder below a local root, for a run and its
workers; the refusal without one.
Does not cover: temporary files of a stage under its root (store.py: scratch).
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from funkflow.tasks.errors import SettingsError

_ROOTS: dict[int, str] = {}
"""By process: a fork has a root of its own, and leaves its parent's alone."""


def temporary_root() -> str:
    """Return the temporary root of this process; its first use makes it."""
    process = os.getpid()
    if process not in _ROOTS:
        _ROOTS[process] = tempfile.mkdtemp(prefix="funkflow-")
        atexit.register(_remove, process)
    return _ROOTS[process]


def _remove(process: int) -> None:
    if process == os.getpid():
        shutil.rmtree(_ROOTS.pop(process), ignore_errors=True)


@contextmanager
def temporary_files(root: str) -> Iterator[None]:
    """Provide a folder for temporary files while the body runs: the machine's, or one below a local root."""
    if has_temporary_folder() or "://" in root:
        yield
        return
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix=".funkflow-temporary-", dir=os.path.abspath(root)) as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = None
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before


def refuse_without_temporary_folder() -> None:
    """Raise SettingsError if Dask's workers would have no folder for temporary files."""
    if not has_temporary_folder():
        raise SettingsError(
            "no folder for temporary files is writable, neither /tmp nor the working folder; set TMPDIR to a "
            "writable one"
        )


def has_temporary_folder() -> bool:
    """Return whether Python finds a folder for temporary files."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return False
    return True
