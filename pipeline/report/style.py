"""How the pages look: on a screen, light and dark, on a phone, and printed.

Covers: the style sheet and the small script of the switch between light and dark. Does not cover: what is on them.

Colours are those of Okabe and Ito, lightened on dark ground so that each has contrast enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = """
:root{--ground:#fff;--raised:#f6f7f9;--ink:#1d2330;--soft:#566072;--rule:#d9dee6;--link:#005a9c;
--c0:#0072b2;--c1:#d55e00;--c2:#00795a;--c3:#9b4f80;--c4:#8a6d00;--c5:#6b7280;--good:#00694e;--bad:#b03a00}
:root[data-scheme=dark]{--ground:#14171d;--raised:#1d222b;--ink:#e8ebf0;--soft:#aab3c2;--rule:#343c49;--link:#7cc4f5;
--c0:#56b4e9;--c1:#f0904a;--c2:#35c79b;--c3:#dd9cc3;--c4:#e6c84a;--c5:#9aa4b2;--good:#4fd3aa;--bad:#f59c6a}
*{box-sizing:border-box}html{scroll-padding-top:1rem}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
a{color:var(--link)}:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-999px}.skip:focus{left:1rem;top:1rem;background:var(--ground);padding:.5rem;z-index:2}
header,main{max-width:78rem;margin:auto;padding:1rem 1.25rem}
h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.25rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--rule)}
h3{font-size:1rem;margin:1.2rem 0 .4rem}p{margin:.5rem 0}
nav ul,ul.keys{list-style:none;padding:0;margin:.5rem 0;display:flex;flex-wrap:wrap;gap:.25rem 1rem}
.verdict{font-size:1.15rem;background:var(--raised);border-left:5px solid var(--c0);padding:.8rem 1rem;margin:1rem 0}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,34rem),1fr));gap:1.25rem 2rem}
figure{margin:0;min-width:0;max-width:44rem;break-inside:avoid}figcaption{font-weight:600;margin-bottom:.3rem}
svg.plot{width:100%;height:auto;display:block}svg.key{width:26px;height:12px;margin-right:.35rem}
svg.spark{width:100px;height:24px;display:block}ul.keys li{display:flex;align-items:center;font-size:.9rem}
.says,.none{color:var(--soft);font-size:.92rem}
.tick,.label{fill:var(--soft);font:12px system-ui,sans-serif}.label{font-size:13px}
.grid{stroke:var(--rule);fill:none}.axis{stroke:var(--soft);fill:none}
.line{fill:none;stroke-width:2}.rule{fill:none;stroke:var(--soft);stroke-width:1.6}
.r0{stroke-dasharray:7 4}.r1{stroke-dasharray:2 3}
.line.c0{stroke:var(--c0)}.line.c1{stroke:var(--c1)}
.line.c2{stroke:var(--c2);stroke-dasharray:9 3}
.line.c3{stroke:var(--c3);stroke-dasharray:4 3}.line.c4{stroke:var(--c4);stroke-dasharray:12 3 3 3}
.line.c5{stroke:var(--c5);stroke-dasharray:2 2}
.bar.c0,.mark.c0{fill:var(--c0)}.bar.c1,.mark.c1{fill:var(--c1)}.bar.c2,.mark.c2{fill:var(--c2)}
.bar.c3,.mark.c3{fill:var(--c3)}.bar.c4,.mark.c4{fill:var(--c4)}.bar.c5,.mark.c5{fill:var(--c5)}
summary{cursor:pointer;color:var(--link);font-size:.92rem;padding:.2rem 0}
.wide{overflow-x:auto}figure .wide{max-height:24rem;overflow:auto}table{border-collapse:collapse;font-size:.92rem}
th,td{text-align:left;padding:.2rem .9rem .2rem 0;border-bottom:1px solid var(--rule);vertical-align:top}
td.number,figure td{text-align:right;font-variant-numeric:tabular-nums}
code,pre{font-size:.88rem;overflow-wrap:anywhere;white-space:pre-wrap}
.good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}
button{font:inherit;color:inherit;background:var(--raised);
border:1px solid var(--soft);border-radius:4px;padding:.2rem .7rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;margin:.6rem 0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media(max-width:40rem){th,td{padding-right:.45rem}.wide table{font-size:.84rem}
header,main{padding:.75rem}dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}}
@media print{:root,:root[data-scheme=dark]{--ground:#fff;--raised:#fff;--ink:#000;--soft:#333;--rule:#bbb}
button,nav,.skip,details{display:none}main{max-width:none}a{color:inherit;text-decoration:none}h2{break-after:avoid}}
"""

SCHEME = """
(function(){var r=document.documentElement,m=matchMedia('(prefers-color-scheme: dark)');
function set(d){r.dataset.scheme=d?'dark':'light'}set(m.matches);
m.addEventListener('change',function(e){set(e.matches)});
addEventListener('DOMContentLoaded',function(){var b=document.getElementById('scheme');
if(b)b.addEventListener('click',function(){set(r.dataset.scheme!=='dark')})})})();
"""
"""Without a script a page is light."""


def scrolling_table(named: str, heads: Sequence[str], rows: str) -> str:
    """Return a table that scrolls where it is too wide or too long; `rows` as HTML, `named` for screen readers."""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(named, quote=True)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def framed(title: str, heading: str, body: str) -> str:
    """Return a whole page; `title` is escaped already, as are the others."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{title}</title><link rel="icon" href="data:,"><style>{STYLE}</style><script>{SCHEME}</script></head>'
        f'<body><a class="skip" href="#main">to the content</a><header>{heading}'
        '<button id="scheme" type="button">light or dark</button></header>'
        f'<main id="main">{body}</main></body></html>\n'
    )
