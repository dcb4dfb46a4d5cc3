"""Users and items that no dataset under a root may hold any more, known by keyed hashes alone.

Covers: the list and its file, adding to it, and telling which of some raw ids are on it.
Does not cover: what of older files still holds them (pipeline/datasets/erasure.py), or leaving out their rows
(tasks/dataset/write_part.py).

The key lies beside the hashes, so the list keeps ids from being read off it, not from being tried out: whoever can read
the root can ask whether an id that he knows is on it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.storage import files

SIDES = ("user", "item")
_MARK_BYTES, _KEY_BYTES = 16, 32


@dataclass(frozen=True)
class Forgotten:
    """The list of one root. `key`: hex; `user`, `item`: the marks of ids, each a keyed BLAKE2b hash in hex."""

    key: str = ""
    user: frozenset[str] = frozenset()
    item: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.user or self.item)

    def marks(self, side: str) -> frozenset[str]:
        """Return the marks of one side, "user" or "item"."""
        return self.user if side == "user" else self.item

    def mark(self, side: str, raw_id: object) -> str:
        """Return the mark of an id; the integer 7 and the text "7" have the same, as no dataset has both."""
        named = f"{side}:{raw_id}".encode()
        return hashlib.blake2b(named, key=bytes.fromhex(self.key), digest_size=_MARK_BYTES).hexdigest()

    def holds(self, side: str, raw_ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Return bool (n,): which raw ids are on the list."""
        marks = self.marks(side)
        if not marks:
            return np.zeros(len(raw_ids), np.bool_)
        return np.fromiter((self.mark(side, each) in marks for each in raw_ids.to_pylist()), np.bool_, len(raw_ids))

    def adding(self, user: Iterable[str] = (), item: Iterable[str] = ()) -> Forgotten:
        """Return the list with more ids on it."""
        keyed = self if self.key else replace(self, key=secrets.token_hex(_KEY_BYTES))
        return replace(
            keyed,
            user=self.user | {keyed.mark("user", each) for each in user},
            item=self.item | {keyed.mark("item", each) for each in item},
        )

    def written(self) -> dict[str, list[str]]:
        """Return the marks as a dataset's manifest has them; nothing if there are none."""
        return {side: sorted(self.marks(side)) for side in SIDES if self.marks(side)}

    def covers(self, marks: dict[str, list[str]]) -> bool:
        """Say whether all marks of a dataset's manifest are on this list."""
        return all(set(each) <= self.marks(side) for side, each in marks.items())


NOBODY = Forgotten()


def read_forgotten(url: str) -> Forgotten:
    """Read the list of a root; an empty one if there is no such file.

    Raises
    ------
    DamagedFile
        It was changed by other hands.
    """
    content: Any = files.json_if_there(url)
    if content is None:
        return NOBODY
    if not isinstance(content, dict) or "key" not in content:
        raise DamagedFile(f"{url}: not a list of forgotten ids; put back the file that funkflow forget wrote")
    inner = files.without_seal(url, content)
    return Forgotten(inner["key"], frozenset(inner["user"]), frozenset(inner["item"]))


def write_forgotten(url: str, forgotten: Forgotten) -> None:
    """Write the list of a root."""
    content = {side: sorted(forgotten.marks(side)) for side in SIDES}
    files.write_sealed(url, {"key": forgotten.key, **content})
