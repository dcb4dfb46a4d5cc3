"""Write the vectors of a saved model, U and V in canonical or balanced form, part by part.

Covers: the item side, which one task has whole, and one part of the users.
Does not cover: the arithmetic (canonical.py), or which tasks run (pipeline/stages/vectors.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.model.canonical import Matrix, apply_q, combine_r
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.storage import files


def write_item_vectors(
    r_factors: list[Matrix], parts: ModelParts, fold_biases: bool, balanced: bool, folder: str
) -> tuple[Matrix, list[Matrix], list[str]]:
    """Write V in the parts that the model has; return the singular values, each user part's turn, and the files."""
    items = parts.item_side()
    core, turns = combine_r(r_factors, parts.matrix(items, "item", fold_biases))
    values = core.rotations.values
    stretch = np.sqrt(values) if balanced else np.ones(len(values))
    written, start = [], 0
    for number, count in enumerate(parts.item_counts):
        rows = slice(start, start + count)
        written.append(_write_part_of(folder, number, items.raw_ids[rows], core.item_vectors[rows] * stretch))
        start += count
    return values, [turn * stretch for turn in turns], written


def write_user_vectors(parts: ModelParts, number: int, fold_biases: bool, turn: Matrix, folder: str) -> str:
    """Write one part of U; return its file."""
    part = parts.user_part(number)
    return _write_part_of(folder, number, part.raw_ids, apply_q(parts.matrix(part, "user", fold_biases), turn))


def _write_part_of(folder: str, number: int, raw_ids: npt.NDArray[Any], rows: Matrix) -> str:
    name = f"part.{number:05d}.parquet"
    column = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(rows).ravel()), rows.shape[1])
    table = pa.table({"raw_id": pa.array(raw_ids), "vector": column})
    files.write_table(files.join(folder, name), table, compression="none", dictionaries=["raw_id"])
    return f"{folder.rsplit('/', 1)[1]}/{name}"
