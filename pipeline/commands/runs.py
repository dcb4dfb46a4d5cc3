"""The commands `runs` and `report`: past executions as lists and pages, and the removal of old runs.

Covers: their options, and records as tables.
Does not cover: the records (pipeline/root/ledger.py), the choice of what to remove (pipeline/root/prune.py), the pages
(pipeline/results/report/).
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from funkflow.pipeline.commands.options import AsJson, Root, Wait, default_root, print_result, watching
from funkflow.pipeline.progress.outcome import STATES
from funkflow.pipeline.progress.words import format_bytes
from funkflow.pipeline.settings.request import Request
from funkflow.tasks.digits import rounded
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late
from funkflow.tasks.redact import masked
from funkflow.tasks.storage.paths import absolute

if TYPE_CHECKING:
    import webbrowser

    from rich import console, text

    from funkflow.pipeline.progress import events
    from funkflow.pipeline.results import saved_reports, tables
    from funkflow.pipeline.root import ledger as ledgers
    from funkflow.pipeline.root import lock
    from funkflow.pipeline.root import prune as removal
    from funkflow.pipeline.root import store as stores
    from funkflow.pipeline.settings import overrides
else:  # the help needs none of them
    webbrowser = late("webbrowser")
    console = late("rich.console")
    text = late("rich.text")
    events = late("funkflow.pipeline.progress.events")
    saved_reports = late("funkflow.pipeline.results.saved_reports")
    tables = late("funkflow.pipeline.results.tables")
    ledgers = late("funkflow.pipeline.root.ledger")
    lock = late("funkflow.pipeline.root.lock")
    removal = late("funkflow.pipeline.root.prune")
    stores = late("funkflow.pipeline.root.store")
    overrides = late("funkflow.pipeline.settings.overrides")

Id = Annotated[str, typer.Argument(metavar="RUN", help="id of a record or a run, or its beginning; last: the newest")]
_SETTINGS = "settings."
_SHORT = 8
"""Enough of a run's id to find it again."""
_NOT_COMPARED = ("id", "format_version", "started", "held", "ended", "process", "settings_hash")
"""Fields that differ in any two records, or repeat the settings."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(report)
    runs = typer.Typer(help="List past executions, newest first; show or compare them; remove old runs.")
    runs.callback(invoke_without_command=True)(_listing)
    for name, command in (("show", show), ("diff", diff), ("prune", prune_runs)):
        runs.command(name)(command)
    app.add_typer(runs, name="runs")


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN…]", help="ids of runs or records, or their beginnings; last: the newest"),
    ] = None,
    out: Annotated[
        str, typer.Option("--out", help="path of the page; default: beside the run", show_default=False)
    ] = "",
    root: Root = "",
    in_browser: Annotated[bool, typer.Option("--open", help="open the page in a browser")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the page about a run again, from its saved facts; for several runs, one page that compares them."""
    written = saved_reports.write_report(_root(root), runs or ["last"], out)
    print_result({"report": written}, as_json, text.Text(written))
    if in_browser and not webbrowser.open(written if "://" in written else Path(absolute(written)).as_uri()):
        raise SettingsError(f"--open: there is no browser here; open {masked(written)} in one")


def _listing(
    context: typer.Context,
    root: Root = "",
    state: Annotated[
        str, typer.Option("--state", help=f"only this state: {', '.join(STATES)}", show_default=False)
    ] = "",
    date: Annotated[str, typer.Option("--date", help="only this logical date", show_default=False)] = "",
    as_page: Annotated[
        bool, typer.Option("--html", help="write a page about all executions, with their reports")
    ] = False,
    out: Annotated[str, typer.Option("--out", help="path of that page; default: runs.html under the root")] = "",
    last: Annotated[int, typer.Option("--last", help="number of newest executions to list; 0: all", min=0)] = 20,
    as_json: AsJson = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    if as_page:
        written = saved_reports.write_index(_root(root), out)
        print_result({"page": written}, as_json, text.Text(written))
        return
    if state and state not in STATES:
        raise SettingsError(f"--state {state!r}: there is no such state; states are {', '.join(STATES)}")
    wanted_date = Request.checked(date=date).date if date else ""
    chosen = (
        record
        for record in _ledger(root).records()
        if state in ("", record["state"]) and wanted_date in ("", record.get("date"))
    )
    records = list(islice(chosen, last or None))
    print_result({"records": records}, as_json, _records_table(records))


def show(record_id: Id, root: Root = "", as_json: AsJson = False) -> None:
    """Show all fields of one record."""
    record = _ledger(root).find(record_id)
    rows = [(name, _cell(value)) for name, value in overrides.flat(record)]
    print_result({**record}, as_json, tables.text_table(("", ""), rows, bare=True, show_header=False))


def diff(
    first: Id,
    second: Id,
    root: Root = "",
    every: Annotated[bool, typer.Option("--all", help="equal values too")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two records: show the settings and figures that differ."""
    ledger = _ledger(root)
    pair = ledger.find(first), ledger.find(second)
    one, other = (dict(overrides.flat(record)) for record in pair)
    names = [name for name in {**one, **other} if name.split(".")[0] not in _NOT_COMPARED]
    rows = {name: [one.get(name), other.get(name)] for name in names if every or one.get(name) != other.get(name)}
    ids = [record["id"] for record in pair]
    ordered = sorted(rows.items(), key=lambda row: (row[0].startswith(_SETTINGS), row[0]))
    table = tables.text_table(("", *ids), [(name, *map(_cell, values)) for name, values in ordered], bare=True)
    none = text.Text(f"{' and '.join(ids)} do not differ")
    print_result({"ids": ids, "values": rows}, as_json, table if rows else none)


def prune_runs(
    keep: Annotated[int, typer.Option("--keep", help="number of runs to keep, the most recently used", min=0)],
    root: Root = "",
    yes: Annotated[bool, typer.Option("--yes", help="remove; without it, only list what would be removed")] = False,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Remove old runs, and data that no other run refers to; never the model in use, raw data or the ledger."""
    with watching() as watcher:
        waiting = lock.Waiting(
            Request.checked(wait_seconds=wait).wait_seconds, lambda words: watcher(events.Noticed(words))
        )
        store = stores.Store(_root(root))
        pruning = removal.prune(store, keep, remove=False, waiting=waiting)
        if not as_json:
            console.Console().print(_pruning_table(pruning), soft_wrap=True, highlight=False)
        if yes:
            pruning = removal.prune(store, keep, remove=True, waiting=waiting)
    freed = "freed" if yes else "would be freed; --yes removes the files"
    content = {"bytes": pruning.bytes, "kept": pruning.kept, "paths": pruning.paths, "removed": yes}
    print_result(content, as_json, text.Text(f"{format_bytes(pruning.bytes)} ({pruning.bytes:,} bytes) {freed}"))


def _root(root: str) -> str:
    return stores.existing_root(absolute(root or default_root()))


def _ledger(root: str) -> ledgers.Ledger:
    return ledgers.Ledger(_root(root))


def _records_table(records: list[ledgers.LedgerRecord]) -> console.Group:
    if not records:
        return console.Group(text.Text("no such record"))
    heads = ("id", "date", "state", "code", "run", "RMSE", "took", "host")
    rows = [
        (
            record["id"],
            record.get("date"),
            record["state"],
            _cell(record.get("exit_code")),
            (record.get("run_id") or "")[:_SHORT],
            rounded((record.get("metrics") or {}).get("rmse")),
            _took(record),
            record.get("host"),
        )
        for record in records
    ]
    errors = [text.Text(f"{record['id']}  {record['error']}") for record in records if record.get("error")]
    return console.Group(tables.text_table(heads, rows, bare=True, no_wrap=True), *errors)


def _took(record: ledgers.LedgerRecord) -> str:
    if not (ended := record.get("ended")):
        return ""
    taken = datetime.fromisoformat(ended) - datetime.fromisoformat(record["started"])
    return f"{taken.total_seconds():,.0f} s"


def _pruning_table(pruning: removal.Pruning) -> console.Group:
    rows = [(kind, f"{count:,}", f"{size:,}") for kind, (count, size) in pruning.by_kind().items()]
    runs = [path.split("/")[1] for path in pruning.paths if path.startswith("runs/")]
    return console.Group(
        text.Text(f"runs kept: {', '.join(pruning.kept) or 'none'}"),
        text.Text(f"runs to remove: {', '.join(runs) or 'none'}"),
        tables.text_table(("to remove", "number", "bytes"), rows),
    )


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
