"""The command `report`: the page about a run, or one that compares several runs.

Covers: its options. Does not cover: the pages (pipeline/results/report/), finding their facts
(pipeline/results/saved_reports.py).
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from funkflow.pipeline.commands.options import AsJson, Root, default_root, print_result
from funkflow.pipeline.results.saved_reports import write_report
from funkflow.pipeline.root.store import existing_root
from funkflow.tasks.storage.paths import absolute


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(report)


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN…]", help="ids of runs or records, or their beginnings; last: the newest"),
    ] = None,
    out: Annotated[
        str, typer.Option("--out", help="path of the page; default: beside the run", show_default=False)
    ] = "",
    root: Root = "",
    as_json: AsJson = False,
) -> None:
    """Write the page about a run again, from its saved facts; for several runs, one page that compares them."""
    written = write_report(existing_root(absolute(root or default_root())), runs or ["last"], out)
    print_result({"report": written}, as_json, Text(written))
