"""How packed files are called and unpacked: gzip, bzip2, xz and Zstandard, by themselves or around a tar.

Covers: telling them by their names, one stream of plain bytes out of each, what a damaged one raises.
Does not cover: members of archives (archives.py), or files of other kinds (other_kinds.py).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from typing import IO, cast

import pyarrow as pa

_CODECS = {
    ".gz": "gzip",
    ".tgz": "gzip",
    ".bz2": "bzip2",
    ".tbz2": "bzip2",
    ".tbz": "bzip2",
    ".xz": "xz",
    ".txz": "xz",
    ".zst": "Zstandard",
    ".tzst": "Zstandard",
}
_TARS = (".tgz", ".tbz2", ".tbz", ".txz", ".tzst")

PACKED = r"(\.(gz|bz2|xz|zst))?"
TARS = r"\.(tar" + PACKED + r"|tgz|tbz2?|txz|tzst)"
"""For patterns of names: the end of one that may be packed, and of one that is a tar."""

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, pa.ArrowException)
"""What broken bytes raise; bzip2 and Zstandard raise an OSError without a number, too."""


def codec_of(name: str) -> str:
    """Return how a file of this name is packed; "" if it is not."""
    return next((codec for suffix, codec in _CODECS.items() if name.lower().endswith(suffix)), "")


def is_packed_tar(name: str) -> bool:
    """Say whether unpacking a file of this name gives a tar."""
    return name.lower().endswith(_TARS) or (codec_of(name) != "" and plain_name(name).lower().endswith(".tar"))


def plain_name(name: str) -> str:
    """Return what a packed file is called when it is unpacked; any other keeps its name."""
    suffix = next((each for each in _CODECS if name.lower().endswith(each) and each not in _TARS), "")
    return name[: len(name) - len(suffix)]


def unpacked(packed: IO[bytes], codec: str) -> IO[bytes]:
    """Return a stream of the plain bytes of a packed one, of which only a few MiB are held."""
    if codec == "gzip":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=packed))
    if codec in ("bzip2", "xz"):
        return bz2.open(packed) if codec == "bzip2" else lzma.open(packed)
    return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), "zstd"))
