"""Views that are drawn in one thread while events come in another, and views that cannot be drawn at all.

Covers: the terminal's view, the notebook's, the metrics, and what the live page reads, over 10,000 epochs; errors in
drawing, which must never reach the run.
Does not cover: how any of these looks (test_terminal.py, test_notebook.py, test_live.py).
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rich.console import Console

from funkflow.pipeline.progress.events import (
    CheckpointWritten,
    EpochFinished,
    Event,
    StageAdvanced,
    StageStarted,
    as_mapping,
)
from funkflow.pipeline.progress.lines import Lines
from funkflow.pipeline.progress.live import metrics
from funkflow.pipeline.progress.live.plugin import LivePlugin
from funkflow.pipeline.progress.notebook import NotebookView
from funkflow.pipeline.progress.terminal import LiveView

EPOCHS = 10_000
Tell = Callable[[Event], None]
Draw = Callable[[], object]


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads that take turns every twenty microseconds, so that one meets the other in the midst of everything."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-5)
    yield
    sys.setswitchinterval(before)


def terminal() -> tuple[Tell, Draw]:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    view = LiveView(console)
    return view, lambda: console.print(view)


def notebook() -> tuple[Tell, Draw]:
    view = NotebookView(lambda _shown: pytest.fail("drawn by who tells"), clock=lambda: -1.0)
    return view, view.html


def scheduler() -> tuple[Tell, Draw]:
    """What the page and the metrics are made of: the stories, the grid, and the timeline for the report."""
    plugin, number = LivePlugin(), iter(range(10**9))

    def notify(event: Event) -> None:
        plugin.log_event("funkflow", {"run": "one", "time": 1.0, **as_mapping(event)})
        key = f"descend-0123abcd-{next(number):05d}-000-{next(number) % 64:03d}-000of64"
        done: dict[str, Any] = {"worker": "tcp://a", "startstops": [{"action": "compute", "start": 1.0, "stop": 2.0}]}
        plugin.transition(key, "processing", "memory", **done)

    def draw() -> None:
        for story in plugin.stories.newest_first():
            assert len(story.history) == len(story.epochs)
            story.facts = {"attempt": "0123abcd"}
            sorted(plugin.grid_of(story).meetings.items())
        plugin.timeline_of("0123abcd")
        runs = metrics._Runs()
        runs.sources = (plugin,)
        assert len(list(runs.collect())) > 10

    return notify, draw


@pytest.mark.parametrize("made", [terminal, notebook, scheduler], ids=lambda made: made.__name__)
def test_ten_thousand_epochs_from_another_thread_while_it_is_drawn(
    made: Callable[[], tuple[Tell, Draw]], hasty: None, log: pytest.LogCaptureFixture
) -> None:
    notify, draw = made()
    notify(StageStarted("train", EPOCHS))
    failed: list[BaseException] = []

    def send() -> None:
        try:
            for number in range(1, EPOCHS + 1):
                notify(EpochFinished(number, EPOCHS, 1.0 / number, 0.9, 1e6, best=True))
                if number % 100 == 0:
                    notify(StageAdvanced("train", number, EPOCHS, "epoch"))
                    notify(CheckpointWritten(number, 0.1))
        except BaseException as error:
            failed.append(error)
            raise

    sender = threading.Thread(target=send)
    sender.start()
    drawn = 0
    while sender.is_alive() or not drawn:
        draw()
        drawn += 1
    sender.join()
    assert (failed, log.messages) == ([], [])


class Unwilling(io.StringIO):
    """Where nothing can be written any more."""

    def write(self, _text: str) -> int:
        raise OSError("the terminal is gone")


def test_what_cannot_be_drawn_is_said_once_in_a_line_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    view = LiveView(Console(file=io.StringIO(), width=120, force_terminal=False))
    view(StageStarted("train", 10))
    monkeypatch.setattr(view.headlines, "snapshot", lambda: 1 / 0)
    for _ in range(3):
        view.console.print(view)
    assert log.messages == [
        "the view of the terminal cannot be drawn; the run continues: ZeroDivisionError: division by zero"
    ]


def test_a_closed_terminal_and_a_notebook_without_its_output_let_the_run_go_on(
    log: pytest.LogCaptureFixture,
) -> None:
    def refuse(_shown: object) -> Any:
        raise RuntimeError("no output here\nand more of it")

    views: list[Tell] = [Lines(Console(file=Unwilling(), force_terminal=False)), NotebookView(refuse)]
    for view in views:
        for number in (1, 2, 3):
            view(EpochFinished(number, 3, 1.0, 0.9, 1e6, best=True))
    assert [(record.levelno, record.getMessage().partition(": ")[2]) for record in log.records] == [
        (logging.WARNING, "OSError: the terminal is gone"),
        (logging.WARNING, "RuntimeError: no output here"),
    ]
