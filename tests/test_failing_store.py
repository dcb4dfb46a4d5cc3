"""A store that fails now and then: 5 % of its answers are 500 or 503, or break off; the run ends with the same bits.

Covers: a whole run in a bucket, every kind of request, counted at the server.
Does not cover: a store that is away altogether (test_object_store.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from object_store import ObjectStore, Request

from chaos.room import Room

PART = 0.05


class Failing:
    """Interferes with a seeded part of all requests; counts how, and what was asked for."""

    def __init__(self, seed: int) -> None:
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.failed: Counter[tuple[str, str]] = Counter()
        self.asked = 0

    def __call__(
        self, request: Request, environment: dict[str, Any], start_response: Callable[..., Any]
    ) -> list[bytes] | None:
        with self.lock:
            self.asked += 1
            if self.random.random() >= PART:
                return None
            how = self.random.choice(["500 Internal Server Error", "503 Slow Down", "breaks off"])
            self.failed[how, request.kind] += 1
        environment["wsgi.input"].read(request.body_bytes)
        if how == "breaks off":
            environment["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start_response(how if how != "breaks off" else "200 OK", [("Content-Length", "0")])
        return [b""]


@pytest.mark.slow
def test_a_run_in_a_store_that_fails_now_and_then(object_store: ObjectStore, tmp_path: Path) -> None:
    room = Room(tmp_path)
    root = object_store.new_root()
    place = room.place("failing")
    command = [sys.executable, "-m", "pipeline", "run", str(place.settings), "--root", root]
    object_store.interfere = failing = Failing(seed=5)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, env=dict(os.environ))
    object_store.interfere = None
    assert done.returncode == 0, done.stderr
    assert sum(failing.failed.values()) > 0.5 * PART * failing.asked > 5
    assert {how[:3] for how, _ in failing.failed} == {"500", "503", "bre"}
    assert {"get", "put"} <= {kind for _, kind in failing.failed}
    objects = object_store.objects(root)
    found = {
        "model/" + path.partition("/model/")[2]: hashlib.sha256(data).hexdigest()
        for path, data in objects.items()
        if "/model/" in path and path.endswith(".parquet")
    }
    (evaluation,) = (data for path, data in objects.items() if path.endswith("/evaluation/manifest.json"))
    found["rmse"] = repr(json.loads(evaluation)["model"]["rmse"])
    expected = {path: bits for path, bits in room.undisturbed.items() if not path.startswith("reconstruction/")}
    assert found == expected
