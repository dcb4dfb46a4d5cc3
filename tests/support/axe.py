"""What axe-core finds on a page that keeps people from using it.

Covers: findings that are serious or worse.
Does not cover: having axe-core (axe_package.py), the pages (test_report.py).
"""

from __future__ import annotations

from typing import Any

import pytest
from axe_package import axe
from playwright.sync_api import Page

_SERIOUS = ("serious", "critical")


@pytest.fixture(scope="session")
def axe_script() -> str:
    """Its script; the test is skipped by name where it cannot be had (skips-without-axe.txt)."""
    script = axe()
    if script is None:
        pytest.skip("axe-core cannot be fetched from npm")
    return script


def findings(page: Page, script: str) -> list[str]:
    """Return what is serious or worse, a line each."""
    page.add_script_tag(content=script)
    found: Any = page.evaluate("() => axe.run()")
    return [
        f"{each['id']}: {each['help']} ({each['nodes'][0]['html'][:120]})"
        for each in found["violations"]
        if each["impact"] in _SERIOUS
    ]
