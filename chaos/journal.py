"""What happened in one attempt, as JSON lines that outlive the processes which wrote them.

Covers: appending from any process, reading.
Does not cover: what is written (striker.py, deeds.py), or what it proves (trial.py).
"""

from __future__ import annotations

import json
import os
import time
from typing import Any


def note(path: str, event: str, **facts: Any) -> None:
    """Append one line in one write, so that lines of several processes do not mix, and a kill loses none.

    `time` is added, in seconds; all processes are on one machine and share its clock.
    """
    line = (json.dumps({"event": event, "time": time.time(), **facts}) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def read(path: str) -> list[dict[str, Any]]:
    """Return all lines so far, oldest first; none where nothing was written."""
    try:
        with open(path, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
    except FileNotFoundError:
        return []
