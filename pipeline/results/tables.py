"""Tables for a terminal: their common look, and the table of a result.

Covers: the layout.
Does not cover: the numbers (pipeline/flow.py), plans (plan_table.py, scale_table.py), progress (pipeline/progress/).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from funkflow.pipeline.progress.words import format_time
from funkflow.pipeline.root.result import (
    ESTIMATES,
    RANKING_MEASURES,
    RankingAt,
    RankingMeasures,
    RankingResult,
    RunResult,
    ranking_verdict,
    rounded_scores,
)
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.redact import masked

_DEFAULT_ROOT = str(Settings.model_fields["root"].default)


def text_table(
    columns: Sequence[str | Column], rows: Iterable[Sequence[str | Text | None]], title: str = "", *,
    right_from: int | None = None, bold: Collection[str] = (), bare: bool = False, no_wrap: bool = False, **look: Any,
) -> Table:  # fmt: skip
    """Return a table that shows markup in its cells as plain text.

    Parameters
    ----------
    right_from : the first of the columns of numbers, which are aligned at the right.
    bold : rows, by their first cells.
    bare : without lines.
    no_wrap : one line a row.
    look : further arguments of rich's Table.
    """
    if bare:
        look |= {"box": None, "pad_edge": False, "padding": (0, 1, 0, 0)}
    numbers = len(columns) if right_from is None else right_from
    made = [
        Column(each, justify="left" if place < numbers else "right", no_wrap=no_wrap,
               overflow="ellipsis" if no_wrap else "fold") if isinstance(each, str) else each
        for place, each in enumerate(columns)
    ]  # fmt: skip
    table = Table(*made, title=escape(title) or None, title_justify="left", title_style="bold", **look)
    for row in rows:
        cells = [Text(cell) if isinstance(cell, str) else cell for cell in row]
        table.add_row(*cells, style="bold" if row[0] in bold else "")
    return table


def result_table(result: RunResult, root: str = "") -> Group:
    """Return RMSE and MAE of the model beside the baselines, the paths of the results, and commands to try next.

    root : the root of a run whose model is in use; empty: without commands.
    """
    parts: list[Table | Text] = []
    if result.evaluation and result.goal == "ratings":
        scores = [
            (name, *rounded_scores(result.evaluation, key))
            for key, name in ESTIMATES.items()
            if key in result.evaluation
        ]
        parts.append(text_table(("", "RMSE", "MAE"), scores, result.validation, right_from=1, bold=["model"]))
    if result.warning:
        parts.append(Text(result.warning, style="yellow"))
    if result.ranking:
        parts += [_ranking_table(result.ranking), Text(ranking_verdict(result.ranking))]
    if result.epochs:
        kept = {
            "epochs": f", kept epoch {result.best_epoch}",
            "steps": f", kept step {result.best_epoch}",
            "passes": f", kept {result.best_epoch} factors",
        }
        chosen = f", chosen on {result.epoch_chosen_on}" if result.epoch_chosen_on else ""
        counts = f"rank {result.rank}, {result.epochs} {result.counted}"
        parts.append(Text(f"{counts}{kept.get(result.counted, '')}{chosen}"))
    if result.peak_memory_bytes:
        parts.append(Text(f"{format_time(result.seconds.get('total', 0.0))}, peak memory {result.memory}"))
    parts += [Text(f"{name:<12} {masked(path)}") for name, path in result.paths.items()]
    if root:
        model = f"--model current{'' if root == _DEFAULT_ROOT else f' --root {masked(root)}'}"
        parts += [
            Text(f"{title:<12} funkflow {words}", style="dim")
            for title, words in (("to try next", f"recommend {model} --user ID"), ("", f"factors {model}"))
        ]
    return Group(*parts)


def _ranking_table(ranking: RankingResult) -> Table:
    """Return a row for each measure at each length of list: of the model, the most rated items and a random order."""
    title = f"ranking: {ranking['users']:,} users, relevant from {ranking['threshold']:g} on"
    rows = [
        (f"{name}@{at['count']}", *(f"{each[key]:.4f}" if key in each else "" for each in _sides(at)))
        for at in (ranking, *ranking.get("also", []))
        for key, name in RANKING_MEASURES.items()
        if key in at
    ]
    heads = ("", "model", "most rated items", "random order")
    return text_table(heads, rows, title, right_from=1, bold=[f"NDCG@{ranking['count']}"])


def _sides(at: RankingAt) -> tuple[RankingMeasures, ...]:
    return at, at["most_rated"], at.get("random", RankingMeasures())
