"""What surrounds the figures of the live page: its HTML, how it looks in light and in dark, and on a phone.

Covers: the template with Dask's own pages in its navigation, the style sheets, the theme of plots, the colours of what
is drawn.
Does not cover: the figures (curves.py, block_figure.py), the words (panels.py), when they are drawn (page.py).

Bokeh draws axes and grids in the colours of the variables `--bk-…` of the style sheet, so these follow light and dark.
What is drawn with data cannot: its colours are those of Okabe and Ito, told apart by the colour-blind, so light or dark
that each has a contrast of 3 on either ground.
"""

from __future__ import annotations

from bokeh.themes import Theme
from jinja2 import Environment

WAITING = "waiting"
"""The class of what has nothing to show yet."""
BLUE, VERMILION, GREEN, GREY, PURPLE = "#1b82c5", "#d55e00", "#009e73", "#8a8a8a", "#cc79a7"
WORKER_COLOURS = (BLUE, "#c77f00", GREEN, PURPLE, "#8b6bd6", VERMILION, "#a39400")
_LIGHT = (
    "--ground:#f4f5f7;--card:#fff;--ink:#1d2330;--soft:#566072;--rule:#e1e5eb;--edge:#c3cad5;--link:#005a9c;"
    "--fill:#0072b2;--good:#00694e;--bad:#b03a00"
)
_DARK = (
    "--ground:#14171d;--card:#1d222b;--ink:#e8ebf0;--soft:#aab3c2;--rule:#343c49;--edge:#4a5465;--link:#7cc4f5;"
    "--fill:#4fa9e0;--good:#4fd3aa;--bad:#f59c6a"
)
_STYLE = f"""
:root{{color-scheme:light dark;{_LIGHT}}}
@media(prefers-color-scheme:dark){{:root{{{_DARK}}}}}
:root{{--bk-axis-label-text-color:var(--soft);--bk-major-label-text-color:var(--soft);--bk-axis-line-color:var(--edge);
--bk-major-tick-line-color:var(--edge);--bk-grid-line-color:var(--rule)}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--ground);color:var(--ink);font:15px/1.45 system-ui,sans-serif}}
a{{color:var(--link)}}:focus-visible{{outline:2px solid var(--link);outline-offset:2px}}
header,main{{max-width:90rem;margin:auto;padding:.6rem 1.25rem}}
header{{display:flex;flex-wrap:wrap;align-items:baseline;gap:.2rem 1.5rem;border-bottom:1px solid var(--edge)}}
header strong{{font-size:1.05rem}}
nav ul{{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem .9rem;margin:0;padding:0;font-size:.9rem}}
nav a{{display:block;text-decoration:none;padding:.2rem 0}}nav a:hover{{text-decoration:underline}}
nav a[aria-current]{{color:var(--ink);font-weight:600;box-shadow:inset 0 -2px var(--fill)}}
main{{display:grid;gap:1rem;grid-template-columns:minmax(0,19fr) minmax(0,9fr);padding-bottom:2rem}}
.top{{display:flex;flex-wrap:wrap;align-items:center;justify-content:space-between;gap:.4rem 2rem}}
.top>div{{flex:0 1 27rem;min-width:0}}
.top,.wide{{grid-column:1/-1}}h1{{font-size:1.35rem;margin:.3rem 0}}
section{{min-width:0;background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:.9rem 1rem}}
section.plain{{background:none;border:0;padding:0;display:grid;gap:1rem;align-content:start;
grid-template-columns:minmax(0,1fr)}}
.bk-Tooltip{{--tooltip-arrow-color:var(--edge);--tooltip-arrow-inner-color:var(--card);background-color:var(--card);
color:var(--ink);border:1px solid var(--edge);border-radius:5px;font:13px/1.5 system-ui,sans-serif}}
section:has(>div>.{WAITING}),section.plain:has(.{WAITING}){{display:none}}
@media(max-width:60rem){{main{{grid-template-columns:minmax(0,1fr)}}}}
@media(max-width:40rem){{header,main{{padding:.6rem .75rem}}section{{padding:.75rem .7rem}}}}
"""
_SCRIPT = """
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => location.reload());
"""
"""What is drawn keeps its colours until it is drawn anew."""
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{ title|e }}</title><link rel="icon" href="data:,"><style>{{ style }}</style>
{{ bokeh_css }}{{ bokeh_js }}<script>{{ script }}</script></head>
<body>{% from macros import embed %}
<header><strong>funkflow</strong><nav aria-label="Dask's dashboard"><ul>
{% for page in pages %}<li><a href="{{ page|e }}"{% if page == here %} aria-current="page"{% endif %}>{{ page|title|e }}
</a></li>{% endfor %}</ul></nav></header>
<main><div class="top"><h1>Training</h1><div>{{ embed(roots['funkflow-run']) }}</div></div>
<section class="wide" aria-label="Where the run is">{{ embed(roots['funkflow-summary']) }}</section>
<section aria-label="Curves">{{ embed(roots['funkflow-keys']) }}
{{ embed(roots['funkflow-learning']) }}{{ embed(roots['funkflow-speed']) }}{{ embed(roots['funkflow-rate']) }}</section>
<section class="plain" aria-label="Blocks and memory">
<section aria-label="Blocks">{{ embed(roots['funkflow-workers']) }}{{ embed(roots['funkflow-grid']) }}</section>
<section aria-label="Memory">{{ embed(roots['funkflow-memory']) }}</section></section>
<section class="wide" aria-label="Events">{{ embed(roots['funkflow-lines']) }}</section></main>
{{ plot_script }}</body></html>
"""
TEMPLATE = Environment(autoescape=False).from_string(_PAGE, globals={"style": _STYLE, "script": _SCRIPT})
"""The page. What is put in is escaped where it is no HTML of Bokeh's; `pages`, `here` : Dask's own pages, and this."""

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
.bar i{display:block;height:100%;background:var(--fill)}.bar.over i{background:var(--bad)}
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
"""Of the panels of words."""

CHOICE = """
:host{font:inherit;color:var(--ink);color-scheme:light dark}label{color:var(--soft)}
select.bk-input{background-color:var(--card);color:var(--ink);border:1px solid var(--edge);font:inherit;height:2.1rem;
padding:.2rem 2rem .2rem .6rem;appearance:none;background-image:linear-gradient(45deg,transparent 50%,var(--soft) 50%),
linear-gradient(135deg,var(--soft) 50%,transparent 50%)!important;background-size:6px 6px!important;
background-repeat:no-repeat!important;background-position:right 15px center,right 9px center!important}
"""
