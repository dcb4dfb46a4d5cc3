"""A comparison as a table in the terminal.

Covers: its layout. Does not cover: its numbers (runs.py).
"""

from __future__ import annotations

from dask.utils import format_bytes
from rich.console import Group
from rich.table import Table
from rich.text import Text

from funkflow.pipeline.results.comparison.runs import ComparedRun, Comparison
from funkflow.pipeline.results.tables import text_table
from funkflow.tasks.digits import rounded

REFERENCES = {"mean": "mean rating", "biases": "biases only"}
MODEL, PURE_MODEL = "A ≈ µ + b_u + b_i + U Vᵀ", "A ≈ U Vᵀ"
AXES = (("rank", "rank"), ("seconds", "seconds of training"))
"""Of drawings: fields of a row, and their names."""
HEADS = ("method", "rank", "RMSE", "training", "seconds", "peak memory", "took")
"""RMSE on the validation and on the training ratings. What the last column counts goes with its number: epochs, or
products with the matrix."""


def comparison_table(comparison: Comparison, folder: str) -> Group:
    """Return a table for each form of the model, and the failed runs with their reasons."""
    parts: list[Table | Text] = []
    for pure in sorted({row.pure for row in comparison.rows}):
        title = f"{PURE_MODEL if pure else MODEL}; validation: {comparison.split}, {comparison.ratings:,} ratings"
        shown = [cells(row, comparison) for row in comparison.rows if row.pure == pure and not row.failed]
        parts.append(text_table(HEADS, shown, title, right_from=1, no_wrap=True))  # narrow enough for 80 columns
    parts += [
        Text(f"failed: {row.method}, rank {row.rank}{', pure form' if row.pure else ''}: {row.failed}")
        for row in comparison.rows
        if row.failed
    ]
    known = known_references(comparison)
    parts.append(Text(f"RMSE without factors: {', '.join(known)}" if known else "no run came to its end"))
    parts.append(Text(f"table and pictures in {folder}"))
    return Group(*parts)


def known_references(comparison: Comparison) -> list[str]:
    """Return the RMSEs of the baselines, by name."""
    rmses = comparison.references
    return [f"{REFERENCES[name]} {rounded(rmse, *rmses.values())}" for name, rmse in rmses.items()]


def cells(row: ComparedRun, comparison: Comparison) -> list[str]:
    """Return the cells of a run with a result, under HEADS."""
    rmses = [each.rmse for each in comparison.rows]
    return [
        row.method,
        str(row.rank),
        rounded(row.rmse, *rmses),
        rounded(row.training_rmse, *rmses),
        f"{row.seconds:.1f}",
        "not measured" if row.memory_bytes is None else format_bytes(row.memory_bytes),
        f"{row.count} {row.counted}",
    ]
