"""A server of the model in use as a process, and connections to it that stay open.

Covers: starting `funkflow serve` on a free port, what it says, and requests one after another on one connection.
Does not cover: which models change meanwhile (promotions.py), how fast it is (bench/requests.py).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from pathlib import Path
from types import TracebackType

from chaos import forked

CHECKOUT = Path(__file__).parent.parent
_LISTENING = re.compile(r"listening on http://(\S+):(\d+),")
_START_SECONDS, _END_SECONDS = 60.0, 40.0


class Server:
    """A process that serves from entering to leaving.

    Parameters
    ----------
    words : of `funkflow serve`, beside the port.
    log : file that it writes its lines to.
    anew : start a new process, as users do, not a fork.
    """

    def __init__(self, words: list[str], log: Path, anew: bool = False) -> None:
        self.log = log
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "200"}
        log.unlink(missing_ok=True)
        log.touch()
        self.process = forked.started(
            ["funkflow", "serve", "--port", "0", *words], environment, (str(log), str(log)), anew=anew
        )

    def __enter__(self) -> Server:
        found = _LISTENING.search(self.wait_for(_LISTENING))
        assert found is not None
        self.host, self.port = found[1], int(found[2])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(_END_SECONDS)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def wait_for(self, words: str | re.Pattern[str], seconds: float = _START_SECONDS) -> str:
        """Return what the server has said, once these words are in it; raise TimeoutError otherwise."""
        pattern, end = re.compile(words), time.monotonic() + seconds
        while not pattern.search(said := self.log.read_text(encoding="utf-8")):
            if self.process.poll() is not None or time.monotonic() > end:
                raise TimeoutError(f"the server has not said {pattern.pattern!r}: {said}")
            time.sleep(0.02)
        return said

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell the server to end; return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_END_SECONDS)


class Connection:
    """A connection of HTTP/1.1 that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, host: str, port: int) -> Connection:
        return cls(*await asyncio.open_connection(host, port))

    async def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: funkflow\r\n\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        return int(head.split(b" ", 2)[1]), await self._reader.readexactly(int(found[1]) if found else 0)

    def close(self) -> None:
        self._writer.close()
