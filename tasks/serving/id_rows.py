"""The raw ids of one side of a model as mapped arrays: the row of an id, and the ids of rows.

Covers: integers and texts, and words of a request as ids of the model's kind.
Does not cover: the ids of a dataset (tasks/parsing/ids.py), ids in memory (tasks/model/model.py).

A hash table of 480,189 ids would have to be built in each process. A search in the sorted ids takes some microseconds,
and reads a few pages.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funkflow.tasks.errors import BadInput, UnknownId
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import numbers_of
from funkflow.tasks.storage.npy import map_array, write_array

RawId = int | str
Side = Literal["user", "item"]
_INTEGER = re.compile(r"-?[0-9]{1,100}")
_LONGEST_SHOWN = 60


def write_ids(folder: str, side: Side, ids: pa.Array) -> dict[str, str]:
    """Write the raw ids of all rows, in their order; return the checksums of the files by name.

    ids : integers or texts (n,).
    """
    written: dict[str, npt.NDArray[Any]] = {"order": numbers_of(pc.sort_indices(ids)).astype(np.int64)}
    if pa.types.is_integer(ids.type):
        written["ids"] = numbers_of(ids).astype(np.int64)
    else:
        texts = ids.cast(pa.large_string())
        _, ends, data = texts.buffers()
        bounds = np.frombuffer(ends, np.int64)[texts.offset :][: len(texts) + 1]
        written["text_ends"] = bounds - bounds[0]
        written["texts"] = np.frombuffer(data or b"", np.uint8)[bounds[0] : bounds[-1]]
    return {
        f"{side}_{name}.npy": write_array(files.join(folder, f"{side}_{name}.npy"), array)
        for name, array in written.items()
    }


@dataclass(frozen=True)
class IdRows:
    """The raw ids of the rows of one side.

    `order` : int64 (n,), rows by ascending ids; `searchsorted` would copy all of another type. `ids` : int64 (n,); of
    texts: None, and `texts`, uint8, has the UTF-8 of row j from `text_ends[j]` to `text_ends[j + 1]`, int64 (n + 1,).
    """

    side: Side
    order: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64] | None
    texts: npt.NDArray[np.uint8]
    text_ends: npt.NDArray[np.int64]

    @classmethod
    def mapped(cls, folder: str, side: Side, is_text: bool) -> IdRows:
        """Return the ids that `write_ids` wrote, mapped into memory."""
        names = ("order", "texts", "text_ends") if is_text else ("order", "ids")
        found = {name: map_array(files.join(folder, f"{side}_{name}.npy")) for name in names}
        none: dict[str, Any] = (
            {"ids": None} if is_text else {"texts": np.empty(0, np.uint8), "text_ends": np.zeros(1, np.int64)}
        )
        return cls(side=side, **found, **none)

    def row(self, raw_id: RawId) -> int:
        """Return the row of a raw id, or of the word for it.

        Raises
        ------
        UnknownId
            The model does not have it.
        BadInput
            It is of another kind: a word that is no integer, or a number while the ids are texts.
        """
        found = self.find(raw_id)
        if found < 0:
            raise UnknownId(
                f"{self.side} {_shown(raw_id)}: this id is not in the model; leave it out, or give an id as the "
                "ratings have it"
            )
        return found

    def find(self, raw_id: RawId) -> int:
        """Return the row of a raw id as `row` does; -1 if the model does not have it."""
        plain = self.plain(raw_id)
        return self._find_text(plain) if isinstance(plain, str) else self._find_integer(plain)

    def plain(self, raw_id: RawId) -> RawId:
        """Return a raw id, or the word for it, in the type of the model's ids; raise BadInput as `row` does."""
        if self.ids is None:
            if not isinstance(raw_id, str):
                raise BadInput(f"{self.side} {raw_id}: the {self.side} ids of this model are texts; give one")
            return raw_id
        if isinstance(raw_id, str) and not _INTEGER.fullmatch(raw_id):
            raise BadInput(f"{self.side} '{_shown(raw_id)}': the {self.side} ids of this model are integers; give one")
        return int(raw_id)

    def _find_integer(self, raw_id: int) -> int:
        assert self.ids is not None
        if not -(2**63) <= raw_id < 2**63:
            return -1
        place = int(self.ids.searchsorted(raw_id, sorter=self.order))
        row = int(self.order[place]) if place < len(self.order) else -1
        return row if row >= 0 and self.ids[row] == raw_id else -1

    def _find_text(self, raw_id: str) -> int:
        wanted = raw_id.encode("utf-8", "surrogatepass")
        place = bisect_left(self.order, wanted, key=self._text_of)
        row = int(self.order[place]) if place < len(self.order) else -1
        return row if row >= 0 and self._text_of(row) == wanted else -1

    def at(self, rows: npt.NDArray[np.integer]) -> list[RawId]:
        """Return the raw ids of rows."""
        if self.ids is not None:
            integers: list[RawId] = self.ids[rows].tolist()
            return integers
        return [self._text_of(row).decode() for row in rows.tolist()]

    def _text_of(self, row: Any) -> bytes:
        return self.texts[self.text_ends[row] : self.text_ends[row + 1]].tobytes()


def _shown(raw_id: RawId) -> str:
    """Return an id for a message of one line."""
    text = str(raw_id)
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
