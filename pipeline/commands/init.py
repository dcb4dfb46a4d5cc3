"""The command `init`: a first settings file for ratings.

Covers: its options, and that it overwrites nothing.
Does not cover: the content of the file (pipeline/settings/starter_file.py).
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from funkflow.pipeline.commands.options import AsJson, Root, Validation, default_root, print_result
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late
from funkflow.tasks.redact import masked

if TYPE_CHECKING:
    from rich import text

    from funkflow.pipeline.root import store
    from funkflow.pipeline.settings import presets, sections, starter_file
    from funkflow.tasks.parsing import erased_ids
    from funkflow.tasks.parsing.sources import sources
    from funkflow.tasks.storage import files
else:  # the help needs none of them
    text, store = late("rich.text"), late("funkflow.pipeline.root.store")
    presets, sections = late("funkflow.pipeline.settings.presets"), late("funkflow.pipeline.settings.sections")
    starter_file = late("funkflow.pipeline.settings.starter_file")
    erased_ids, files = late("funkflow.tasks.parsing.erased_ids"), late("funkflow.tasks.storage.files")
    sources = late("funkflow.tasks.parsing.sources.sources")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(init)


def init(
    *,
    ratings: Annotated[
        list[str], typer.Argument(metavar="RATINGS…", help="ratings: file, folder, archive, glob or URL")
    ],
    validation: Validation = "",
    goal: Annotated[
        Literal["ratings", "ranking"] | None,
        typer.Option("--goal", help="purpose of the model: to predict ratings, or to rank items", show_default=False),
    ] = None,
    out: Annotated[str, typer.Option("--out", help="path of the file, which must not exist")] = "funkflow.toml",
    root: Root = "",
    as_json: AsJson = False,
) -> None:
    """Look at ratings and write a settings file for them, with comments; nothing is overwritten."""
    _refuse_place(out)
    _refuse_secrets([*ratings, validation, root])
    if validation:
        sources.refuse_missing(validation, "--validation", ratings)
    content: dict[str, Any] = {
        **({"root": root} if root else {}),
        "ingest": {"ratings": list(ratings)},
        "split": {"file": validation} if validation else {},
        "train": {"goal": goal} if goal else {},
    }
    settings = sections.Settings.build(content, where="command line")
    forgotten = erased_ids.read_forgotten(store.Store(root or default_root()).forgotten)
    recognised = starter_file.recognise_ratings(settings, forgotten)
    files.write_bytes(out, starter_file.starter_text(content, recognised, shlex.quote(out)).encode())
    command, doubt = f"funkflow run {shlex.quote(out)}", recognised.form.doubt
    lines = [*recognised.parts, *([doubt] if doubt else []), f"written      {out}", f"to try next  {command}"]
    print_result(
        {"settings": out, "recognised": recognised.parts, "next": command}, as_json, text.Text("\n".join(lines))
    )


def _refuse_place(out: str) -> None:
    """Raise SettingsError if no settings file can be written there, or something is there."""
    if not out.endswith(".toml"):
        raise SettingsError(f"--out {out!r}: give the name of a settings file, which ends with .toml")
    if files.exists(out):
        raise SettingsError(f"{masked(out)} exists, and is not overwritten: name another file with --out, or delete it")


def _refuse_secrets(paths: list[str]) -> None:
    """Raise SettingsError for a path that no file should hold."""
    for path in paths:
        if masked(path) != path:
            raise SettingsError(
                f"{masked(path)}: a settings file holds no login and no signed query: name it in funkflow run --ratings"
            )
