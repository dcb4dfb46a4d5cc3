"""Looks at `current.json` again and again while runs are struck: it must always point at a whole model.

Covers: loading the model that it points at, as a program that serves it would.
Does not cover: which model it must be (soak_checks.py).
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from funkflow.tasks.model.model import Model

_LOOKS_APART_SECONDS = 0.2


class PointerWatch:
    """A thread that looks, from entering to leaving. `looks`, `moves` : how often it looked, and saw another model."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.looks = self.moves = 0
        self.complaints: list[str] = []
        self._seen = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PointerWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.look()

    def look(self) -> None:
        """Load what the pointer points at, and note what is wrong with it."""
        pointer = self.root / "current.json"
        try:
            text = pointer.read_text(encoding="utf-8")
        except FileNotFoundError:
            if self._seen:
                self.complaints.append("current.json is gone")
            return
        self.looks += 1
        try:
            model = self.root / json.loads(text)["model"]
            loaded = Model.load(str(model))
            if not len(loaded.predict(loaded.user_ids[:3], loaded.item_ids[:3])):
                raise ValueError("predicts nothing")
        except Exception as error:  # whatever it is, nobody could serve this model
            self.complaints.append(f"current.json points at what is no whole model: {type(error).__name__}: {error}")
        self.moves += text != self._seen
        self._seen = text

    def _watch(self) -> None:
        while not self._over.wait(_LOOKS_APART_SECONDS):
            self.look()
