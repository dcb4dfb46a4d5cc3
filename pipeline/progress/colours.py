"""The colours of pages and plots: those of Okabe and Ito, which colour-blind people can tell apart.

Covers: variables of style sheets for light and dark, and colours that serve both.
Does not cover: their use (pipeline/results/, live/).
"""

from __future__ import annotations

LIGHT = """color-scheme:light;
--ground:#fff;--raised:#f5f7fa;--ink:#1d2330;--soft:#566072;--rule:#dde2ea;--edge:#c3cad5;--link:#005a9c;
--c0:#0072b2;--c1:#d55e00;--c2:#00795a;--c3:#9b4f80;--c4:#8a6d00;--c5:#6b7280;--good:#00694e;--bad:#b03a00"""
DARK = """color-scheme:dark;
--ground:#14171d;--raised:#1d222b;--ink:#e8ebf0;--soft:#aab3c2;--rule:#343c49;--edge:#4a5465;--link:#7cc4f5;
--c0:#56b4e9;--c1:#f0904a;--c2:#35c79b;--c3:#dd9cc3;--c4:#e6c84a;--c5:#9aa4b2;--good:#4fd3aa;--bad:#f59c6a"""
BLUE, VERMILION, GREEN, PURPLE, GREY = "#1b82c5", "#d55e00", "#009e73", "#cc79a7", "#8a8a8a"
"""Colours of Bokeh, the same in light and dark: the contrast is 3 on either ground."""
SEVERAL = (BLUE, VERMILION, GREEN, PURPLE, "#c77f00", "#8b6bd6", "#a39400")
"""Colours of curves and workers, in this order."""


def colour_at(place: int) -> str:
    """Return the colour of a curve or of a worker."""
    return SEVERAL[place % len(SEVERAL)]
