"""Small HTML tables for notebooks, without colours of their own, so that they suit light and dark.

Covers: these tables, and templates of HTML and Markdown.
Does not cover: the content of the tables (model.py, canonical.py, pipeline/root/result.py), the report
(pipeline/results/report/).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from funkflow.tasks.late import late

if TYPE_CHECKING:
    import jinja2
else:  # few commands draw a table
    jinja2 = late("jinja2")


def templates_in(folder: str | Path) -> jinja2.Environment:
    """Return the templates of a folder, which escape their values, except in Markdown."""
    return jinja2.Environment(
        autoescape=lambda name: not (name or "").endswith(".md.jinja"), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, loader=jinja2.FileSystemLoader(folder),
    )  # fmt: skip


_TABLE = """<table>
{%- if title %}<caption style="text-align:left;font-weight:bold">{{ title }}</caption>{% endif %}
{%- if heads %}<thead><tr>
{%- for head in heads %}<th scope="col" style="text-align:{{ 'left' if loop.first else side }}">{{ head }}</th>
{%- endfor %}</tr></thead>{% endif %}<tbody>
{%- for row in rows %}<tr>{% for cell in row %}
{%- if loop.first %}<th scope="row" style="text-align:left">{{ cell }}</th>
{%- else %}<td style="text-align:{{ side }}">{{ cell }}</td>
{%- endif %}{% endfor %}</tr>{% endfor %}</tbody></table>"""


@cache
def _table() -> jinja2.Template:
    """Compile the template when it is first used: it takes 10 ms, and few commands draw a table."""
    return templates_in("").from_string(_TABLE)


def html_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], side: str = "right") -> str:
    """Return a table. The first column is text at the left; `side` : alignment of the others."""
    return _table().render(title=title, heads=heads, rows=rows, side=side)


def html_facts(title: str, facts: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and texts, both at the left."""
    return html_table(title, (), facts, "left")
