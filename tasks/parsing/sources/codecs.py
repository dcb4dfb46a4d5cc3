"""Names and codecs of packed files: gzip, bzip2, xz and Zstandard, alone or around a tar.

Covers: recognising them by name, a stream of their plain bytes, the errors of damaged ones, a whole file as text.
Does not cover: members of archives (archives.py), or files of other kinds (other_kinds.py).
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from typing import IO, TYPE_CHECKING, cast

from funkflow.tasks.errors import BadInput
from funkflow.tasks.late import late
from funkflow.tasks.storage import files

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


def read_text(url: str, encoding: str) -> str:
    """Return a whole file as text, unpacked, without a byte order mark.

    Raises
    ------
    BadInput
        It is damaged, or has another encoding; the message names the line.
    """
    data, codec = files.read_bytes(url), codec_of(url)
    try:
        plain = unpack_stream(io.BytesIO(data), codec).read() if codec else data
    except damage(OSError) as cause:
        raise BadInput(f"{url}: the file is damaged or cut short ({cause}); fetch it again") from cause
    try:
        return plain.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as cause:
        line = plain.count(b"\n", 0, cause.start) + 1
        raise BadInput(
            f"{url}:{line}: wrong encoding: byte {plain[cause.start]:#04x} is not UTF-8; "
            "convert it, for instance by iconv -f LATIN1 -t UTF-8"
        ) from cause
