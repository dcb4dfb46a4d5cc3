"""Write the vectors of a saved model, U and V in canonical or balanced form, part by part.

Covers: one part of either side.
Does not cover: the arithmetic (canonical.py), or which tasks run (pipeline/stages/vectors.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.model.about import SideName
from funkflow.tasks.model.canonical import Matrix, apply_q
from funkflow.tasks.model.parts import ModelParts, read_part
from funkflow.tasks.storage import files


def write_vectors(parts: ModelParts, side: SideName, number: int, fold_biases: bool, turn: Matrix, folder: str) -> str:
    """Write one part of U or V; return its file. `turn` : of the part, from the core, stretched if it is wanted so."""
    part = read_part(*(parts.users if side == "user" else parts.items)[number], parts.rank)
    rows = apply_q(parts.matrix(part, side, fold_biases), turn, f"{side} factors")
    return _write_part_of(folder, number, part.raw_ids, rows)


def _write_part_of(folder: str, number: int, raw_ids: npt.NDArray[Any], rows: Matrix) -> str:
    name = f"part.{number:05d}.parquet"
    column = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(rows).ravel()), rows.shape[1])
    table = pa.table({"raw_id": pa.array(raw_ids), "vector": column})
    files.write_table(files.join(folder, name), table, compression="none", dictionaries=["raw_id"])
    return f"{folder.rsplit('/', 1)[1]}/{name}"
