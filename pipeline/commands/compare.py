"""The command `compare`: several methods at several ranks on one dataset and split.

Covers: its options, and the paths of table and pictures.
Does not cover: the runs (pipeline/results/comparison/runs.py), table and pictures (comparison/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from funkflow.pipeline.commands.options import AsJson, Resume, RunOptions, interrupts, print_result, watching
from funkflow.pipeline.results.comparison.contenders import CONTENDERS
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late

if TYPE_CHECKING:
    from funkflow.pipeline.results.comparison import drawing
    from funkflow.pipeline.results.comparison import page as pages
    from funkflow.pipeline.results.comparison import runs as comparisons
    from funkflow.pipeline.results.comparison import table as tables
    from funkflow.tasks.storage import files
else:  # the help needs none of them
    drawing = late("funkflow.pipeline.results.comparison.drawing")
    pages = late("funkflow.pipeline.results.comparison.page")
    comparisons = late("funkflow.pipeline.results.comparison.runs")
    tables = late("funkflow.pipeline.results.comparison.table")
    files = late("funkflow.tasks.storage.files")


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
    vary: Annotated[
        str,
        typer.Option(
            "--vary",
            help="also vary a setting of [train], such as train.implicit=none,items,users,both: what each part gains; "
            "a table without pictures",
            show_default=False,
        ),
    ] = "",
    options: RunOptions,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Run several methods on one dataset and split; print and save RMSE, ranking, seconds and memory at several ranks.

    als-ranking is als with train.goal = ranking, and most-rated the items with the most ratings.
    """
    settings = options.settings()
    with watching() as watcher:
        comparison, folder = comparisons.compare_methods(
            settings, _words(methods), _numbers(ranks), pure=pure, vary=vary, fresh=not resume,
            listeners=[interrupts, watcher],
        )  # fmt: skip
    if comparison.references and not vary:
        files.write_bytes(files.join(folder, "comparison.html"), pages.comparison_page(comparison).encode())
        files.write_bytes(files.join(folder, "comparison.svg"), drawing.comparison_drawing(comparison).encode())
    print_result({**comparison.to_dict(), "folder": folder}, as_json, tables.comparison_table(comparison, folder))


def _words(words: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))


def _numbers(words: str) -> list[int]:
    try:
        return sorted({int(word) for word in _words(words)})
    except ValueError as cause:
        raise SettingsError(f"--ranks {words!r}: separate whole numbers by commas, for instance 8,16,32") from cause
