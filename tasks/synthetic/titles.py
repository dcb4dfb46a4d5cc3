"""Titles of invented films, in the form of `movie_titles.txt`.

Covers: titles with the awkward features of the real file: commas, accents in latin-1, years that are NULL.
Does not cover: ratings (netflix_text.py), or reading titles of any set (tasks/parsing/titles.py).
"""

from __future__ import annotations

import numpy as np

from funkflow.tasks.synthetic.planted import TITLE_STREAM, SetPlan, stream

_ADJECTIVES = ("Silent", "Crimson", "Last", "Hidden", "Broken", "Golden", "Distant", "Bitter", "Electric", "Paper")
_NOUNS = ("Harbour", "Orchard", "Letter", "Summer", "Mirror", "Engine", "Shadow", "Café", "Piñata", "Señor", "Déjà Vu")
_PLACES = ("Lisbon", "the North", "Málaga", "Winter", "Zürich", "Nowhere", "Córdoba", "the Moon", "Ålesund", "Ohio")
_PATTERNS = (
    "The {adjective} {noun}",
    "{adjective} {noun}",
    "{noun} of {place}",
    "The {noun}, the {other} and {place}",
    "{noun}, {adjective}",
    "{noun}: Vol. {number}",
    "{adjective} {noun}: Season {number}, Part {second}",
    "{number},000 Miles to {place}",
)  # fmt: skip
_NULL_YEARS = 0.005
_FIRST_YEAR, _LAST_YEAR = 1915, 2005


def titles_text(plan: SetPlan) -> bytes:
    """Return `movie_titles.txt`: one latin-1 line `id,year,title` a film; one year in 200, and the third, is NULL."""
    rng = stream(plan, TITLE_STREAM)
    lines = []
    for item_id in range(1, plan.items + 1):
        is_null = rng.random() < _NULL_YEARS or item_id == 3
        age = min(int(rng.exponential(14.0)), _LAST_YEAR - _FIRST_YEAR)
        lines.append(f"{item_id},{'NULL' if is_null else _LAST_YEAR - age},{_title(rng)}\n")
    return "".join(lines).encode("latin-1")


def _title(rng: np.random.Generator) -> str:
    words = {
        name: choices[int(rng.integers(len(choices)))]
        for name, choices in {"adjective": _ADJECTIVES, "noun": _NOUNS, "other": _NOUNS, "place": _PLACES}.items()
    }
    pattern = _PATTERNS[int(rng.integers(len(_PATTERNS)))]
    return pattern.format(number=int(rng.integers(1, 13)), second=int(rng.integers(1, 4)), **words)
