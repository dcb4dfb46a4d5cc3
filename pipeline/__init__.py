"""Which task runs when, where, and within which memory; and the package's front door.

Covers: `run`, `reconstruction`, `Settings`, `Model` and `RunResult`, handed out on first use, so that loading a model
imports no Dask; `__version__`; and a home for this process where there is none.
Does not cover: anything else; import what you need from the module that has it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from tasks.paths import ensure_home

if TYPE_CHECKING:
    from pipeline.flow import run as run
    from pipeline.flow import work as work
    from pipeline.runtime.arrays import reconstruction as reconstruction
    from pipeline.runtime.result import RunResult as RunResult
    from pipeline.saved import recommend_with as recommend_with
    from pipeline.settings import Settings as Settings
    from tasks.model import Model as Model

    __version__: str

_HOMES = {
    "run": "pipeline.flow",
    "work": "pipeline.flow",
    "reconstruction": "pipeline.runtime.arrays",
    "recommend_with": "pipeline.saved",
    "RunResult": "pipeline.runtime.result",
    "Settings": "pipeline.settings",
    "Model": "tasks.model",
}

__all__ = ["Model", "RunResult", "Settings", "__version__", "reconstruction", "run"]


ensure_home()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("funkflow")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what is offered: neither what this file imports, nor what commands alone ask it for."""
    return sorted(__all__)
