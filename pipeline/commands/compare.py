"""The command `compare`: several methods at several ranks on one dataset and split.

Covers: its options, and the paths of table and pictures.
Does not cover: the runs (pipeline/results/comparison/runs.py), table and pictures (comparison/).
"""

from __future__ import annotations

from typing import Annotated

import typer

from funkflow.pipeline.commands.options import AsJson, Resume, RunOptions, interrupts, print_result, watching
from funkflow.pipeline.results.comparison.contenders import CONTENDERS
from funkflow.pipeline.results.comparison.drawing import comparison_drawing
from funkflow.pipeline.results.comparison.page import comparison_page
from funkflow.pipeline.results.comparison.runs import compare_methods
from funkflow.pipeline.results.comparison.table import comparison_table
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.storage import files


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(compare)


def compare(
    *,
    methods: Annotated[
        str, typer.Option("--methods", help=f"what to compare, separated by commas: {', '.join(CONTENDERS)}")
    ] = "sgd,lanczos,randomized",
    ranks: Annotated[str, typer.Option("--ranks", help="ranks of each method, separated by commas")] = "8,16,32,64",
    pure: Annotated[
        bool, typer.Option("--pure", help="also run each method without mean and biases: A ≈ U Vᵀ")
    ] = False,
    options: RunOptions,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Run several methods on one dataset and split; print and save RMSE, ranking, seconds and memory at several ranks.

    als-ranking is als with train.goal = ranking, and most-rated the items with the most ratings.
    """
    settings = options.settings()
    with watching() as watcher:
        comparison, folder = compare_methods(
            settings, _words(methods), _numbers(ranks), pure=pure, fresh=not resume, listeners=[interrupts, watcher]
        )
    if comparison.references:
        files.write_bytes(files.join(folder, "comparison.html"), comparison_page(comparison).encode())
        files.write_bytes(files.join(folder, "comparison.svg"), comparison_drawing(comparison).encode())
    print_result({**comparison.to_dict(), "folder": folder}, as_json, comparison_table(comparison, folder))


def _words(words: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))


def _numbers(words: str) -> list[int]:
    try:
        return sorted({int(word) for word in _words(words)})
    except ValueError as cause:
        raise SettingsError(f"--ranks {words!r}: separate whole numbers by commas, for instance 8,16,32") from cause
