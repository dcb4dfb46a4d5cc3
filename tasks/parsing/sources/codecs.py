"""Names and codecs of packed files: gzip, bzip2, xz and Zstandard, alone or around a tar.

Covers: recognising them by name, a stream of their plain bytes, the errors of damaged ones.
Does not cover: members of archives (archives.py), or files of other kinds (other_kinds.py).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from typing import IO, TYPE_CHECKING, cast

from funkflow.tasks.late import late

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = late("pyarrow")


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
"""Patterns of names' endings: of files that may be packed, and of tars."""


def damage(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return exceptions for broken bytes, and others; bzip2 and Zstandard also raise an OSError without a number."""
    return *others, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, pa.ArrowException


def codec_of(name: str) -> str:
    """Return the codec of a file of this name; "" for a plain file."""
    return next((codec for suffix, codec in _CODECS.items() if name.lower().endswith(suffix)), "")


def is_packed_tar(name: str) -> bool:
    """Return whether unpacking a file of this name gives a tar."""
    return name.lower().endswith(_TARS) or (codec_of(name) != "" and plain_name(name).lower().endswith(".tar"))


def plain_name(name: str) -> str:
    """Return the name of a packed file without its codec's suffix; other names stay as they are."""
    suffix = next((each for each in _CODECS if name.lower().endswith(each) and each not in _TARS), "")
    return name[: len(name) - len(suffix)]


def unpack_stream(packed: IO[bytes], codec: str) -> IO[bytes]:
    """Return a stream of the plain bytes of a packed stream; it holds a few MiB in memory."""
    if codec == "gzip":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=packed))
    if codec in ("bzip2", "xz"):
        return bz2.open(packed) if codec == "bzip2" else lzma.open(packed)
    return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), "zstd"))
