"""The list of erased users and items, which no dataset under a root may hold; it has only keyed hashes.

Covers: the list and its file, adding ids, and finding raw ids on the list.
Does not cover: older files with erased ids (pipeline/datasets/erasure.py), or dropping their rows
(tasks/dataset/write_part.py).

The key lies beside the hashes: nobody can read ids off the list, but anyone who can read the root can test whether an
id they know is on it.
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
class ErasedIds:
    """The list of one root. `key`: hex; `user`, `item`: marks of ids, each a keyed BLAKE2b hash in hex."""

    key: str = ""
    user: frozenset[str] = frozenset()
    item: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.user or self.item)

    def marks(self, side: str) -> frozenset[str]:
        """Return the marks of one side, "user" or "item"."""
        return self.user if side == "user" else self.item

    def mark(self, side: str, raw_id: object) -> str:
        """Return the mark of an id; the integer 7 and the text "7" share one, as no dataset has both."""
        data = f"{side}:{raw_id}".encode()
        return hashlib.blake2b(data, key=bytes.fromhex(self.key), digest_size=_MARK_BYTES).hexdigest()

    def holds(self, side: str, raw_ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Return, bool (n,), which raw ids are on the list."""
        marks = self.marks(side)
        if not marks:
            return np.zeros(len(raw_ids), np.bool_)
        return np.fromiter((self.mark(side, each) in marks for each in raw_ids.to_pylist()), np.bool_, len(raw_ids))

    def adding(self, user: Iterable[str] = (), item: Iterable[str] = ()) -> ErasedIds:
        """Return the list with more ids on it."""
        keyed = self if self.key else replace(self, key=secrets.token_hex(_KEY_BYTES))
        return replace(
            keyed,
            user=self.user | {keyed.mark("user", each) for each in user},
            item=self.item | {keyed.mark("item", each) for each in item},
        )

    def written(self) -> dict[str, list[str]]:
        """Return the marks for a dataset's manifest; {} if there are none."""
        return {side: sorted(self.marks(side)) for side in SIDES if self.marks(side)}

    def covers(self, marks: dict[str, list[str]]) -> bool:
        """Return whether all marks of a dataset's manifest are on this list."""
        return all(set(each) <= self.marks(side) for side, each in marks.items())


NOBODY = ErasedIds()


def read_forgotten(url: str) -> ErasedIds:
    """Read the list of a root; return an empty list if there is no such file.

    Raises
    ------
    DamagedFile
        Someone else has changed the file.
    """
    content: Any = files.json_if_there(url)
    if content is None:
        return NOBODY
    if not isinstance(content, dict) or "key" not in content:
        raise DamagedFile(f"{url}: not a list of forgotten ids; put back the file that funkflow forget wrote")
    inner = files.without_seal(url, content)
    return ErasedIds(inner["key"], frozenset(inner["user"]), frozenset(inner["item"]))


def write_forgotten(url: str, forgotten: ErasedIds) -> None:
    """Write the list of a root."""
    content = {side: sorted(forgotten.marks(side)) for side in SIDES}
    files.write_sealed(url, {"key": forgotten.key, **content})
