"""axe-core, which finds what keeps people from using a page: fetched from npm, its content checked, kept outside.

Covers: having its script. Does not cover: its findings (axe.py).
"""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path

_PACKAGE = "axe-core@4.14.1"
_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="


@cache
def axe() -> str | None:
    """Return its script; None where npm is not there or has no way to it."""
    if shutil.which("npm") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        fetched = subprocess.run(
            ["npm", "pack", _PACKAGE, "--silent"], cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
        archives = list(Path(folder).glob("*.tgz"))
        if fetched.returncode != 0 or not archives:
            return None
        content = archives[0].read_bytes()
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if digest != _SHA512:
        raise AssertionError(f"{_PACKAGE}: has sha512 {digest} instead of {_SHA512}")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()
