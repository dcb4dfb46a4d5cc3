"""funkflow: low-rank factorisation of very large ratings matrices by gradient descent, as a dataflow on Dask.

Covers: `run`, `reconstruction`, `Settings`, `Model`, `MatrixFactorization`, `RunResult` and `plots`, imported on first
use, so that loading a model imports neither Dask nor scikit-learn; `__version__`; a home folder for this process where
there is none. The folders beside this file are links to those at the top of the repository, so that a checkout and a
wheel have the same import names.
Does not cover: anything else; import what you need from the module that has it (pipeline/, tasks/).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from funkflow.tasks.storage.paths import ensure_home

if TYPE_CHECKING:
    from funkflow.pipeline.estimator import MatrixFactorization as MatrixFactorization
    from funkflow.pipeline.flow import work as work
    from funkflow.pipeline.from_python import run as run
    from funkflow.pipeline.models.lazy_array import reconstruction as reconstruction
    from funkflow.pipeline.results import plots as plots
    from funkflow.pipeline.root.result import RunResult as RunResult
    from funkflow.pipeline.running.saved_model import recommend_with as recommend_with
    from funkflow.pipeline.running.saved_model import similar_with as similar_with
    from funkflow.pipeline.settings.sections import Settings as Settings
    from funkflow.tasks.model.model import Model as Model

    __version__: str

_MODULES = {
    "MatrixFactorization": "funkflow.pipeline.estimator",
    "run": "funkflow.pipeline.from_python",
    "work": "funkflow.pipeline.flow",
    "reconstruction": "funkflow.pipeline.models.lazy_array",
    "recommend_with": "funkflow.pipeline.running.saved_model",
    "similar_with": "funkflow.pipeline.running.saved_model",
    "RunResult": "funkflow.pipeline.root.result",
    "Settings": "funkflow.pipeline.settings.sections",
    "Model": "funkflow.tasks.model.model",
}

__all__ = [
    "MatrixFactorization", "Model", "RunResult", "Settings", "__version__", "plots", "reconstruction", "run",
]  # fmt: skip


ensure_home()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("funkflow")
    if name == "plots":
        return import_module("funkflow.pipeline.results.plots")
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'funkflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names: not those that this file imports, nor those that commands alone use."""
    return sorted(__all__)
