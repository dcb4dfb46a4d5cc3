"""The pieces that the parts of a page are made of: lists of facts, rows of figures, and what is not there.

Covers: their HTML. Does not cover: tables and whole pages (style.py), figures (charts.py, bars.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any


def definitions(rows: Sequence[tuple[str, Any]]) -> str:
    """Return names and values as a list."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in rows)
    return f'<dl class="facts">{items}</dl>'


def figures(*parts: str) -> str:
    """Lay figures out side by side where there is room."""
    return f'<div class="figures">{"".join(parts)}</div>'


def none(title: str, why: str) -> str:
    """Return the place of a figure that there is nothing for."""
    return f'<figure><figcaption>{escape(title)}</figcaption><p class="none">Not here: {escape(why)}.</p></figure>'
