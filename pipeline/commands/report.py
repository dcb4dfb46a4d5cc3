"""The command `report`: the page about a run, or one that compares several runs.

Covers: its options. Does not cover: the pages (pipeline/results/report/), finding their facts
(pipeline/results/saved_reports.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from funkflow.pipeline.commands.options import AsJson, Root, default_root, print_result
from funkflow.tasks.late import late
from funkflow.tasks.storage.paths import absolute

if TYPE_CHECKING:
    from rich import text

    from funkflow.pipeline.results import saved_reports
    from funkflow.pipeline.root import store
else:  # the help needs none of them
    text, saved_reports, store = (
        late("rich.text"),
        late("funkflow.pipeline.results.saved_reports"),
        late("funkflow.pipeline.root.store"),
    )


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
    written = saved_reports.write_report(store.existing_root(absolute(root or default_root())), runs or ["last"], out)
    print_result({"report": written}, as_json, text.Text(written))
