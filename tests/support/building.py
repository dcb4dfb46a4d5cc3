"""Build the project's wheel from a clean copy of its sources: for test_packaging.py, and as a command for .ci/run.

Covers: `build_wheel`, which leaves nothing in the checkout and takes nothing from earlier builds in it.
Does not cover: installing the wheel, or what must be in it (test_packaging.py).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "conf", "funkflow", "pipeline", "tasks")


def build_wheel(folder: Path) -> Path:
    """Build with the setuptools of this environment, without an index, into `folder`; return the wheel's path.

    Raises
    ------
    RuntimeError
        The build failed; the message is pip's output.
    """
    with tempfile.TemporaryDirectory() as copy:
        for name in SOURCES:
            source, target = CHECKOUT / name, Path(copy, name)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
        built = subprocess.run(
            [*command, "--wheel-dir", str(folder), copy], capture_output=True, text=True, check=False
        )
    if built.returncode != 0:
        raise RuntimeError(f"the wheel does not build: {built.stdout}{built.stderr}")
    (wheel,) = folder.glob("funkflow-*.whl")
    return wheel


if __name__ == "__main__":
    print(build_wheel(Path(sys.argv[1])))
