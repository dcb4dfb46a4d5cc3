"""How the pages look: on a screen, light and dark, on a phone, and printed.

Covers: the style sheet and the small script of the switch between light and dark. Does not cover: what is on them.

Colours are those of Okabe and Ito, lightened on dark ground so that each has contrast enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_LIGHT = """color-scheme:light;
--ground:#fff;--raised:#f5f7fa;--ink:#1d2330;--soft:#566072;--rule:#dde2ea;--link:#005a9c;
--c0:#0072b2;--c1:#d55e00;--c2:#00795a;--c3:#9b4f80;--c4:#8a6d00;--c5:#6b7280;--good:#00694e;--bad:#b03a00"""
_DARK = """color-scheme:dark;
--ground:#14171d;--raised:#1d222b;--ink:#e8ebf0;--soft:#aab3c2;--rule:#343c49;--link:#7cc4f5;
--c0:#56b4e9;--c1:#f0904a;--c2:#35c79b;--c3:#dd9cc3;--c4:#e6c84a;--c5:#9aa4b2;--good:#4fd3aa;--bad:#f59c6a"""

STYLE = (
    f"""
:root{{{_LIGHT}}}
@media(prefers-color-scheme:dark){{:root{{{_DARK}}}}}
:root[data-scheme=light]{{{_LIGHT}}}
:root[data-scheme=dark]{{{_DARK}}}
"""
    + """
*{box-sizing:border-box}html{scroll-padding-top:1rem}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:break-word}
a{color:var(--link)}:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-999px}.skip:focus{left:1rem;top:1rem;background:var(--ground);padding:.5rem;z-index:2}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
header,main{max-width:66rem;margin:auto;padding:1rem 1.25rem}header{padding-bottom:0}main{padding-top:0}
.top{display:flex;align-items:flex-start;justify-content:space-between;gap:1rem}
h1{font-size:1.8rem;line-height:1.25;margin:0;overflow-wrap:anywhere}.of{color:var(--soft);margin:.15rem 0 1rem}
h2{font-size:1.3rem;margin:2.6rem 0 .9rem;padding-bottom:.3rem;border-bottom:1px solid var(--rule)}
h3{font-size:1rem;margin:1.2rem 0 .4rem}p{margin:.5rem 0}
nav ul,ul.keys{list-style:none;padding:0;margin:.5rem 0;display:flex;flex-wrap:wrap;gap:.3rem 1.1rem}
nav ul{font-size:.95rem;margin:1rem 0 0}
.verdict{font-size:1.12rem;background:var(--raised);border-left:5px solid var(--c0);border-radius:0 6px 6px 0;
padding:.8rem 1.1rem;margin:1rem 0}.verdict p{margin:.35rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr));gap:.75rem;margin:0}
.tiles>div{border:1px solid var(--rule);border-radius:6px;padding:.65rem .9rem}
.tiles dt{font-size:.92rem}.tiles .value{font-size:1.6rem;line-height:1.3;font-variant-numeric:tabular-nums}
.tiles .beside{font-size:.88rem;line-height:1.4;color:var(--soft)}
.tiles .beside.good{color:var(--good)}.tiles .beside.bad{color:var(--bad)}
.figures,.pair{display:grid;grid-template-columns:minmax(0,1fr);gap:2rem 2rem}.pair{margin-bottom:2rem}
figure{margin:0;min-width:0;max-width:34rem;break-inside:avoid}figcaption{font-weight:600;margin-bottom:.4rem}
svg.plot{width:100%;height:auto;display:block}svg.key{flex:none;width:26px;height:12px;margin-right:.4rem}
svg.spark{width:100px;height:24px;display:block}ul.keys li{display:flex;align-items:center;font-size:.9rem}
.says,.none{color:var(--soft);font-size:.95rem}
svg text{fill:var(--soft);font:13.5px system-ui,sans-serif;font-variant-numeric:tabular-nums}
.grid{stroke:var(--rule);fill:none}.axis{stroke:var(--soft);fill:none}
.line{fill:none;stroke-width:2}.rule{fill:none;stroke:var(--ink);stroke-width:1.5}
.r0{stroke-dasharray:7 4}.r1{stroke-dasharray:2 3}
.line.c0{stroke:var(--c0)}.line.c1{stroke:var(--c1)}
.line.c2{stroke:var(--c2);stroke-dasharray:9 3}
.line.c3{stroke:var(--c3);stroke-dasharray:4 3}.line.c4{stroke:var(--c4);stroke-dasharray:12 3 3 3}
.line.c5{stroke:var(--c5);stroke-dasharray:2 2}
.bar.c0,.mark.c0{fill:var(--c0)}.bar.c1,.mark.c1{fill:var(--c1)}.bar.c2,.mark.c2{fill:var(--c2)}
.bar.c3,.mark.c3{fill:var(--c3)}.bar.c4,.mark.c4{fill:var(--c4)}.bar.c5,.mark.c5{fill:var(--c5)}
.bar.pale{fill-opacity:.3;stroke:var(--c0);stroke-opacity:.7}
summary{cursor:pointer;color:var(--link);font-size:.95rem;padding:.2rem 0}
.wide{overflow-x:auto}figure .wide{max-height:24rem;overflow:auto}table{border-collapse:collapse;font-size:.95rem}
th,td{text-align:left;padding:.25rem 1rem .25rem 0;border-bottom:1px solid var(--rule);vertical-align:top}
th.number,td.number,figure td,figure th:not(:first-child){text-align:right;font-variant-numeric:tabular-nums}
td ul{list-style:none;margin:0;padding:0}td li{padding-left:.8rem;text-indent:-.8rem}
small{display:block;color:var(--soft);font-weight:400;font-size:.88rem}
.moment{white-space:nowrap}th.moment{font-weight:400}tr.explained>*{border-bottom:0}
tr.why td{padding-top:0;color:var(--soft)}
tr.strong td,tr.strong th{font-weight:600}
:root:not([data-scheme]) #scheme{display:none}
code,pre{font-size:.9rem;overflow-wrap:anywhere;white-space:pre-wrap}
code.command{display:block;background:var(--raised);border-radius:6px;padding:.6rem .9rem;margin:.4rem 0}
.good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}
button{font:inherit;font-size:.9rem;color:inherit;background:var(--raised);white-space:nowrap;
border:1px solid var(--soft);border-radius:4px;padding:.15rem .6rem;cursor:pointer}
dl.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.25rem 1.2rem;margin:0 0 1.2rem;
align-content:start}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media(min-width:60rem){.figures,.pair{grid-template-columns:repeat(2,minmax(0,1fr))}
.figures>figure:last-child:nth-child(odd):has(svg.plot){grid-column:1/-1;max-width:none;display:grid;column-gap:2rem;
grid-template-columns:repeat(2,minmax(0,1fr));grid-template-rows:repeat(3,auto) 1fr}
.figures>figure:last-child:nth-child(odd):has(svg.plot)>*{grid-column:2}
.figures>figure:last-child:nth-child(odd):has(svg.plot)>svg.plot{grid-column:1;grid-row:1/span 4}
}
@media(max-width:40rem){th,td{padding-right:.6rem}header,main{padding-left:.75rem;padding-right:.75rem}
h1{font-size:1.45rem}.tiles{grid-template-columns:repeat(2,minmax(0,1fr));gap:.5rem}
.tiles>div{padding:.5rem .65rem}.tiles .value{font-size:1.3rem}dl.facts{gap:.25rem .8rem}}
"""
    + f"""
@media print{{:root,:root[data-scheme]{{{_LIGHT};--soft:#333;--rule:#bbb;--raised:#fff}}
button,nav,.skip,details{{display:none}}main{{max-width:none}}a{{color:inherit;text-decoration:none}}
h2{{break-after:avoid}}}}
"""
)

SCHEME = """
(function(){var r=document.documentElement,m=matchMedia('(prefers-color-scheme: dark)');
function set(d){r.dataset.scheme=d?'dark':'light'}set(m.matches);
m.addEventListener('change',function(e){set(e.matches)});
addEventListener('DOMContentLoaded',function(){var b=document.getElementById('scheme');
if(b)b.addEventListener('click',function(){set(r.dataset.scheme!=='dark')})})})();
"""
"""Without a script a page is as the reader's system is, and has no button."""


def scrolling_table(named: str, heads: Sequence[str], rows: str, numbers: Sequence[str] = ()) -> str:
    """Return a table that scrolls where it is too wide or too long.

    `rows` : as HTML; `named` : for screen readers; `numbers` : which heads stand above numbers.
    """
    head = "".join(f'<th scope="col"{" class=number" if each in numbers else ""}>{escape(each)}</th>' for each in heads)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(named, quote=True)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def framed(title: str, beneath: str, heading: str, body: str) -> str:
    """Return a whole page: its title, a line beneath it, what else stands above its parts, and these.

    `title`, `beneath` : words, not HTML; `heading`, `body` : HTML.
    """
    shown, line = escape(title), f'<p class="of">{escape(beneath)}</p>' if beneath else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{shown} · funkflow</title><link rel="icon" href="data:,"><style>{STYLE}</style>'
        f'<script>{SCHEME}</script></head><body><a class="skip" href="#main">to the content</a><header>'
        f'<div class="top"><div><h1>{shown}</h1>{line}</div>'
        '<button id="scheme" type="button">light or dark</button></div>'
        f'{heading}</header><main id="main">{body}</main></body></html>\n'
    )
