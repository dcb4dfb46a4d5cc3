"""Standard output and standard error of a command, set up at its start.

Covers: characters that the encoding of a terminal or pipe lacks, and readers that have gone away.
Does not cover: printed text (lines.py, pipeline/results/tables.py); a full disk behind a stream stays an error.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any


def make_output_safe() -> None:
    """Replace both streams so that a failed write never ends a run: a run is worth more than a line about it."""
    sys.stdout, sys.stderr = (_safe(stream) for stream in (sys.stdout, sys.stderr))


def _safe(stream: Any) -> Any:
    """Return a stream of the same encoding that escapes missing characters, and drops text that nobody reads."""
    try:
        place = stream.fileno()
    except (AttributeError, OSError):  # closed by who started us, or no file
        return stream
    stream.flush()
    errors = "backslashreplace" if stream.errors in ("strict", "surrogateescape") else stream.errors
    return io.TextIOWrapper(
        io.BufferedWriter(_Unbroken(place)),
        encoding=stream.encoding,
        errors=errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Unbroken(io.FileIO):
    """A pipe, terminal or file that leads nowhere once its reader has gone."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._gone = (errno.EPIPE, errno.EIO) if self.isatty() else (errno.EPIPE,)  # EIO of a disk is a loss

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as cause:
            if cause.errno not in self._gone:
                raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        return memoryview(data).nbytes
