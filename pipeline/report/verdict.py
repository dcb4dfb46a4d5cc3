"""What matters of a run in two sentences, at the top of its page.

Covers: what the model reached beside what it must beat, what its gate said, and how long it took.
Does not cover: the rest of the page (sections.py, errors.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from tasks.digits import rounded
from tasks.transform import NAMES

Facts = Mapping[str, Any]


def verdict(facts: Facts) -> str:
    """Return it as a paragraph."""
    found, run = facts["verdict"], facts["run"]
    if found.get("rmse") is None:
        words = "The model was not measured: no ratings were held out to validate on."
    else:
        words = _measured(found)
    words += _judged(found.get("gate") or {}) + _scale(run["settings"].get("ingest", {}).get("transform", "none"))
    return f'<p class="verdict">{escape(words)} It took {escape(duration(run["seconds"]))}.</p>'


def _measured(found: Facts) -> str:
    """Say what the model reached beside what it must beat: both, or it is of no use."""
    figures = rmse, biases, mean = found["rmse"], found["biases_rmse"], found["mean_rmse"]
    own, of_biases, of_mean = (rounded(each, *figures) for each in figures)
    words = f"RMSE {own} on {found['ratings']:,} validation ratings ({found['split']})"
    if rmse < min(biases, mean):
        words += (
            f": {(biases - rmse) / biases:.1%} better than biases alone ({of_biases}); the mean rating has {of_mean}."
        )
    else:
        words = f"The model is of no use: {words}; the mean rating has {of_mean}, and biases alone have {of_biases}."
    if found.get("truth_rmse") is not None:
        words += f" The ratings are synthetic; no method can go below {rounded(found['truth_rmse'], *figures)}."
    return words


def _scale(transform: str) -> str:
    """Say of what all figures of the page are, where it is not the ratings themselves."""
    of = NAMES[transform]
    return "" if transform == "none" else f" Ratings and errors on this page are those of {of} (ingest.transform)."


def _judged(gate: Facts) -> str:
    if not gate:
        return ""
    return " The model passed the gate." if gate.get("passed", True) else f" The gate refused it: {gate['refusal']}."


def duration(seconds: float) -> str:
    """Write a time as people say it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
