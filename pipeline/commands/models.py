"""The commands `current`, `promote` and `rollback`, about the model in use.

Covers: their options and output.
Does not cover: the pointer (pipeline/root/model_in_use.py), promotion by a run (pipeline/stages/gate.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from funkflow.pipeline.commands.options import AsJson, Root, default_root, print_result
from funkflow.tasks.late import late
from funkflow.tasks.redact import masked

if TYPE_CHECKING:
    from rich import text

    from funkflow.pipeline.results import tables
    from funkflow.pipeline.root import disk_errors
    from funkflow.pipeline.root import model_in_use as pointer
    from funkflow.tasks.storage import files
else:  # the help needs none of them
    text = late("rich.text")
    tables = late("funkflow.pipeline.results.tables")
    disk_errors = late("funkflow.pipeline.root.disk_errors")
    pointer = late("funkflow.pipeline.root.model_in_use")
    files = late("funkflow.tasks.storage.files")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="id of a run, or its beginning")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (current, promote, rollback):
        app.command()(command)


def current(root: Root = "", as_json: AsJson = False) -> None:
    """Show the model in use under a root, since when, and the models before it."""
    place = root or default_root()
    with disk_errors.as_disk_errors(place):
        now = pointer.in_use(place)
    content = _content(place, now)
    if as_json:
        print_result(content, as_json, "")
        return
    uses = [(use.run_id, use.goal, use.promoted, use.by) for use in (now.use, *now.previous)]
    heads = ("run", "goal", "since (UTC)", "by")
    print_result(content, as_json, tables.text_table(heads, uses, "models in use, newest first"))
    print_result(content, as_json, text.Text(f"model {content['model']}"))


def promote(run: RunId, root: Root = "", as_json: AsJson = False) -> None:
    """Put the model of a run in use, even one that the gate refused; all its files must be there."""
    place = root or default_root()
    with disk_errors.as_disk_errors(place):
        now = pointer.promote(place, run)
    line = f"in use: {now.run_id}" + (f", before it {now.previous[0].run_id}" if now.previous else "")
    print_result(_content(place, now), as_json, text.Text(masked(line)))


def rollback(root: Root = "", as_json: AsJson = False) -> None:
    """Return to the model that was in use before; only `promote` puts the present one in use again."""
    place = root or default_root()
    with disk_errors.as_disk_errors(place):
        now, taken_back = pointer.rollback(place)
    content = {**_content(place, now), "taken_back": taken_back}
    print_result(content, as_json, text.Text(masked(f"in use: {now.run_id}, taken back: {taken_back}")))


def _content(root: str, now: pointer.Current) -> dict[str, object]:
    content = now.to_dict()
    return {**content, "model": files.join(root, content["model"]), "record": files.join(root, content["record"])}
