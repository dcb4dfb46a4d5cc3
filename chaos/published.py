"""What lies under a root: whether all that counts is whole, and the bits that must be the same whatever happened.

Covers: every manifest's files by length and, where the manifest has it, by checksum; leftovers of cut-off writes; bits.
Does not cover: reading what the files say (the program does that itself).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from funkflow.tasks.storage import files

Bits = dict[str, str]


def broken(root: Path) -> list[str]:
    """Say in lines what counts and is not whole: a manifest that is no JSON, or a file that is not as it says."""
    return [line for manifest in sorted(root.rglob("manifest.json")) for line in _broken_in(manifest)]


def leftovers(root: Path) -> list[str]:
    """Return files that a cut-off write left, and scratch: a finished run must leave none."""
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.name.endswith(".part") or (path.name == ".funkflow-scratch" and any(path.iterdir()))
    )


def bits(root: Path, reconstruction: Path | None = None) -> Bits:
    """Return the checksums of the factors, their spectrum and the reconstruction, and the RMSE to the last digit."""
    (run,) = (root / "runs").iterdir()
    found = {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((run / "model").rglob("*.parquet"))
        if path.is_file()
    }
    found["rmse"] = repr(json.loads((run / "evaluation" / "manifest.json").read_text())["model"]["rmse"])
    if reconstruction is not None:
        parts = sorted(path for path in reconstruction.rglob("*.parquet") if path.is_file())
        found |= {f"reconstruction/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in parts}
    return found


def _broken_in(path: Path) -> Iterator[str]:
    try:
        manifest = json.loads(path.read_text())
    except ValueError:
        yield f"{path}: not JSON"
        return
    for name, size in manifest.get("files", {}).items():
        file = path.parent / name
        there = file.stat().st_size if file.exists() else None
        if there != size:
            yield f"{file}: {there} bytes, its manifest says {size}"
    home = path.parent.parent / "checkpoints" if manifest.get("kind") == "training" else path.parent
    for name, checksum in _checksums(manifest):
        if (home / name).is_file() and files.checksum((home / name).read_bytes()) != checksum:
            yield f"{home / name}: does not match its checksum"


def _checksums(content: Any) -> Iterator[tuple[str, str]]:
    """Yield every path that stands beside a checksum, anywhere in a manifest."""
    if isinstance(content, dict):
        if isinstance(content.get("path"), str) and isinstance(content.get("checksum"), str):
            yield content["path"], content["checksum"]
        content = list(content.values())
    if isinstance(content, list):
        for each in content:
            yield from _checksums(each)
