"""The training methods, in one table with an entry for each method.

Covers: names, units, limits, ignored settings and functions of the methods; settings without effect on a method.
Does not cover: the settings (train.py), the methods themselves (pipeline/training/).

docs/adding-a-method.md shows how to add one.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Method:
    """One value of `train.method`.

    Attributes
    ----------
    name : in settings, manifests and pages.
    description : a few words for the list of settings and the report.
    run : "module:function", imported when used. It takes a TrainingJob and returns the training manifest.
    memory : "module:function". It takes a Workload (pipeline/planning/method_memory.py) and returns its Need.
    ignores : settings of [train] without effect.
    unit : the unit of progress; `counted` : the unit of the manifest's `epochs`.
    most : the setting that limits the units; `limit` : the limit in words, with settings in braces.
    numbers : "module:function", for a method whose rule chooses other numbers than stochastic descent's. It takes grid,
        scale and [train], and returns a dataclass, which becomes part of a run's id. Empty: there are none.
    resumes : whether an interrupted training continues from a checkpoint.
    removes_baseline : mean and biases are removed before training, instead of trained along with the factors.
    missing_as_zero : missing entries count as zero, so there are no epochs to choose from.
    saved_ranks : rank of the saved model, in ranks of [train], where it is large.
    """

    name: str
    description: str
    run: str
    memory: str
    ignores: frozenset[str]
    unit: str = "epoch"
    counted: str = "epochs"
    limit: str = "at most {epochs} epochs"
    numbers: str = ""
    resumes: bool = True
    removes_baseline: bool = False
    missing_as_zero: bool = False
    saved_ranks: int = 1

    def run_function(self) -> Callable[..., Any]:
        """Import the function that trains."""
        return _imported(self.run)

    def memory_function(self) -> Callable[..., Any]:
        """Import the function that predicts memory."""
        return _imported(self.memory)

    def own_numbers(self, *arguments: Any) -> dict[str, Any]:
        """Return the numbers of the method's own rule, by name; {} if there are none."""
        return asdict(_imported(self.numbers)(*arguments)) if self.numbers else {}

    def limit_in(self, train: Any) -> str:
        """Return the limit in words."""
        return self.limit.format_map({name: getattr(train, name) for name in ("epochs", "batch", "members")})

    @property
    def counts_epochs(self) -> bool:
        """Whether a unit is an epoch of all factors."""
        return self.unit == "epoch"


def _imported(dotted: str) -> Callable[..., Any]:
    module, _, function = dotted.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found


_TRAINING, _MEMORY = "funkflow.pipeline.training.methods", "funkflow.pipeline.planning.method_memory"
_WARM = frozenset({"warm_start", "warm_from"})
_TIME = frozenset({"time"})
_IMPLICIT = frozenset({"implicit"}) | _TIME
_DRAWS = frozenset({"bayes", "keep_draws"})
_OF_SGD = frozenset({"als", "batch", "iterations", "tolerance"}) | _DRAWS
_ALL_EPOCHS = (
    frozenset({"als", "batch", "epochs", "l2", "step", "patience", "minimum_gain", "checkpoint_epochs", "stop_by"})
    | {"members"}
    | _WARM
    | _DRAWS
    | _IMPLICIT
)


def _standard_svd(name: str, memory: str, ignores: frozenset[str]) -> Method:
    """Return a standard method of the SVD."""
    return Method(
        name, name, f"{_TRAINING}.standard_svd:decompose", f"{_MEMORY}:{memory}", ignores,
        unit="product", counted="products", limit="products with the matrix until the singular values are found",
        resumes=False, removes_baseline=True, missing_as_zero=True,
    )  # fmt: skip


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "sgd", "stochastic gradient descent", f"{_TRAINING}.sgd:train",
            "funkflow.pipeline.planning.sgd_memory:sgd_need", _OF_SGD,
        ),
        Method(
            "als", "alternating least squares, solved by conjugate gradients",
            f"{_TRAINING}.als:train_als", f"{_MEMORY}:als_need",
            frozenset({"batch", "members", "step", "iterations", "tolerance"}) | _DRAWS | _IMPLICIT,
            numbers=f"{_TRAINING}.als:objective_of",
        ),
        Method(
            "bayes", "draws from the posterior, by Gibbs sampling",
            f"{_TRAINING}.bayes:train_bayes", "funkflow.pipeline.planning.posterior_memory:bayes_need",
            frozenset({"als", "batch", "iterations", "members", "tolerance"}) | _WARM,
            unit="sweep", counted="sweeps", limit="the sweeps of all chains",
            numbers="funkflow.pipeline.training.sweeps:sampling_size", saved_ranks=2,
        ),
        Method(
            "batch", "gradient descent on all ratings at once",
            f"{_TRAINING}.batch:train_batch", f"{_MEMORY}:batch_need",
            frozenset({"als", "epochs", "step", "patience", "checkpoint_epochs", "iterations", "members", "tolerance"})
            | _WARM
            | _DRAWS
            | _IMPLICIT,
            unit="step", counted="steps", limit="at most {batch.steps} steps",
        ),
        Method(
            "funk", "gradient descent, one factor after another",
            f"{_TRAINING}.funk:train_funk", f"{_MEMORY}:funk_need",
            frozenset({"als", "batch", "checkpoint_epochs", "iterations", "members", "minimum_gain", "tolerance"})
            | _WARM
            | _DRAWS
            | _IMPLICIT,
            unit="feature", counted="passes", limit="at most {epochs} passes for each factor",
            removes_baseline=True,
        ),
        _standard_svd("lanczos", "lanczos_need", _ALL_EPOCHS),
        _standard_svd("arnoldi", "arnoldi_need", _ALL_EPOCHS),
        _standard_svd("randomized", "randomized_need", _ALL_EPOCHS | {"tolerance"}),
        _standard_svd("power", "power_need", _ALL_EPOCHS),
    )
}  # fmt: skip
"""The methods by name, in the order in which they are listed."""
MEMBERS = Method(
    "members", "the mean of several runs of stochastic gradient descent",
    f"{_TRAINING}.members:train_members", "funkflow.pipeline.planning.posterior_memory:members_need",
    _OF_SGD | _WARM | _TIME,
    unit="member", counted="members", limit="{members} runs of at most {epochs} epochs",
    numbers=f"{_TRAINING}.members:size_of_mean", saved_ranks=2,
)  # fmt: skip
"""What `train.members` above 1 makes of sgd. It has no name in `train.method`."""
ALL_METHODS = ChainMap(METHODS, {MEMBERS.name: MEMBERS})
"""Also those without a name in `train.method`, and those that a program adds to METHODS."""
DEFAULT_METHOD = next(iter(METHODS))
"""The method for production, with the least memory and time."""


def described_methods() -> str:
    """Return the names of all methods, with descriptions of those that are not standard."""
    own = [f"{method.name}: {method.description}" for method in METHODS.values() if not method.missing_as_zero]
    standard = [method.name for method in METHODS.values() if method.missing_as_zero]
    return f"{'; '.join(own)}; {', '.join(standard)}: standard methods of the SVD, missing entries as zero"


def without_effect(method: str, fields: Collection[str]) -> list[str]:
    """Return the given fields of [train] that have no effect on the result of a method of ALL_METHODS."""
    return sorted(ALL_METHODS[method].ignores.intersection(fields))
