"""What `model.json` says of the prior of new rows, and the names of its file and column.

Covers: the content and the names, for programs that fold nothing in. Does not cover: the files (new_row_prior.py).
"""

from __future__ import annotations

from typing import TypedDict

COLUMN, FILE = "second_factors", "new_rows.parquet"


class NewRowsAbout(TypedDict):
    """The priors of new rows: the file of both sides, the noise variance, and whether items have second factors."""

    path: str
    checksum: str
    noise: float
    second_factors: bool
