"""Columns as one safetensors file, written block by block.

Covers: the file: the length of the header (8 bytes), the header as JSON, and the tensors one after another. The package
safetensors wants all tensors in memory to write them, so only readers need it.
Does not cover: the columns (columns.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from funkflow.tasks.model.forms.columns import Column
from funkflow.tasks.storage.filesystems import streamed

_DTYPES = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64", np.dtype(np.uint8): "U8"}
_ALIGNMENT = 8


def write_safetensors(url: str, columns: Sequence[Column], metadata: Mapping[str, str]) -> None:
    """Write the columns as tensors, those of the widest numbers first, so that each one is aligned."""
    ordered = sorted(columns, key=lambda column: -column.dtype.itemsize)
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for column in ordered:
        end = start + column.bytes
        header[column.name] = {
            "dtype": _DTYPES[column.dtype],
            "shape": list(column.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with streamed(url) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for column in ordered:
            for piece in column.pieces():
                file.write(piece)
