"""Results as small HTML tables, as a notebook shows them: no colours of their own, so that they suit light and dark.

Covers: tables of words, everything escaped, and bars of a share.
Does not cover: what stands in them (model.py, canonical.py, pipeline/root/result.py), the report
(pipeline/results/report/).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_RIGHT = ' style="text-align:right"'
_LEFT = ' style="text-align:left"'


def html_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. The first column is words, at the left; the others are numbers, at the right."""
    head = "".join(f'<th scope="col"{_LEFT if not n else _RIGHT}>{escape(each)}</th>' for n, each in enumerate(heads))
    body = "".join(
        f'<tr><th scope="row"{_LEFT}>{escape(row[0])}</th>'
        + "".join(f"<td{_RIGHT}>{escape(word)}</td>" for word in row[1:])
        + "</tr>"
        for row in rows
    )
    caption = f'<caption style="text-align:left;font-weight:bold">{escape(title)}</caption>' if title else ""
    return f"<table>{caption}{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def html_facts(title: str, facts: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and words, both at the left."""
    rows = "".join(
        f'<tr><th scope="row"{_LEFT}>{escape(name)}</th><td{_LEFT}>{escape(words)}</td></tr>' for name, words in facts
    )
    caption = f'<caption style="text-align:left;font-weight:bold">{escape(title)}</caption>'
    return f"<table>{caption}<tbody>{rows}</tbody></table>"
