"""The manual as people see it: its built pages in a real browser, on a phone and on a desk.

Covers: width, errors, what is fetched, and accessibility, of the first page, a guide and pages of the reference.
Does not cover: warnings of the build (`make docs`), the text (test_docs.py, test_reference.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe import axe_script as axe_script
from axe import findings
from browser import browser as browser
from browser import watched
from playwright.sync_api import Browser
from sphinx.application import Sphinx

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("index", "runs", "settings", "commands", "follow-the-gradient")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages, without the output of notebooks."""
    folder = tmp_path_factory.mktemp("manual")
    unexecuted = {"nb_execution_mode": "off"}
    Sphinx(DOCS, DOCS, folder, folder / "doctrees", "html", unexecuted, status=None, freshenv=True).build()
    return folder


@pytest.mark.long
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page_name", PAGES)
def test_a_page_fits_and_brings_all_it_needs(browser: Browser, built: Path, page_name: str, width: int) -> None:
    with watched(browser, width) as seen:
        seen.page.goto((built / f"{page_name}.html").as_uri())
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.errors == []
        assert seen.left_the_machine == []


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page_name", PAGES[:3])
def test_nothing_keeps_people_from_using_a_page(
    browser: Browser, built: Path, axe_script: str, page_name: str, scheme: Any
) -> None:
    with watched(browser, 390, scheme=scheme) as seen:
        seen.page.goto((built / f"{page_name}.html").as_uri())
        assert findings(seen.page, axe_script) == []
