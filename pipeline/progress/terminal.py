"""Progress of a run in a terminal: lines for finished stages, and below them a bar for the current one.

Covers: the view, which a thread of its own draws four times a second until the run ends; narrow terminals.
Does not cover: the numbers (headlines.py), plain lines (lines.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from funkflow.pipeline.progress.drawing import Drawing
from funkflow.pipeline.progress.events import EpochFinished, StageAdvanced
from funkflow.pipeline.progress.headlines import Snapshot
from funkflow.pipeline.progress.lines import JsonLines, Lines
from funkflow.pipeline.progress.log_format import JSON

_TIMES_A_SECOND = 4
_WITH_DOING, _WITH_TIME_LEFT, _WITH_BAR = 90, 56, 34
"""Least width in columns for the kind of work, the time left, and a bar."""


class LiveView(Lines):
    """Lines of finished stages, and below them the current stage."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, clock)
        self._view = Drawing("the view of the terminal")
        self._live = Live(
            self, console=console, refresh_per_second=_TIMES_A_SECOND, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def advanced(self, event: StageAdvanced) -> None:
        """Write no line: the bar shows it."""

    def epoch(self, event: EpochFinished) -> None:
        """Write no line: fifty lines of epochs would push earlier lines away."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        drawn: list[Segment] = []
        with self._view:
            for each in _view_of(self.headlines.snapshot(), options.max_width):
                drawn += [*console.render(each, options)]
        yield from drawn


def _view_of(snapshot: Snapshot, width: int) -> Iterator[Table | Text]:
    """Yield the line of the current stage, and those of the training's progress; nothing between stages."""
    now = snapshot.at_work
    if not now.stage:
        return
    row = Table.grid(padding=(0, 1))
    row.add_column(no_wrap=True, min_width=10)
    cells: list[Text | ProgressBar] = [Text(now.stage)]
    if width >= _WITH_BAR:
        row.add_column(width=max(8, min(40, width // 4)))
        cells.append(ProgressBar(now.total or None, now.done, pulse=not now.total, animation_time=0.0))
    row.add_column(no_wrap=True)
    cells.append(Text(snapshot.counted()))
    if width >= _WITH_TIME_LEFT:
        row.add_column(no_wrap=True, overflow="ellipsis")
        cells.append(Text(" · ".join(filter(None, (snapshot.elapsed(), snapshot.left())))))
    if width >= _WITH_DOING:
        row.add_column(no_wrap=True, overflow="ellipsis")
        cells.append(Text(now.doing if now.doing != "epoch" else "", style="dim"))
    row.add_row(*cells)
    yield row
    for line in snapshot.lines():
        yield Text(f"{'':<10} {line}", no_wrap=True, overflow="ellipsis", style="dim")


def watcher(console: Console, form: str) -> Lines:
    """Return the display for that console: JSON lines by `form`, the live view in a terminal, otherwise lines."""
    if form == JSON:
        return JsonLines(console)
    return LiveView(console) if console.is_interactive and console.file.isatty() else Lines(console)
