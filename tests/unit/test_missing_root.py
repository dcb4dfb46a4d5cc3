"""A root that is not there: commands that only look into one, or change what it has, refuse it and make nothing.

Covers: every command that takes --root, on a disk, and one on an object store.
Does not cover: what they do where a root is there (test_runs_command.py, test_current.py, test_forget.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from chaos.object_store import ObjectStore
from funkflow.pipeline.cli import program
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.storage import files

LOOKING = [
    ["current"],
    ["promote", "abc"],
    ["rollback"],
    ["forget", "--user", "7"],
    ["report"],
    ["runs"],
    ["runs", "--html"],
    ["runs", "show", "last"],
    ["runs", "diff", "one", "other"],
    ["runs", "prune", "--keep", "1", "--yes"],
    ["plan", "--ratings", "1e9", "--users", "1e6", "--items", "1e5"],
    ["predict", "--model", "current", "--pairs", "pairs.csv", "--out", "out"],
    ["recommend", "--model", "current"],
    ["similar", "7", "--model", "current"],
    ["factors", "--model", "current"],
    ["spectrum", "--model", "current"],
    ["reconstruct", "--model", "current", "--out", "out"],
    ["index", "--model", "current", "--out", "out"],
    ["serve", "--model", "current"],
    ["export", "--model", "current", "--form", "npz", "--out", "out"],
]
MAKING = {
    "run", "ingest", "split", "grid", "train", "evaluate", "export", "ranking", "synth", "calibrate", "schedule",
    "backfill", "compare",
}  # fmt: skip
"""They write under a root that is made for them; export only without --model."""
NAMING = {"init"}
"""It writes the root into a settings file, for a run to make."""


def refused(words: list[str], root: str) -> str:
    with pytest.raises(SettingsError) as refusal:
        CliRunner().invoke(program(words[0]), [*words, "--root", root], catch_exceptions=False, standalone_mode=False)
    return str(refusal.value)


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_a_mistyped_root_is_refused_and_not_made(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mistyped = str(tmp_path / "dtaa")
    assert refused(words, mistyped).startswith(f"{mistyped}: there is no such root")
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_root_in_an_object_store_is_not_made_either(object_store: ObjectStore) -> None:
    mistyped = object_store.new_root()
    assert refused(["runs", "prune", "--keep", "1"], mistyped).startswith(f"{mistyped}: there is no such root")
    assert files.names(mistyped) == []


def test_every_command_with_a_root_makes_it_or_is_looked_at_here() -> None:
    taking = set(names_of_commands(typer.main.get_command(program())))
    looking = {name for name in taking for words in LOOKING if f"{' '.join(words)} ".startswith(f"{name} ")}
    assert taking == MAKING | NAMING | looking
    assert MAKING & looking == {"export"}


def names_of_commands(command: Any, *names: str) -> Iterator[str]:
    """Yield the names of all commands that take --root."""
    if any(each.name == "root" for each in command.params):
        yield " ".join(names)
    for name, inner in getattr(command, "commands", {}).items():
        yield from names_of_commands(inner, *names, name)
