"""The frame of the live page: its HTML and style, in light and dark, on screens and phones.

Covers: the template, in templates/, with Dask's own pages in its navigation; the style sheets; the theme of plots.
Does not cover: the figures (curves.py, block_figure.py), the text (panels.py), updates (page.py), colours
(pipeline/progress/colours.py).

Bokeh draws axes and grids in the colours of the variables `--bk-…` of the style sheet, so these follow light and dark.
"""

from __future__ import annotations

from pathlib import Path

from bokeh.themes import Theme
from markupsafe import Markup

from funkflow.pipeline.progress.colours import DARK, LIGHT
from funkflow.tasks.model.html_tables import templates_in

WAITING = "waiting"
"""The class of parts with nothing to show yet."""
_TEMPLATES = templates_in(Path(__file__).with_name("templates"))
_TEMPLATES.globals |= {"light": Markup(LIGHT), "dark": Markup(DARK), "waiting": WAITING}
TEMPLATE = _TEMPLATES.get_template("page.html.jinja")
"""The page. `pages`, `here` : Dask's own pages, and this one."""

THEME = Theme(
    json={
        "attrs": {
            "Plot": {
                "background_fill_color": None, "border_fill_color": None, "min_border_left": 52, "min_border_right": 14,
                "min_border_top": 8, "outline_line_color": None,
            },
            "Toolbar": {"logo": None},
            "Axis": {
                "axis_label_text_font_style": "normal", "axis_label_text_font_size": "13px",
                "axis_label_text_font": "system-ui, sans-serif", "major_label_text_font_size": "12px",
                "major_label_text_font": "system-ui, sans-serif", "minor_tick_line_color": None,
            },
        }
    }
)  # fmt: skip

WORDS = """
:host{font:inherit;color:var(--ink)}.bk-clearfix{display:block!important}
h2{font-size:1.02rem;margin:0 0 .35rem}p{margin:.25rem 0}
small{font-size:.86rem;font-weight:400;color:var(--soft)}
ul{list-style:none;display:flex;flex-wrap:wrap;gap:.15rem 1.1rem;margin:0 0 .4rem;padding:0;font-size:.88rem}
li{display:flex;align-items:center;gap:.4rem;min-width:0;overflow-wrap:anywhere}li svg{flex:none}
.state{font-size:.8rem;font-weight:600;border:1px solid;border-radius:1rem;padding:.05rem .6rem;margin-right:.5rem}
.done{color:var(--good)}.failed,.refused,.interrupted{color:var(--bad)}.running{color:var(--link)}
.now{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1.5rem;font-size:1.12rem;margin:.5rem 0 .3rem}
.now b{font-weight:600}.bar{height:.5rem;border-radius:.25rem;background:var(--rule);overflow:hidden;margin:.3rem 0}
.bar i{display:block;height:100%;background:var(--c0)}.bar.over i{background:var(--bad)}
.bar.predicted i{background:var(--soft)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,8.8rem),1fr));gap:.6rem 1.25rem;margin:.8rem 0 0}
dt{font-size:.84rem;color:var(--soft)}dd{margin:0;font-size:1.15rem;font-variant-numeric:tabular-nums}
dd small{display:block;font-size:.84rem}
table{border-collapse:collapse;font-size:.9rem;width:100%}td{padding:.22rem .9rem .22rem 0;vertical-align:top;
border-top:1px solid var(--rule);overflow-wrap:anywhere}tr:first-child td{border-top:0}
td:first-child{white-space:nowrap;font-variant-numeric:tabular-nums;color:var(--soft);width:1%}
td:nth-child(2){white-space:nowrap;font-weight:600;width:1%}.warning,.error{color:var(--bad)}
@media(max-width:40rem){table,tbody{display:block}tr{display:flex;flex-wrap:wrap;padding:.3rem 0;
border-top:1px solid var(--rule)}tr:first-child{border-top:0}td{border:0;padding:0 .7rem 0 0}
td:first-child,td:nth-child(2){width:auto}td:last-child{flex:1 1 100%}dd{font-size:1.05rem}}
"""
"""Style of the panels of text."""

CHOICE = """
:host{font:inherit;color:var(--ink);color-scheme:light dark}label{color:var(--soft)}
select.bk-input{background-color:var(--card);color:var(--ink);border:1px solid var(--edge);font:inherit;height:2.1rem;
padding:.2rem 2rem .2rem .6rem;appearance:none;background-image:linear-gradient(45deg,transparent 50%,var(--soft) 50%),
linear-gradient(135deg,var(--soft) 50%,transparent 50%)!important;background-size:6px 6px!important;
background-repeat:no-repeat!important;background-position:right 15px center,right 9px center!important}
"""
