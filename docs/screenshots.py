"""Take the screenshots of the live page and a report: `make screenshots`, `python -m docs.screenshots FOLDER RATINGS`.

Covers: a run of the demo on two workers, its live page in the middle of training, and the report of a run on RATINGS.
Does not cover: drawings (draw_figures.py), or what the pages show (pipeline/progress/live/, pipeline/results/report/).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from browser_path import chromium
from playwright.sync_api import Page, sync_playwright

_RUN = (sys.executable, "-m", "funkflow", "run")

_LONG_TRAINING = ("cluster.workers=2", "cluster.threads=1", "train.patience=300", "train.epochs=200")
"""More epochs than the demo needs, so that the page shows a run at work."""


def take(folder: Path, ratings: str) -> None:
    """Write `live-page.png` and `report.png` to `folder`.

    The runs are processes of their own, as they count the memory of all that their process starts.
    """
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as root:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        _live_page(page, root, folder / "live-page.png")
        subprocess.run([*_RUN, "--ratings", ratings, "--root", root], check=True, capture_output=True)
        (report,) = [each for each in Path(root).glob("runs/*/report.html") if ratings in each.read_text("utf-8")]
        page.set_viewport_size({"width": 1096, "height": 1640})
        page.goto(report.as_uri())
        page.screenshot(path=folder / "report.png")
        browser.close()


def _live_page(page: Page, root: str, file: Path) -> None:
    """Take the page once it has shown 80 epochs."""
    settings = [word for each in _LONG_TRAINING for word in ("--set", each)]
    with subprocess.Popen([*_RUN, "demo", "--root", root, *settings], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = next(line.split("live page: ")[1].strip() for line in process.stderr if "live page: " in line)
        page.set_viewport_size({"width": 1280, "height": 1130})
        page.goto(address)
        page.get_by_text(re.compile(r"epoch 8\d of")).wait_for(timeout=120_000)
        page.screenshot(path=file)
        process.communicate()


if __name__ == "__main__":
    take(Path(sys.argv[1]), sys.argv[2])
