"""A disk of a few MiB that can be filled: a tmpfs.

Covers: mounting and unmounting it, and whether this machine lets us. Does not cover: filling it (deeds.py).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

MIB = 64


@cache
def may_mount() -> bool:
    """Say whether this process may mount a tmpfs: on most machines only root may."""
    with TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a tmpfs of `MIB` MiB at `folder`, which is made, while the body runs."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MIB}m", "funkflow-chaos", str(folder)], check=True, capture_output=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
