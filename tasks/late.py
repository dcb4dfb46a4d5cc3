"""Modules that are imported at their first use, where many commands never use them.

Covers: `late`, the stand-in of a module; `required`, an optional package or the remedy if it is missing.
Does not cover: public names (funkflow/__init__.py), training methods by dotted names (pipeline/settings/methods.py).

A module names one twice, so that types are checked and imports are seen by the rules of the house:

    if TYPE_CHECKING:
        import pandas as pd
    else:
        pd = late("pandas")

Decorators, base classes and constants of a module use theirs at once; what they need is imported as always.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from funkflow.tasks.errors import SettingsError


class _Late:
    """The stand-in: every attribute is that of the module, as it is at that moment."""

    __slots__ = ("_module", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: ModuleType | None = None

    def __getattr__(self, attribute: str) -> Any:
        if self._module is None:
            self._module = import_module(self._name)
        return getattr(self._module, attribute)


def late(name: str) -> Any:
    """Return a stand-in for the module of this dotted name, which imports it once an attribute is read."""
    return _Late(name)


def required(name: str, user: str, extra: str) -> Any:
    """Return an optional package; `user` : the option or command that needs it, `extra` : of funkflow, with it.

    Raises
    ------
    SettingsError
        It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as cause:
        raise SettingsError(f"{user} needs the package {name}: pip install 'funkflow[{extra}]'") from cause
