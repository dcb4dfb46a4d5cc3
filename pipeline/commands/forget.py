"""The command `forget`: leave users or items out of all new datasets, and list what still holds their ratings.

Covers: its options, the list of the forgotten under the root, and removal with --yes; it never prints ids.
Does not cover: finding what holds them (pipeline/datasets/erasure.py), leaving out their rows
(pipeline/stages/ingest.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from funkflow.pipeline.commands.options import AsJson, RunOptions, print_result
from funkflow.pipeline.progress.words import format_bytes
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late

if TYPE_CHECKING:
    from rich import table as rich_table

    from funkflow.pipeline.datasets import erasure
    from funkflow.pipeline.results import tables
    from funkflow.pipeline.root import lock
    from funkflow.pipeline.root import store as stores
    from funkflow.tasks.parsing import erased_ids
else:  # the help needs none of them
    erasure = late("funkflow.pipeline.datasets.erasure")
    tables = late("funkflow.pipeline.results.tables")
    lock = late("funkflow.pipeline.root.lock")
    stores = late("funkflow.pipeline.root.store")
    erased_ids = late("funkflow.tasks.parsing.erased_ids")
    rich_table = late("rich.table")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(forget)


def forget(
    *,
    users: Annotated[
        list[str] | None, typer.Option("--user", help="raw id of a user to forget; may be repeated")
    ] = None,
    items: Annotated[
        list[str] | None, typer.Option("--item", help="raw id of an item to forget; may be repeated")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="remove what holds them, except what is in use; without it, only list")
    ] = False,
    options: Annotated[RunOptions, "validation"],
    as_json: AsJson = False,
) -> None:
    """Leave all ratings of users or items out of every new dataset, and list what under the root holds them."""
    place = options.root if options.root and not options.conf and not options.ratings else options.settings().root
    store = stores.Store(stores.existing_root(place))
    with lock.hold_root(place):
        listed = erased_ids.read_forgotten(store.forgotten)
        if not users and not items and not listed:
            raise SettingsError("nobody is forgotten yet: name a --user or an --item")
        forgotten = listed.adding(users or (), items or ())
        if forgotten != listed:
            erased_ids.write_forgotten(store.forgotten, forgotten)
        found = erasure.holders(store, forgotten)
        if yes:
            erasure.remove(found)
    content = {
        "forgotten": {"users": len(forgotten.user), "items": len(forgotten.item)},
        "holders": [
            {
                "kind": each.kind,
                "name": each.name,
                "bytes": each.bytes,
                "at_work": each.at_work,
                "removed": yes and not each.at_work,
            }
            for each in found
        ],
    }
    print_result(content, as_json, _holders_table(found, len(forgotten.user), len(forgotten.item), yes))


def _holders_table(found: list[erasure.Holder], users: int, items: int, removed: bool) -> rich_table.Table:
    title = f"forgotten under this root: {users:,} users, {items:,} items; new datasets leave out all their rows"
    done = "removed" if removed else "--yes removes it"
    rows = [(each.kind, each.name, format_bytes(each.bytes), "in use" if each.at_work else done) for each in found]
    heads = ("holds them", "name", "size", "")
    return tables.text_table(heads, rows, title, caption=_what_next(found, removed), caption_justify="left")


def _what_next(found: list[erasure.Holder], removed: bool) -> str:
    if not found:
        return "nothing under this root holds them"
    if any(each.at_work for each in found):
        return (
            "the run in use holds them until the next run has made another model: "
            "run again, then funkflow forget --yes removes it"
        )
    return "nothing that holds them is left" if removed else "funkflow forget --yes removes all of it"
