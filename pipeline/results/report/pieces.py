"""The pages' templates, filled in.

Covers: whole pages, and the pieces of their parts by name. Does not cover: their HTML and look (templates/), figures
(charts.py, bars.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from funkflow.pipeline.progress.colours import DARK, LIGHT
from funkflow.tasks.model.html_tables import templates_in

_TEMPLATES = templates_in(Path(__file__).with_name("templates"))
_TEMPLATES.globals |= {"light": Markup(LIGHT), "dark": Markup(DARK)}
_MACROS = _TEMPLATES.get_template("pieces.html.jinja").module
DRAWING_STYLE = _TEMPLATES.get_template("drawing.css.jinja").render()
"""Of curves and axes, for a drawing that stands alone."""
Part = tuple[str, str, str]
"""Of a page: its anchor, its heading, and its content, as HTML."""


def piece(name: str, /, *values: object, **more: object) -> Markup:
    """Return a piece of a page, by its name in pieces.html.jinja; escape all values but Markup."""
    return Markup(getattr(_MACROS, name)(*values, **more).strip())


def absent(title: str, why: str) -> Markup:
    """Return a line in place of a figure, with the reason."""
    return piece("absence", title, f"Not here: {why}.")


def figures(*parts: str) -> Markup:
    """Put figures side by side if they fit."""
    return Markup('<div class="figures">{}</div>').format(Markup("").join(parts))


def side_by_side(left: Markup, right: Markup) -> Markup:
    """Put two pieces side by side if they fit."""
    return Markup('<div class="pair">{}{}</div>').format(left, right)


def whole_page(title: str, beneath: str, heading: Markup, parts: Sequence[Part] = (), body: str = "") -> str:
    """Return a page: its title, a line beneath it, a heading, and its parts."""
    page: Any = _TEMPLATES.get_template("page.html.jinja")
    return str(page.render(title=title, beneath=beneath, heading=heading, parts=parts, body=body))
