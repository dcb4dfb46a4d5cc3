"""What a person reads at the end: results as short tables.

Covers: their layout.
Does not cover: their numbers (pipeline/flow.py), plans (pipeline/planning/plan_table.py), or progress while a run goes
on (pipeline/progress/lines.py).
"""

from __future__ import annotations

from typing import Any

from dask.utils import format_time
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from funkflow.pipeline.root.result import ESTIMATES, RunResult, rounded_scores
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.redact import masked

_DEFAULT_ROOT = str(Settings.model_fields["root"].default)


def result_table(result: RunResult, root: str = "") -> Group:
    """Return RMSE and MAE of the model beside what it must beat, where the results lie, and what to try next.

    root : of a run whose model is in use; empty: there is nothing to try.
    """
    parts: list[Table | Text] = []
    if result.evaluation:
        scores = Table(title=escape(result.validation), title_justify="left", title_style="bold")
        for name in ("", "RMSE", "MAE"):
            scores.add_column(name, justify="left" if not name else "right")
        for key, name in ESTIMATES.items():
            if key in result.evaluation:
                shown = rounded_scores(result.evaluation, key)
                scores.add_row(name, *shown, style="bold" if key == "model" else "")
        parts.append(scores)
    if result.warning:
        parts.append(Text(result.warning, style="yellow"))
    if result.ranking:
        parts.append(_ranking_table(result.ranking))
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


def _ranking_table(ranking: dict[str, Any]) -> Table:
    at, users = ranking["count"], f"{ranking['users']:,} users"
    title = f"ranking: {users}, relevant from {ranking['threshold']:g} on"
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("", f"precision@{at}", f"recall@{at}", f"NDCG@{at}"):
        table.add_column(name, justify="left" if not name else "right")
    for name, row, style in (("most rated items", ranking["most_rated"], ""), ("model", ranking, "bold")):
        table.add_row(name, *(f"{row[measure]:.4f}" for measure in ("precision", "recall", "ndcg")), style=style)
    return table
