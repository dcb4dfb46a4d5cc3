"""Recognise the files of MovieLens.

Covers: their names and columns, and the scale of their ratings. Does not cover: any other form (formats.py).
"""

from __future__ import annotations

import re


def movielens_name(base: str, delimiter: str) -> str:
    """Return the name of a MovieLens file without header, by its file name and delimiter; "" for other files."""
    if (base == "ratings.dat" and delimiter == "::") or (
        re.match(r"^u([1-5]|[ab])?\.(data|base|test)$", base) and delimiter == "\t"
    ):
        return f"MovieLens {base}"
    return ""


def movielens_form(name: str, header: tuple[str, ...], ratings: list[str]) -> tuple[str, tuple[float, float] | None]:
    """Return what MovieLens files are called, and their scale; "" and None for other files."""
    if header == ("userId", "movieId", "rating", "timestamp"):
        return "MovieLens ratings.csv", (0.5, 5.0)
    if not name:
        return "", None
    half_stars = name == "MovieLens ratings.dat" and any("." in rating for rating in ratings)
    return name, (0.5 if half_stars else 1.0, 5.0)
