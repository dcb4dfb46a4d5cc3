"""How a run looks to somebody watching: bars in a terminal, plain lines elsewhere.

Covers: two listeners of the same events, both writing to stderr so that stdout stays free for results.
Does not cover: the events (events.py), the metrics file (record.py), the table of results (tables.py).
"""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipeline.runtime.events import (
    EpochFinished,
    Event,
    Noticed,
    StageAdvanced,
    StageFinished,
    StageStarted,
    WorkerLost,
)

_LINE_SECONDS = 5.0
"""Where there are no bars, a stage that takes long says where it is this often."""


class Watcher:
    """Context manager and listener. `console` decides: bars if it is a terminal, lines if not."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._bar: TaskID | None = None
        self._last_line = time.monotonic()
        if console.is_terminal:
            columns = (
                TextColumn("{task.description:<10}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[detail]}"),
            )
            self._bars = Progress(*columns, console=console, transient=True)

    def __enter__(self) -> Watcher:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case StageStarted(stage, steps):
                self._start_bar(stage, steps)
            case StageAdvanced(stage, done, steps, doing):
                self._advance(stage, done, steps, doing)
            case StageFinished(stage, seconds, summary, reused):
                summary = escape(summary)
                self._end_bar()
                self._say(
                    f"[bold]{stage:<10}[/] {summary}"
                    + ("  [dim](up to date)[/]" if reused else f"  [dim]{seconds:.1f} s[/]")
                )
            case EpochFinished():
                self._epoch(event)
            case WorkerLost(_, message):
                self._say(f"[yellow]warning[/]    {escape(message)}")
            case Noticed(message, warning):
                message = escape(message)
                self._say(f"[yellow]warning[/]    {message}" if warning else f"[dim]note       {message}[/]")

    def _say(self, line: str) -> None:
        self._last_line = time.monotonic()
        self._console.print(line, highlight=False, soft_wrap=True)

    def _start_bar(self, stage: str, steps: int) -> None:
        self._last_line = time.monotonic()
        if self._bars:
            self._end_bar()
            self._bar = self._bars.add_task(stage, total=steps or None, detail="")

    def _end_bar(self) -> None:
        if self._bars and self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None

    def _advance(self, stage: str, done: int, steps: int, doing: str) -> None:
        if self._bars and self._bar is not None:
            if doing == "epoch":
                self._bars.update(self._bar, completed=done)
            else:
                self._bars.update(self._bar, advance=1, detail=doing)
        elif doing != "epoch" and time.monotonic() - self._last_line > _LINE_SECONDS:
            self._say(f"{stage:<10} {doing} {done}{f' of {steps}' if steps else ''}")

    def _epoch(self, event: EpochFinished) -> None:
        stopping = (
            ""
            if event.stopping_rmse is None
            else f"  held-out RMSE {event.stopping_rmse:.4f}{' *' if event.best else ''}"
        )
        speed = f"{event.ratings_per_second / 1e6:.1f} M ratings/s"
        line = f"{event.counted} {event.epoch:>3}  training RMSE {event.training_rmse:.4f}{stopping}  {speed}"
        self._say(f"{'train':<10} {line}")
