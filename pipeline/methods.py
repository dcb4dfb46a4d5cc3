"""Which training methods there are, by kind, and which settings speak of one kind alone.

Covers: the kinds, and naming a setting that would change nothing with the chosen method.
Does not cover: what the settings mean (settings.py), which function a method is (flow.py).
"""

from __future__ import annotations

from collections.abc import Collection

STANDARD = ("lanczos", "arnoldi", "randomized", "power")
"""Methods on the matrix with unknown entries as zero (stages/decompose.py)."""
_OF_STANDARD = {"iterations": STANDARD, "tolerance": ("lanczos", "arnoldi", "power")}
_OF_GRADIENTS = ("epochs", "l2", "step", "patience", "minimum_gain", "checkpoint_epochs")


def without_effect(method: str, fields: Collection[str]) -> list[str]:
    """Return those of the given fields of [train] that change nothing in the result of this method."""
    if method in STANDARD:
        idle = {*_OF_GRADIENTS, *(name for name, methods in _OF_STANDARD.items() if method not in methods)}
    else:
        idle = {*_OF_STANDARD}
    return sorted(idle.intersection(fields))
