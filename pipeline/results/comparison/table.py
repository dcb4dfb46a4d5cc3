"""A comparison as a table in the terminal.

Covers: its layout. Does not cover: its numbers (runs.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from funkflow.pipeline.progress.words import mebibytes
from funkflow.pipeline.results.comparison.contenders import ALS_RANKING, MOST_RATED, named
from funkflow.pipeline.results.comparison.runs import ComparedRun, Comparison
from funkflow.pipeline.results.tables import text_table
from funkflow.tasks.digits import rounded

REFERENCES = {"mean": "mean rating", "biases": "bias baseline"}
MODEL, PURE_MODEL = "A ≈ µ + b_u + b_i + U Vᵀ", "A ≈ U Vᵀ"
_NONE = "-"
"""In place of a figure that there is not: the error of a model that predicts no ratings, the rank of none."""
AXES = {"rank": "rank", "seconds": "seconds of training"}
"""Of drawings: fields of a row, and their names."""


def panels(comparison: Comparison, curves: Mapping[str, Sequence[ComparedRun]]) -> list[tuple[str, str, str]]:
    """Return the panels of a drawing: the field across, the field upward, and its name; those with a point at least."""
    asked = [("rank", "rmse", "validation RMSE"), ("seconds", "rmse", "validation RMSE")]
    if comparison.ranked_at:
        asked.append(("rank", "ndcg", f"NDCG@{comparison.ranked_at}"))
    return [panel for panel in asked if any(points(rows, *panel[:2]) for rows in curves.values())]


def points(rows: Sequence[ComparedRun], across: str, up: str) -> list[tuple[float, float]]:
    """Return a curve: the two fields of each run that has the second."""
    return [(float(getattr(each, across)), getattr(each, up)) for each in rows if getattr(each, up) is not None]


def heads(comparison: Comparison) -> tuple[str, ...]:
    """Return the heads of the columns of `cells`.

    RMSE on the validation and on the training ratings. What the last column counts goes with its number: epochs, or
    products with the matrix.
    """
    at = comparison.ranked_at
    ranked = (f"NDCG@{at}", f"recall@{at}") if at else ()
    return ("method", "rank", "RMSE", "training", *ranked, "seconds", "memory", "took")


def comparison_table(comparison: Comparison, folder: str) -> Group:
    """Return a table for each form of the model, and the failed runs with their reasons."""
    parts: list[Table | Text] = []
    for pure in sorted({row.pure for row in comparison.rows}):
        title = f"{PURE_MODEL if pure else MODEL}; validation: {comparison.split}, {comparison.ratings:,} ratings"
        shown = [cells(row, comparison) for row in comparison.rows if row.pure == pure and not row.failed]
        parts.append(text_table(heads(comparison), shown, title, right_from=1, bare=True, no_wrap=True))  # 80 columns
    parts += [
        Text(f"failed: {named(row.method, row.rank, row.pure, row.varied)}: {row.failed}")
        for row in comparison.rows
        if row.failed
    ]
    known = known_references(comparison)
    parts.append(Text(f"RMSE without factors: {', '.join(known)}" if known else "no run finished"))
    parts += [Text(words) for words in ranking_notes(comparison)]
    parts.append(Text(f"table and pictures in {folder}"))
    return Group(*parts)


def model_of(row: ComparedRun) -> str:
    """Return the model of a row as a formula."""
    if row.method == MOST_RATED:
        return _NONE
    return PURE_MODEL if row.pure or row.method == ALS_RANKING else MODEL


def ranking_notes(comparison: Comparison) -> list[str]:
    """Return lines about the measures of rankings; none where no ranking was measured."""
    if not comparison.ranked_at:
        return []
    found = comparison.most_rated
    lines = [
        f"NDCG@{comparison.ranked_at} of the most rated items: {found['ndcg']:.4f}, on {comparison.ranked_users:,} "
        "users; a low RMSE does not mean a high NDCG (docs/ranking.md)"
    ]
    if any(row.method == ALS_RANKING for row in comparison.rows):
        lines.append(f"{ALS_RANKING} ({PURE_MODEL}) recommends and predicts no ratings")
    return lines


def known_references(comparison: Comparison) -> list[str]:
    """Return the RMSEs of the baselines, by name."""
    rmses = comparison.references
    return [f"{REFERENCES[name]} {rounded(rmse, *rmses.values())}" for name, rmse in rmses.items()]


def cells(row: ComparedRun, comparison: Comparison) -> list[str]:
    """Return the cells of a row with a result, under its heads."""
    rmses = [each.rmse for each in comparison.rows]
    ranked = [row.ndcg, row.recall] if comparison.ranked_at else []
    return [
        f"{row.method}, {row.varied}" if row.varied else row.method,
        str(row.rank or _NONE),
        rounded(row.rmse, *rmses) or _NONE,
        rounded(row.training_rmse, *rmses) or _NONE,
        *(_NONE if each is None else f"{each:.4f}" for each in ranked),
        _NONE if row.seconds is None else f"{row.seconds:.1f}",
        _NONE if row.memory_bytes is None else mebibytes(row.memory_bytes),
        f"{row.count} {row.counted}" if row.count else _NONE,
    ]
