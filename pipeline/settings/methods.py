"""Which training methods there are, by kind, and which settings speak of one kind alone.

Covers: the kinds, and naming a setting that would change nothing with the chosen method.
Does not cover: what the settings mean (sections.py), which function a method is (pipeline/flow.py).
"""

from __future__ import annotations

from collections.abc import Collection

STANDARD = ("lanczos", "arnoldi", "randomized", "power")
"""Methods on the matrix with unknown entries as zero (pipeline/training/standard_svd.py)."""
ON_A_BASELINE = ("funk", *STANDARD)
"""Methods that remove mean and biases before they begin, instead of finding biases along with the factors."""
_WARM = {"warm_start", "warm_from"}
_NEVER = {
    "sgd": {"batch", "iterations", "tolerance"},
    "funk": {"batch", "checkpoint_epochs", "iterations", "minimum_gain", "tolerance", *_WARM},
    "batch": {"epochs", "step", "patience", "checkpoint_epochs", "iterations", "tolerance", *_WARM},
}
_NEVER_STANDARD = {"batch", "epochs", "l2", "step", "patience", "minimum_gain", "checkpoint_epochs", *_WARM}


def without_effect(method: str, fields: Collection[str]) -> list[str]:
    """Return those of the given fields of [train] that change nothing in the result of this method."""
    idle = _NEVER.get(method, _NEVER_STANDARD)
    if method == "randomized":
        idle = idle | {"tolerance"}
    return sorted(idle.intersection(fields))
