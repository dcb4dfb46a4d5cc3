"""A folder for temporary files on a machine without a writable one.

Covers: a folder below a local root, for this process and its workers; the refusal without one.
Does not cover: temporary files of a stage under its root (pipeline/root/store.py: scratch).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from funkflow.tasks.errors import SettingsError


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
