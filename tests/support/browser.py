"""A real browser, headless: Debian's Chromium through Playwright, and all that a page did in it.

Covers: finding it, opening pages, and keeping what went wrong and what was asked of the network.
Does not cover: what a page must show (test_live.py, test_report.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from browser_path import chromium
from playwright.sync_api import Browser, Page, sync_playwright


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser; the test is skipped by name where there is none (skips-without-chromium.txt)."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: install Debian's chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@dataclass
class Watched:
    """A page, what it complained of, and the addresses that it asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def left_the_machine(self) -> list[str]:
        """The addresses that are not of this machine."""
        return [
            url
            for url in self.asked
            if urlsplit(url).scheme not in ("file", "data", "blob", "about") and urlsplit(url).hostname != "127.0.0.1"
        ]


@contextmanager
def watched(
    browser: Browser, width: int = 1280, height: int = 900, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Watched]:
    """Yield a new page of that size, in light or dark."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    seen = Watched(context.new_page())
    seen.page.on("console", lambda said: seen.errors.append(said.text) if said.type == "error" else None)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("request", lambda request: seen.asked.append(request.url))
    try:
        yield seen
    finally:
        context.close()


def column(page: Page, source: str, name: str) -> list[Any]:
    """Return a column of a named data source of the page's Bokeh document."""
    return list(
        page.evaluate(
            "([source, name]) => Array.from(Bokeh.documents[0].get_model_by_name(source).data[name])", [source, name]
        )
    )
