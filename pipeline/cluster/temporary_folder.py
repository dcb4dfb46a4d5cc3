"""A folder for temporary files where the machine has none that can be written to.

Covers: one below a local root, for this process and the workers that it starts; the refusal where there is none.
Does not cover: what a stage keeps for a while under its root (pipeline/root/store.py: scratch).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from funkflow.tasks.errors import SettingsError


@contextmanager
def temporary_files(root: str) -> Iterator[None]:
    """Have a folder for temporary files while the body runs: the machine's, or else one below a local root."""
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
    """Raise SettingsError where Dask's workers would have no folder for temporary files."""
    if not has_temporary_folder():
        raise SettingsError(
            "no folder for temporary files can be written to, neither /tmp nor the working folder; set TMPDIR to one "
            "that can"
        )


def has_temporary_folder() -> bool:
    """Say whether Python finds a folder for temporary files."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return False
    return True
