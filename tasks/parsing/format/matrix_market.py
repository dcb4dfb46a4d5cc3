"""Matrix Market: lines of row, column and value below a banner, comments and a line of sizes.

Covers: recognising such a file, and refusing one whose rows are no ratings.
Does not cover: reading the rows, which are text separated by spaces (tasks/parsing/rows/text.py).
"""

from __future__ import annotations

from funkflow.tasks.errors import BadInput

_BANNER = "%%MatrixMarket"


def is_matrix_market(lines: list[str]) -> bool:
    """Return whether the first line is the banner of a Matrix Market file."""
    return lines[0].startswith(_BANNER)


def lines_below_sizes(lines: list[str], name: str) -> list[str]:
    """Return the rows among the first lines of a Matrix Market file, none of them empty.

    Raises
    ------
    BadInput
        The matrix is dense, or has only a half of its entries, or no row is there.
    """
    kind = lines[0].lower().split()[1:]
    if kind[:2] != ["matrix", "coordinate"] or kind[3:] != ["general"]:
        raise BadInput(
            f"{name}:1: a Matrix Market file of kind {' '.join(kind)!r}; only 'matrix coordinate ... general' has a "
            "line for each rating; write it so, for instance by scipy.io.mmwrite(path, matrix, symmetry='general')"
        )
    rows = [line for line in lines if not line.startswith("%")][1:]
    if not rows:
        raise BadInput(f"{name}: the Matrix Market file has no row below its sizes; leave it out of ingest.ratings")
    return rows
