"""The reference of the manual has all that the code has: settings, commands, exit codes, events, manifests, names.

Covers: docs/reference.py, against the code itself; that every setting and option is described.
Does not cover: the pages around it (test_docs.py), how Sphinx shows them (`make docs`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from typer.main import get_group

import funkflow
from docs import reference
from funkflow.pipeline.cli import program
from funkflow.pipeline.progress.events import Event
from funkflow.pipeline.root.typed_json import Manifest
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import FunkflowError
from funkflow.tasks.model.about import About

SCHEMA = Settings.model_json_schema()


def keys(schema: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Yield the keys of a settings file as its JSON schema has them."""
    for name, content in schema["properties"].items():
        inner: list[str] = re.findall(r"#/\$defs/(\w+)", str(content))
        if inner:
            yield from keys(SCHEMA["$defs"][inner[0]], f"{before}{name}.")
        else:
            yield before + name


def kinds_below(kind: type[Any]) -> set[type[Any]]:
    return {each for inner in kind.__subclasses__() for each in (inner, *kinds_below(inner))}


def test_every_setting_is_there_with_type_default_and_description() -> None:
    """A setting without a description fails here: `Field(..., description=...)`."""
    text = reference.settings()
    found = dict(re.findall(r"^:::\{confval\} (\S+)\n\n(.+)\n\nType: .+; default: .+\n:::$", text, re.MULTILINE))
    assert found.keys() == set(keys(SCHEMA))
    assert {"train.rank", "ingest.columns.user", "hooks.on_failure"} <= found.keys()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("train.rank", "integer, at least 1, at most 4096; default: `64`"),
        ("split.kind", '`"file"`, `"fraction"`, `"last"`, `"after"`, `"users"`, `"none"`; default: `"fraction"`'),
        ("cluster.memory", 'number of bytes, or text such as `"64 MiB"`; default: `0`'),
        ("hooks.timeout_seconds", "number, seconds, above 0; default: `30.0`"),
        ("train.l2", "number, at least 0; default: not set"),
        ("ingest.ratings", "list; each: path or URL; default: `[]`"),
        ("ingest.scale", "list of 2; each: number; default: not set"),
    ],
)
def test_a_setting_is_shown_in_the_words_of_a_settings_file(name: str, shown: str) -> None:
    (content,) = re.findall(rf"^:::\{{confval\}} {name}\n\n(.*?):::$", reference.settings(), re.MULTILINE | re.DOTALL)
    assert content.splitlines()[-1] == f"Type: {shown}"


def test_every_command_is_there_with_every_option() -> None:
    parts = dict(re.findall(r"^### funkflow (.+?)\n(.*?)(?=^##|\Z)", reference.commands(), re.MULTILINE | re.DOTALL))
    for name, command in get_group(program()).commands.items():
        for words, each in ((name, command), *_inner(name, command)):
            names = {option for one in each.params for option in (*one.opts, *one.secondary_opts) if option[0] == "-"}
            listed = re.findall(r"^:::\{option\} (.+)\n\n.+\n:::$", parts[words], re.MULTILINE)
            assert {option.split()[0] for line in listed for option in line.split(", ")} == names, words


def _inner(name: str, group: Any) -> list[tuple[str, Any]]:
    return [(f"{name} {word}", command) for word, command in getattr(group, "commands", {}).items()]


def test_every_exit_code_is_there_with_its_errors() -> None:
    rows = {row.split(" | ")[0].strip("| "): row for row in reference.exit_codes().splitlines()}
    for kind in kinds_below(FunkflowError):
        if kind.__module__ == "funkflow.tasks.errors":
            assert f"`{kind.__name__}`" in rows[str(kind.exit_code)]
    assert {"0", "130/143"} <= rows.keys()


def test_every_event_is_there_with_its_fields() -> None:
    parts = reference.event_kinds().split("## ")
    for kind in get_args(Event):
        (part,) = (each for each in parts if each.startswith(f"{kind.__name__}\n"))
        assert re.findall(r"^\| `(\w+)`", part, re.MULTILINE) == [each.name for each in dataclasses.fields(kind)]


def test_every_manifest_is_there_and_all_of_model_json() -> None:
    text = reference.files()
    for kind in kinds_below(Manifest):
        assert f"### {kind.__name__}: kind `{kind.kind}`\n" in text
    part = text.partition("### About\n")[2].partition("###")[0]
    assert set(re.findall(r"^\| `(\w+)`", part, re.MULTILINE)) == set(About.__annotations__)


def test_every_public_name_is_there() -> None:
    text = reference.public_names()
    for name in set(funkflow.__all__) - {"__version__", "plots"}:
        assert f":: funkflow.{name}\n" in text
    assert f":: {funkflow.plots.__name__}\n" in text
