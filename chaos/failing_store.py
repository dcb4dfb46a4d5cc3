"""A store that fails now and then: of each 20 requests in a row one is answered 500 or 503, or broken off.

Covers: which requests, how, and noting each. Does not cover: the store (object_store.py), or what a run makes of it.
"""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from chaos import journal
from chaos.object_store import Request

IN_A_ROW = 20
"""Of so many requests one fails: 5 %."""
WAYS = ("500 Internal Server Error", "503 Slow Down", "breaks off")


class Failing:
    """Interferes with requests; `failed` counts how, and what was asked for, and `asked` counts all.

    seed : draws which of 20 fails, and how; `journal_path` : file that notes each.
    """

    def __init__(self, seed: int, journal_path: str) -> None:
        self.random, self.lock, self.journal_path = random.Random(seed), threading.Lock(), journal_path
        self.failed: Counter[tuple[str, str]] = Counter()
        self.asked = self.next = 0

    def __call__(
        self, request: Request, environment: dict[str, Any], start_response: Callable[..., Any]
    ) -> list[bytes] | None:
        how = self._how(request)
        if not how:
            return None
        journal.note(self.journal_path, "failed", how=how, request=request.kind, of=request.key)
        environment["wsgi.input"].read(request.body_bytes)
        if how == "breaks off":
            environment["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start_response(how if how != "breaks off" else "200 OK", [("Content-Length", "0")])
        return [b""]

    def _how(self, request: Request) -> str:
        """Say how this request fails; nothing if it does not."""
        with self.lock:
            place = self.asked % IN_A_ROW
            self.asked += 1
            if place == 0:
                self.next = self.random.randrange(IN_A_ROW)
            if place != self.next:
                return ""
            how = self.random.choice(WAYS)
            self.failed[how, request.kind] += 1
            return how
