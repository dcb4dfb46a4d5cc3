"""Settings in text form: `section.key=value` words, and errors for wrong keys and values.

Covers: putting overrides into nested mappings, naming the key nearest to an unknown one, and the value at fault.
Does not cover: the settings and their valid values (sections.py).
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from funkflow.tasks.errors import SettingsError

Model = TypeVar("Model", bound=BaseModel)


def copied(content: Mapping[str, object]) -> dict[str, Any]:
    """Return nested mappings as new dicts."""
    return {key: copied(value) if isinstance(value, Mapping) else value for key, value in content.items()}


def flat(content: Mapping[str, object], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings under dotted names."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def override(content: dict[str, Any], word: str) -> None:
    """Put the value of a `section.key=value` word into `content`; a value that is not TOML is text.

    Raises
    ------
    SettingsError
        The word has no key or no equals sign, or a part of its key is no section.
    """
    key, equals, text = word.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise SettingsError(f"--set {word!r}: write it as section.key=value, for instance train.rank=128")
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    target = content
    for part in path[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise SettingsError(f"--set {word!r}: {part} is no section")
    target[path[-1]] = value


def refuse_unknown(
    content: Mapping[str, object], whole: type[BaseModel], where: str, above: tuple[str, ...] = ()
) -> None:
    """Raise SettingsError at the first unknown key, and name the nearest valid one."""
    section = whole
    for part in above:
        section = _section_of(_fields(section)[part].annotation) or section
    for key, value in content.items():
        if key not in _fields(section):
            wrong = ".".join((*above, key))
            keys = _all_keys(whole)
            if isinstance(value, Mapping):
                keys = sorted({key.rpartition(".")[0] for key in keys} - {""})
            near = difflib.get_close_matches(wrong, keys, n=1, cutoff=0.0)[0]
            raise SettingsError(f"{where}: there is no setting {wrong!r}; the nearest is {near!r}")
        inner = _section_of(_fields(section)[key].annotation)
        if inner is not None and isinstance(value, Mapping):
            refuse_unknown(value, whole, where, (*above, key))


def validated(content: Mapping[str, object], whole: type[Model], where: str) -> Model:
    """Return the section of nested mappings; raise SettingsError at the first wrong key or value."""
    refuse_unknown(content, whole, where)
    try:
        return whole.model_validate(content)
    except ValidationError as cause:
        first = cause.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        reason = first["msg"].removeprefix("Value error, ")
        value = "" if isinstance(first["input"], (dict, BaseModel)) else f" = {_value_text(first['input'])}"
        raise SettingsError(f"{where}: {key}{value}: {reason}") from cause


def _value_text(value: Any) -> str:
    """Return a value in one line; for a value that no settings file can hold, such as a table, its type."""
    plain = isinstance(value, (str, int, float, list, tuple, type(None))) and "\n" not in repr(value)
    return repr(value) if plain else f"a {type(value).__name__}"


def _fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a section's fields by their names in files."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _all_keys(section: type[BaseModel], above: tuple[str, ...] = ()) -> list[str]:
    keys: list[str] = []
    for name, field in _fields(section).items():
        inner = _section_of(field.annotation)
        keys += [".".join((*above, name))] if inner is None else _all_keys(inner, (*above, name))
    return keys


def _section_of(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
