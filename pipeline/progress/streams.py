"""How words reach whoever reads them: standard output and standard error, as they are set up when a command starts.

Covers: characters that the encoding of a terminal or pipe does not have, and readers that have gone away.
Does not cover: what commands print (lines.py, pipeline/results/tables.py), or a full disk behind a
stream, which stays an error.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any


def lose_no_run_to_output() -> None:
    """Have what cannot be shown never end a run: the run is worth more than a line about it."""
    sys.stdout, sys.stderr = (_safe(stream) for stream in (sys.stdout, sys.stderr))


def _safe(stream: Any) -> Any:
    """Return a stream of the same encoding that writes what this lacks as escapes, and drops what nobody reads."""
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
    """A pipe, terminal or file that leads nowhere from when its reader has gone."""

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
