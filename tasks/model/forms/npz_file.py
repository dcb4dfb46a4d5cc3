"""Columns as one .npz file of NumPy, written block by block.

Covers: the file. `numpy.load` reads it without pickle. The same columns give the same bytes.
Does not cover: the columns (columns.py).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence

import numpy as np

from funkflow.tasks.model.forms.columns import Column
from funkflow.tasks.storage.filesystems import streamed


def write_npz(url: str, columns: Sequence[Column]) -> None:
    """Write the columns as arrays, uncompressed: factors look random and would shrink by a few percent."""
    with streamed(url) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for column in columns:
            header = {
                "descr": np.lib.format.dtype_to_descr(column.dtype),
                "fortran_order": False,
                "shape": column.shape,
            }
            # A ZipInfo has a fixed date, and the time of writing would change the bytes.
            with archive.open(zipfile.ZipInfo(f"{column.name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array_header_1_0(entry, header)
                for piece in column.pieces():
                    entry.write(piece)
