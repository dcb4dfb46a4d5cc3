"""Where a browser is on this machine, if there is one.

Covers: Chromium by its usual names. Does not cover: driving it (browser.py).
"""

from __future__ import annotations

import shutil

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Return the path of a browser that is installed."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)
