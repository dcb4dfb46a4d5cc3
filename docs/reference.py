"""The reference of the manual as Markdown, from the code: `python -m docs.reference settings`.

Covers: settings, commands, exit codes, events, files, and the list of public names.
Does not cover: docstrings of public names (Sphinx reads them), the text around these parts (pages.py).
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from typer.main import get_group

import funkflow
from funkflow.pipeline import cli
from funkflow.pipeline.commands.names import COMMANDS
from funkflow.pipeline.progress import events
from funkflow.pipeline.root import ledger, manifests, model_in_use, model_manifests, records, typed_json
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks import errors
from funkflow.tasks.model import about
from funkflow.tasks.model.draws import about_draws

UNITS = {"_seconds": "seconds", "_bytes": "bytes", "_epochs": "epochs", "_steps": "iterations", "_ratings": "ratings"}
"""Units that a setting has in its name."""
_NAMES = {bool: "true or false", int: "integer", float: "number", str: "text", SecretStr: "text, secret"}
_PATH = re.compile(r"\b(Place|Paths)\b")
_CODE = re.compile(r"(`[^`]+`)")
_MARKUP = re.compile(r"([\\*_<>\[\]|~#$])")


def escaped(text: str) -> str:
    """Return plain text as Markdown that shows it, on one line; `code` stays code."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if number % 2 else _MARKUP.sub(r"\\\1", part) for number, part in enumerate(parts))


def prose(documented: object) -> str:
    """Return a docstring, paragraph by paragraph."""
    return "\n\n".join(escaped(part) for part in (inspect.getdoc(documented) or "").split("\n\n"))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; its cells are Markdown."""
    head = list(head)
    lines = (f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
    return "\n".join(lines) + "\n"


def directive(name: str, argument: str, content: str) -> str:
    """Return a directive of Sphinx."""
    return f":::{{{name}}} {argument}\n\n{content}\n:::\n"


# Settings


def settings_of(section: type[BaseModel], before: str = "") -> Iterator[tuple[str, type[BaseModel], FieldInfo]]:
    """Yield each setting: its name with that of its section, the class of the section, and the field."""
    for name, field in section.model_fields.items():
        inner = _section_in(field.annotation)
        if inner is None:
            yield before + name, section, field
        else:
            yield from settings_of(inner, f"{before}{name}.")


def _section_in(annotation: Any) -> type[BaseModel] | None:
    kinds = (annotation, *typing.get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def type_in_words(annotation: Any) -> str:
    """Return a type as the reader of a settings file knows it."""
    inner = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{json.dumps(value)}`" for value in inner)
    if origin is typing.Annotated:
        return type_in_words(inner[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_in_words(one) for one in inner if one is not type(None))
    if origin is tuple and inner[-1] is Ellipsis:
        return f"list; each: {type_in_words(inner[0])}"
    if origin is tuple:
        return f"list of {len(inner)}; each: {type_in_words(inner[0])}"
    return _NAMES[annotation]


def value_in_words(value: Any) -> str:
    """Return a default as TOML has it; what TOML has no word for is not set."""
    if value is None:
        return "not set"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return f"`{json.dumps(value)}`"


def _type_of_setting(name: str, section: type[BaseModel], field: FieldInfo) -> str:
    written = str(section.__annotations__[name.rpartition(".")[2]])
    if "Bytes" in written:
        return 'number of bytes, or text such as `"64 MiB"`'
    words = type_in_words(field.annotation).replace("text", "path or URL" if _PATH.search(written) else "text")
    unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    bounds = {kind: getattr(limit, kind) for limit in field.metadata for kind in _BOUNDS if hasattr(limit, kind)}
    return ", ".join([words, *([unit] if unit else []), *(f"{_BOUNDS[kind]} {end}" for kind, end in bounds.items())])


_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most", "max_length": "characters at most"}


def settings() -> str:
    """Return all settings by section, each with type, unit, default and description."""
    parts: dict[str, list[str]] = {}
    for name, section, field in settings_of(Settings):
        place = name.rpartition(".")[0]
        if place not in parts:
            parts[place] = [f"## [{place}]\n\n{prose(section)}\n" if place else "## At the top of the file\n"]
        default = value_in_words(field.get_default(call_default_factory=True))
        kind = _type_of_setting(name, section, field)
        content = f"{escaped(field.description or '')}\n\nType: {kind}; default: {default}"
        parts[place].append(directive("confval", name, content))
    return "\n".join(line for lines in parts.values() for line in lines)


# Commands


def commands_of() -> Iterator[tuple[str, Any]]:
    """Yield each command with the words that call it, such as "runs show"; a group comes before its commands."""
    found = get_group(cli.program()).commands
    for name in COMMANDS:
        yield name, found[name]
        yield from ((f"{name} {inner}", command) for inner, command in getattr(found[name], "commands", {}).items())


def commands() -> str:
    """Return all commands by group, each with its usage, its arguments and its options."""
    parts, panel = [], ""
    for words, command in commands_of():
        listed = COMMANDS[words.split()[0]]
        if listed.panel != panel:
            panel = listed.panel
            parts.append(f"## {panel}\n")
        context = command.context_class(command, info_name=words)
        usage = " ".join(["funkflow", words, *command.collect_usage_pieces(context)])
        usage = usage.replace("[[", "[").replace("]]", "]")
        help_text = inspect.cleandoc(command.help or listed.line).partition("\f")[0]
        parts += [f"### funkflow {words}\n", escaped(help_text) + "\n", f"```text\n{usage}\n```\n"]
        parts.append(f"```{{program}} funkflow {words}\n```\n")
        for parameter in command.params:
            if record := parameter.get_help_record(context):  # none if it is hidden
                names, about_it = record[0].replace(" / ", ", ").replace("list[str]", "str"), escaped(record[1])
                is_option = parameter.param_type_name == "option"
                parts.append(directive("option", names, about_it) if is_option else f"`{names}`: {about_it}\n")
    return "\n".join(parts)


# Exit codes


def codes_in_words() -> dict[str, str]:
    """Return exit codes and their meaning, from the docstring of the program."""
    (listed,) = re.findall(r"the exit codes: (.*?)\.\n", cli.__doc__ or "", re.DOTALL)
    return dict(part.split(" ", 1) for part in " ".join(listed.split()).split(", "))


def exit_codes() -> str:
    """Return all exit codes with the errors that lead to them."""
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FunkflowError)
    ]
    rows = []
    for code, words in codes_in_words().items():
        of_code = [kind for kind in kinds if str(kind.exit_code) == code and kind is not errors.FunkflowError]
        causes = (f"`{kind.__name__}`: {prose(kind)}" for kind in of_code)
        rows.append((code, escaped(words), "<br>".join(causes)))
    return table(("code", "meaning", "errors"), rows)


# Events and files


def _fields_of(kind: Any) -> list[tuple[str, str, str]]:
    """Return name, type and default of each field of a dataclass or a typed mapping, as JSON has them."""
    if not dataclasses.is_dataclass(kind):
        return [(name, str(getattr(of, "__forward_arg__", of)), "") for name, of in kind.__annotations__.items()]
    return [
        (each.name, str(each.type), "" if each.default is dataclasses.MISSING else repr(each.default))
        for each in dataclasses.fields(kind)
        if each.name not in _ELSEWHERE
    ]


_ELSEWHERE = {"folder", "others", "absent", "files"}
"""Fields of manifests that are not content, or are described once for all (files.md)."""


def described(kind: Any, level: int = 3) -> str:
    """Return one kind of record: its docstring, and a table of its fields."""
    rows = (
        (f"`{name}`", f"`{of}`".replace("|", r"\|"), f"`{default}`" if default else "")
        for name, of, default in _fields_of(kind)
    )
    title = f"{kind.__name__}: kind `{kind.kind}`" if hasattr(kind, "kind") else kind.__name__
    return f"{'#' * level} {title}\n\n{prose(kind)}\n\n{table(('field', 'type', 'default'), rows)}"


def event_kinds() -> str:
    """Return all events with their fields."""
    return "\n".join(described(kind, 2) for kind in typing.get_args(events.Event))


def records_of(module: types.ModuleType) -> list[Any]:
    """Return the dataclasses and typed mappings that a module defines and writes, in its order."""
    own = (each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__)
    return [
        each
        for each in own
        if isinstance(each, type)
        and each.__name__[0] != "_"
        and (typing.is_typeddict(each) or issubclass(each, typed_json.Entry))
    ]


def files() -> str:
    """Return the content of manifests, of `model.json`, `current.json` and the ledger."""
    groups = {
        "Manifests of data and training": [
            typed_json.FileEntry,
            *records_of(manifests),
            *records_of(records),
        ],
        "Manifests of what is made of a model": records_of(model_manifests),
        "model.json": [about.About, about.PartEntry, about_draws.DrawsAbout, about_draws.NoiseByRating],
        "current.json": records_of(model_in_use),
        "The ledger": records_of(ledger),
    }
    return "\n".join("\n".join([f"## {name}\n", *map(described, kinds)]) for name, kinds in groups.items())


def _class_directive(name: str, found: type) -> str:
    """Return the directive for a class: its members, without those that other packages give it."""
    stop = ", ".join(each.__name__ for each in found.__mro__[:-1] if not each.__module__.startswith("funkflow."))
    added = ", ".join(each for each in vars(found) if re.fullmatch(r"set_\w+_request", each))  # by scikit-learn
    options = [":members:", f":inherited-members: {stop}".rstrip(), *([f":exclude-members: {added}"] if added else [])]
    return "\n".join([f".. autoclass:: funkflow.{name}", *(f"   {each}" for each in options), ""])


def public_names() -> str:
    """Return a directive of Sphinx for each public name, which reads its docstring."""
    parts = []
    for name in funkflow.__all__:
        found = getattr(funkflow, name)
        if isinstance(found, types.ModuleType):
            parts.append(f".. automodule:: {found.__name__}\n   :members:\n")
        elif isinstance(found, type):
            parts.append(_class_directive(name, found))
        elif callable(found):
            parts.append(f".. autofunction:: funkflow.{name}\n")
    return "```{eval-rst}\n" + "\n".join(parts) + "```\n"


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "exit-codes": exit_codes,
    "events": event_kinds,
    "files": files,
    "api": public_names,
}
"""Parts of the reference, as pages name them."""


if __name__ == "__main__":
    sys.stdout.write(PARTS[sys.argv[1]]())
