"""LIBMF as its authors mean it: its C++ source from the registry, compiled for this machine with vector instructions.

Covers: having the pinned source, compiling it with our driver, and keeping the program until either changes.
Does not cover: what the driver does (libmf_driver.cpp), or running it (libmf_native.py). Nothing of LIBMF is kept in
this repository.

The Python package of the same version is no stand-in: it is compiled without vector instructions, and its `fit` came
to an RMSE of 1.28 on MovieLens 1M, where the same source, driven directly, comes to 0.843 (k = 64, L2 0.06).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "0.9.2"
SOURCE_SHA256 = "11260ed5f2eea534039a443c2f8925dcd91ea047371f3d325ef2fb9b79e9dac9"
COMPILE = ("g++", "-std=c++11", "-O3", "-march=native", "-DUSEAVX", "-DUSEOMP", "-fopenmp", "-pthread", "-w")
DRIVER = Path(__file__).with_name("libmf_driver.cpp")
CACHE = Path("data/bench/libmf")


class NotBuilt(Exception):
    """LIBMF's source could not be had or not be compiled; the message is one line."""


def build(cache: Path = CACHE) -> Path:
    """Return the compiled driver, made now or kept from before; its name holds a checksum of all it is made from.

    Raises
    ------
    NotBuilt
        No source, another source than the pinned one, or no compiler that takes it.
    """
    recipe = DRIVER.read_bytes() + " ".join((SOURCE_SHA256, *COMPILE, _processor())).encode()
    program = cache / f"libmf-driver-{hashlib.sha256(recipe).hexdigest()[:16]}"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            source = _unpacked(_downloaded(Path(scratch)), Path(scratch))
            made = Path(scratch) / "driver"
            words = [*COMPILE, f"-I{source}", str(DRIVER), str(source / "mf.cpp"), "-o", str(made)]
            _run(words, "cannot compile LIBMF")
            made.rename(program)
    return program


def _processor() -> str:
    """Return what `-march=native` depends on, so that a cache that moves to another machine is not trusted."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith("flags")), "")


def _downloaded(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    _run([*pip, "--no-binary", ":all:", "--no-deps", f"libmf=={VERSION}", "--dest", str(folder)], "cannot have LIBMF")
    archive = folder / f"libmf-{VERSION}.tar.gz"
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SOURCE_SHA256:
        raise NotBuilt(f"the source of libmf {VERSION} has checksum {found}, expected {SOURCE_SHA256}")
    return archive


def _unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / f"libmf-{VERSION}" / "src_cpp"


def _run(words: list[str], what: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as cause:
        raise NotBuilt(f"{what}: {cause}") from cause
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "rror" in line] or done.stderr.splitlines()[-1:]
        raise NotBuilt(f"{what}: {errors[0].strip() if errors else f'exit code {done.returncode}'}")


if __name__ == "__main__":
    sys.stdout.write(f"{build()}\n")
