"""The live page by itself: what it says and draws of a run that is told of, and how it looks in a browser.

Covers: one number for one thing, keys of what there is, one x-axis, what goes to the browser of a long run, a phone and
a screen in light and dark, errors in drawing.
Does not cover: real runs and real schedulers (test_live.py), what is known of a run (test_live_story.py).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from axe import axe_script as axe_script
from axe import findings
from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.document.events import ColumnsStreamedEvent
from bokeh.server.server import Server
from browser import browser as browser
from browser import watched
from playwright.sync_api import Browser, Page
from tornado.ioloop import IOLoop

from funkflow.pipeline.progress.events import (
    BaselinesMeasured,
    CheckpointWritten,
    EpochFinished,
    Event,
    MemoryMeasured,
    RunBegan,
    StageAdvanced,
    StageStarted,
    WorkerLost,
    as_mapping,
)
from funkflow.pipeline.progress.live.page import LivePage, live_document
from funkflow.pipeline.progress.live.plugin import NAME, LivePlugin

WORKERS = [f"tcp://127.0.0.1:{port}" for port in (39495, 40089)]


class Told:
    """What a page has of a scheduler: workers, and the plugin that is told of a run. `now` : what its clock says."""

    def __init__(self) -> None:
        self.plugin, self.now = LivePlugin(), 1000.0
        self.workers = {address: SimpleNamespace(metrics={}) for address in WORKERS}
        self.plugins: dict[str, Any] = {NAME: self.plugin}
        self.plugin._scheduler = self

    def notify(self, *events: Event) -> None:
        for event in events:
            self.plugin.log_event("funkflow", {"run": "one", "time": self.now, **as_mapping(event)})

    def train(self, first: int, last: int, stopping: float | None = 0.9) -> None:
        for number in range(first, last + 1):
            self.now += 0.13
            self.notify(EpochFinished(number, 6000, 0.5 + 1 / number, stopping, 2.8e6, best=number == 1))

    def page(self) -> LivePage:
        page = LivePage(self, clock=lambda: self.now)
        page.update()
        return page


@pytest.fixture
def told() -> Told:
    """A run on its way, of which the scheduler heard last of progress at epoch 101."""
    told = Told()
    told.notify(
        RunBegan("2266d877509b8e49", "one", "0123abcd", "sgd", 64, 4, 2290, 943, 285_000, 6000, 0.05, 0.03, 662 * 2**20)
    )
    told.notify(BaselinesMeasured("probe.txt", 1.0957, 0.9814), StageStarted("train", 6000))
    told.train(1, 101)
    told.notify(StageAdvanced("train", 101, 6000, "epoch"))
    told.train(102, 110)
    told.notify(*(CheckpointWritten(number, 0.05) for number in range(10, 111, 10)), MemoryMeasured(700 * 2**20))
    told.notify(
        WorkerLost("tcp://127.0.0.1:44117", "worker tcp://127.0.0.1:44117 was lost: 2 tasks are computed again")
    )
    for share, partner in ((0, 0), (0, 1), (1, 0)):
        key = f"descend-0123abcd-0111-000-{share:03d}-{partner:03d}of2"
        ran = [{"action": "compute", "start": 1.0, "stop": 1.5}]
        told.plugin.transition(key, "processing", "memory", worker=WORKERS[share], startstops=ran)
    return told


def words(page: LivePage, name: str) -> str:
    (text,) = [root.text for root in page.roots if root.name == f"funkflow-{name}"]
    return str(text)


def figure(page: LivePage, name: str) -> Any:
    (found,) = [root for root in page.roots if root.name == f"funkflow-{name}"]
    return found


def parts(page: LivePage) -> dict[str, Any]:
    return {model.id: model for root in page.roots for model in root.references()}


def test_how_far_training_is_is_one_number(told: Told) -> None:
    said = words(told.page(), "summary")
    assert "train: epoch 110 of 6,000" in said
    assert "at most 13 min left" in said
    assert 'aria-valuenow="110"' in said
    assert "101" not in said
    assert "111" not in said


def test_what_is_heard_of_last_grows_old_though_nothing_happens(told: Told) -> None:
    page = told.page()
    assert "last event just now" in words(page, "lines")
    told.now += 83.2
    page.update()
    assert "last event 1 min 23 s ago" in words(page, "lines")


def test_a_peak_above_what_was_predicted_is_said(told: Told) -> None:
    said = words(told.page(), "memory")
    assert "peak <b>700 MiB</b>, above the prediction" in said
    assert "predicted <b>662 MiB</b>" in said


def test_keys_are_those_of_what_is_drawn() -> None:
    told = Told()
    told.notify(StageStarted("train", 6000))
    page = told.page()
    assert words(page, "keys").count("<li>") == 0
    told.train(1, 3, stopping=None)
    page.update()
    said = words(page, "keys")
    assert said.count("<li>") == 2
    assert "training" in said
    assert "best" in said
    told.notify(BaselinesMeasured("probe.txt", 1.0957, 0.9814), CheckpointWritten(3, 0.1))
    told.train(4, 5)
    page.update()
    assert words(page, "keys").count("<li>") == 5


def test_figures_have_one_axis_of_epochs_and_no_tool_at_work_but_hover(told: Told) -> None:
    page = told.page()
    learning, rate, grid = (figure(page, name) for name in ("learning", "rate", "grid"))
    assert learning.x_range is rate.x_range
    assert (rate.toolbar_location, grid.toolbar_location) == (None, None)
    assert (learning.toolbar.active_drag, learning.toolbar.active_scroll) == (None, None)
    assert all(not tool.visible for plot in (learning, rate, grid) for tool in plot.hover)


def test_drawing_anew_sends_what_is_new_and_makes_no_new_parts(told: Told) -> None:
    """Bokeh goes through the whole document for each part that is new, which cost 88 ms each time instead of one."""
    page, document, sent = told.page(), Document(), list[Any]()
    for root in page.roots:
        document.add_root(root)
    before = parts(page)
    document.on_change(sent.append)
    told.train(111, 113)
    page.update()
    (epochs,) = [model for model in before.values() if model.name == "funkflow-epochs"]
    assert list(epochs.data["epoch"]) == list(range(1, 114))
    assert parts(page).keys() == before.keys()
    (streamed,) = [event for event in sent if getattr(event, "model", None) is epochs]
    assert isinstance(streamed, ColumnsStreamedEvent)
    assert streamed.data["epoch"] == [111, 112, 113]
    sent.clear()
    page.update()
    assert sent == []


def test_a_page_that_cannot_be_drawn_says_so_once(told: Told, log: pytest.LogCaptureFixture) -> None:
    page = told.page()
    told.workers = None  # type: ignore[assignment]
    page.update()
    page.update()
    assert len(log.messages) == 1
    assert log.messages[0].startswith("the live page cannot be drawn; the run continues: AttributeError: ")


@pytest.fixture
def address(told: Told) -> Iterator[str]:
    """Where the page is served, as Dask's dashboard serves it."""
    pages = ["status", "workers", "tasks", "system", "profile", "graph", "groups", "info", "funkflow"]
    found: list[Any] = []
    ready = threading.Event()

    def serve() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        handler = FunctionHandler(lambda document: live_document(told, {"pages": pages}, document))
        server = Server({"/funkflow": Application(handler)}, io_loop=IOLoop.current(), port=0, address="127.0.0.1")
        server.start()
        found.extend((server, IOLoop.current()))
        ready.set()
        IOLoop.current().start()
        server.stop()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(30)
    server, loop = found
    yield f"http://127.0.0.1:{server.port}/funkflow"
    loop.add_callback(loop.stop)
    thread.join()


SPREAD = """
() => {
  const found = [...document.querySelectorAll('header, h1, [data-root-id] > *')];
  const parts = found.map(part => part.getBoundingClientRect());
  const meet = (a, b, low, high) => a[low] < b[high] - 1 && b[low] < a[high] - 1;
  const over = (a, b) => meet(a, b, 'left', 'right') && meet(a, b, 'top', 'bottom');
  return {
    parts: parts.length,
    wide: document.documentElement.scrollWidth,
    outside: parts.filter(part => part.left < 0 || part.right > innerWidth || part.width < 50).length,
    overlapping: parts.flatMap((a, n) => parts.slice(n + 1).filter(b => over(a, b))).length,
  };
}
"""
DRAWN = "() => document.querySelector('.bk-Figure')?.clientWidth"


@pytest.mark.long
def test_it_fits_a_phone_and_a_screen_in_light_and_dark_and_keeps_nobody_out(
    browser: Browser, address: str, axe_script: str
) -> None:
    with watched(browser) as seen:
        page = seen.page
        page.goto(address)
        for width in (1280, 420):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_function(f"({DRAWN})() > 0 && ({DRAWN})() < {width} - 30")
            assert page.evaluate(SPREAD) == {"parts": 12, "wide": width, "outside": 0, "overlapping": 0}
        assert findings(page, axe_script) == []
        light = colours(page)
        with page.expect_navigation():  # what is drawn keeps its colours until it is drawn anew
            page.emulate_media(color_scheme="dark")
        page.wait_for_function(DRAWN)
        assert findings(page, axe_script) == []
        assert [a for a, b in zip(light, colours(page), strict=True) if a == b] == []
        assert seen.errors == []
        assert seen.left_the_machine == []


def colours(page: Page) -> list[str]:
    """Return the colours of the ground, of the words, and of what axes and grids are drawn in."""
    return list(
        page.evaluate(
            "() => { const style = getComputedStyle(document.body), plot = "
            "getComputedStyle(document.querySelector('.bk-Figure')); return [style.backgroundColor, style.color, "
            "plot.getPropertyValue('--bk-grid-line-color'), plot.getPropertyValue('--bk-major-label-text-color')] }"
        )
    )
