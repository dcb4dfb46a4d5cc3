"""Progress of a run without a terminal: plain lines, or one JSON object per line.

Covers: two listeners that write to stderr, as stdout is for results.
Does not cover: the choice of the form (log_format.py), the events (events.py), the view of a terminal (terminal.py),
the metrics file (metrics_file.py), results (pipeline/results/tables.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.markup import escape

from funkflow.pipeline.progress.drawing import Drawing
from funkflow.pipeline.progress.events import (
    EpochFinished,
    Event,
    Noticed,
    StageAdvanced,
    StageFinished,
    StageStarted,
    WorkerLost,
    as_mapping,
)
from funkflow.pipeline.progress.headlines import Headlines
from funkflow.pipeline.progress.log_format import json_line
from funkflow.tasks.digits import rounded

_LINE_SECONDS = 5.0
"""Seconds between two lines of a long stage."""


class Lines:
    """Context manager and listener: a line for each finished stage, each epoch, and each notice.

    An error of the display never reaches the run.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.headlines = Headlines(clock)
        self._drawing = Drawing("the progress of the run")
        self._last_line = self.headlines.clock()

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __call__(self, event: Event) -> None:
        with self._drawing:
            self.show(event)

    def show(self, event: Event) -> None:
        """Write the line of an event, if it has one."""
        self.headlines(event)
        match event:
            case StageStarted():
                self._last_line = self.headlines.clock()
            case StageAdvanced():
                self.advanced(event)
            case StageFinished(stage, seconds, summary, reused):
                summary = escape(summary)
                self.say(
                    f"[bold]{stage:<10}[/] {summary}"
                    + ("  [dim](up to date)[/]" if reused else f"  [dim]{seconds:.1f} s[/]")
                )
            case EpochFinished():
                self.epoch(event)
            case WorkerLost(_, message):
                self.say(f"[yellow]warning[/]    {escape(message)}")
            case Noticed(message, warning):
                message = escape(message)
                self.say(f"[yellow]warning[/]    {message}" if warning else f"[dim]note       {message}[/]")

    def say(self, line: str) -> None:
        """Write a line."""
        self._last_line = self.headlines.clock()
        self.console.print(line, highlight=False, soft_wrap=True)

    def advanced(self, event: StageAdvanced) -> None:
        """Write the progress of a stage that has been silent for a while."""
        if event.doing != "epoch" and self.headlines.clock() - self._last_line > _LINE_SECONDS:
            left = self.headlines.snapshot().left()
            of_all = f" of {event.steps}" if event.steps else ""
            self.say(f"{event.stage:<10} {event.doing} {event.done}{of_all}{f', {left}' if left else ''}")

    def epoch(self, event: EpochFinished) -> None:
        """Write the RMSEs of an epoch, and the NDCG where it decides."""
        held_out = event.stopping_rmse
        training, of_held_out = (
            rounded(each, event.training_rmse, held_out) for each in (event.training_rmse, held_out)
        )
        best = " *" if event.best else ""
        stopping = "" if held_out is None else f"  validation RMSE {of_held_out}{best}"
        if event.stopping_ndcg is not None:
            stopping = f"  validation NDCG@{event.places} {event.stopping_ndcg:.4f}{best}"
        speed = f"{event.ratings_per_second / 1e6:.1f} M ratings/s"
        line = f"{event.counted} {event.epoch:>3}  training RMSE {training}{stopping}  {speed}"
        self.say(f"{'train':<10} {line}")


class JsonLines(Lines):
    """Each event as one JSON object per line, as in metrics.jsonl: {"time", "event", …}."""

    def show(self, event: Event) -> None:
        self.console.file.write(json_line(as_mapping(event)))
        self.console.file.flush()
