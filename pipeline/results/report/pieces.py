"""The pages' templates, filled in.

Covers: whole pages, in HTML and Markdown, and the pieces of their parts by name.
Does not cover: their text and look (templates/), figures (charts.py, bars.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from funkflow.pipeline.progress.colours import DARK, LIGHT
from funkflow.tasks.model.html_tables import templates_in

_TEMPLATES = templates_in(Path(__file__).with_name("templates"))
_TEMPLATES.globals |= {"light": Markup(LIGHT), "dark": Markup(DARK)}
_TEMPLATES.filters["plain"] = lambda text: str(text).replace("|", "\\|").replace("<", "&lt;")
_MACROS = _TEMPLATES.get_template("pieces.html.jinja").module
DRAWING_STYLE = _TEMPLATES.get_template("drawing.css.jinja").render()
"""Of curves and axes, for a drawing that stands alone."""
Part = tuple[str, str, str]
"""Of a page: its anchor, its heading, and its content, as HTML."""


def piece(name: str, /, *values: object, **more: object) -> Markup:
    """Return a piece of a page, by its name in pieces.html.jinja; escape all values but Markup."""
    return Markup(getattr(_MACROS, name)(*values, **more).strip())


def absent(title: str, why: str) -> Markup:
    """Return the reason in place of a figure."""
    return piece("absence", title, f"{why}.")


def figures(*parts: str) -> Markup:
    """Put figures side by side if they fit."""
    return Markup('<div class="figures">{}</div>').format(Markup("").join(parts))


def side_by_side(left: Markup, right: Markup) -> Markup:
    """Put two pieces side by side if they fit."""
    return Markup('<div class="pair">{}{}</div>').format(left, right)


def whole_page(title: str, beneath: str, heading: Markup, parts: Sequence[Part] = (), body: str = "") -> str:
    """Return a page: its title, a line beneath it, a heading, and its parts."""
    return filled("page.html.jinja", title=title, beneath=beneath, heading=heading, parts=parts, body=body)


def filled(template: str, **values: object) -> str:
    """Return a template of this folder with its values."""
    return _TEMPLATES.get_template(template).render(**values)
