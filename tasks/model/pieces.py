"""The matrix A_ρ of a saved model with its users in parts, cut into pieces of whole rows.

Covers: the rows of a piece, by part, and multiplying a piece out.
Does not cover: uses of a piece (pipeline/stages/reconstruct.py, pipeline/models/lazy_array.py), memory
(pipeline/models/row_pieces.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from funkflow.tasks.model.canonical import Rotations
from funkflow.tasks.model.low_rank import ItemSide, low_rank_items
from funkflow.tasks.model.parts import ModelPart, ModelParts

ITEM_BYTES = np.dtype(np.float32).itemsize
"""A rating in a piece."""


@dataclass(frozen=True)
class Cut:
    """Piece `number`: `rows` rows from row `start` of the model on, as (part, first row, row after the last) each."""

    number: int
    start: int
    rows: int
    slices: tuple[tuple[int, int, int], ...]


def rows_of(piece_bytes: int, items: int) -> int:
    """Return the number of rows of a piece."""
    return max(1, piece_bytes // (max(1, items) * ITEM_BYTES))


def cut_rows(counts: Sequence[int], rows: int) -> list[Cut]:
    """Return pieces of `rows` rows, the last with the rest. `counts` : rows of each part, in order."""
    ends = np.cumsum([0, *counts]).tolist()
    cuts = []
    for number, start in enumerate(range(0, ends[-1], rows)):
        stop = min(start + rows, ends[-1])
        slices = tuple(
            (part, max(start, first) - first, min(stop, after) - first)
            for part, (first, after) in enumerate(pairwise(ends))
            if max(start, first) < min(stop, after)
        )
        cuts.append(Cut(number, start, stop - start, slices))
    return cuts


def read_item_side(parts: ModelParts, rotations: Rotations | None, rank: int, clip: bool) -> ItemSide:
    """Return the item side of A_ρ, in float32; without rotations if it keeps all factors."""
    scale = parts.scale if clip else None
    return low_rank_items(
        parts.item_side(), parts.mean, scale, rotations, rank, dtype=np.float32, transform=parts.transform
    )


def multiplied_out(
    cut: Cut, side: ItemSide, loaded: Sequence[ModelPart]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.floating[Any]]]:
    """Return the raw ids and the ratings (rows, items) of a piece. `loaded` : the parts of its slices, in order."""
    ids, biases, factors = (
        np.concatenate(
            [getattr(part, name)[first:after] for part, (_, first, after) in zip(loaded, cut.slices, strict=True)]
        )
        for name in ("raw_ids", "biases", "factors")
    )
    return ids, side.block(factors, biases)


def ratings_of_piece(cut: Cut, side: ItemSide, loaded: list[ModelPart]) -> npt.NDArray[Any]:
    """Return the ratings of a piece, without raw ids."""
    return multiplied_out(cut, side, loaded)[1]
