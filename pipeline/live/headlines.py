"""Where a run is, in few numbers: the stage at work with the time it has left, and what training has reached.

Covers: keeping both from events, and writing them. Does not cover: how they are shown (runtime/terminal.py,
runtime/notebook.py), or the page that shows more (page.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from pipeline.live.story import Story
from pipeline.runtime.events import Event, StageAdvanced, StageFinished, StageStarted, as_mapping
from tasks.digits import rounded

_MIB = 2**20


@dataclass
class AtWork:
    """The stage at work: `done` of `total` of what `doing` names, since `began`; 0 of 0 where neither is known."""

    stage: str = ""
    doing: str = ""
    done: int = 0
    total: int = 0
    began: float = 0.0
    whole: bool = False
    """Whether `total` is of the whole stage, known when it began, instead of what it is doing now."""

    def started(self, event: StageStarted, now: float) -> None:
        self.stage, self.doing, self.began = event.stage, "", now
        self.done, self.total, self.whole = 0, event.steps, event.steps > 0

    def advanced(self, event: StageAdvanced, now: float) -> None:
        if self.whole and event.doing != "epoch":
            self.doing, self.done = event.doing, min(self.total, self.done + 1)
            return
        if event.doing != self.doing:
            self.doing, self.began = event.doing, now if self.doing else self.began
        self.done, self.total = event.done, event.steps

    def seconds_left(self, now: float) -> float | None:
        """Return how long it takes at the pace so far; None where that is not known yet."""
        if not self.total or not self.done:
            return None
        return max(0.0, (now - self.began) / self.done * (self.total - self.done))


@dataclass
class Headlines:
    """A listener that keeps what is to be shown. `clock` : seconds, from any moment on."""

    clock: Callable[[], float] = time.monotonic
    at_work: AtWork = field(default_factory=AtWork)
    story: Story = field(default_factory=lambda: Story(""))

    def __call__(self, event: Event) -> None:
        now = self.clock()
        self.story.take({"time": now, **as_mapping(event)})
        match event:
            case StageStarted():
                self.at_work.started(event, now)
            case StageAdvanced():
                self.at_work.advanced(event, now)
            case StageFinished():
                self.at_work = AtWork()

    def seconds_left(self) -> float | None:
        """Return the time that the stage at work has left; of training at most, as it may stop sooner."""
        known = self.story.seconds_left() if self.at_work.stage == "train" else None
        return self.at_work.seconds_left(self.clock()) if known is None else known

    def left(self) -> str:
        """Write the time left, "" where it is not known."""
        seconds = self.seconds_left()
        most = "at most " if self.at_work.stage == "train" else ""
        return "" if seconds is None else f"{most}{clock_time(seconds)} left"

    def lines(self) -> list[str]:
        """Write what training has reached; nothing before its first epoch, and of a run that does not train."""
        story, at_stage = self.story, self.at_work.stage
        history, best = story.history, story.best
        if not history or best is None or at_stage != "train":
            return []
        last = history[-1]
        if last.stopping_rmse is None:
            reached = f"RMSE {rounded(last.training_rmse)} in training"
        else:
            kept = (
                "the best so far" if best.epoch == last.epoch else f"best {rounded(best.stopping_rmse)} at {best.epoch}"
            )
            reached = f"RMSE {rounded(last.stopping_rmse)} held out, {kept}; {rounded(last.training_rmse)} in training"
        beaten = story.baselines
        to_beat = (
            f"to beat: biases {rounded(beaten['biases_rmse'])}, mean {rounded(beaten['mean_rmse'])}" if beaten else ""
        )
        predicted = int(story.facts.get("predicted_bytes") or 0)
        of_predicted = f" of {predicted / _MIB:,.0f} predicted" if predicted else ""
        more = [
            f"{last.ratings_per_second / 1e6:.1f} M ratings/s",
            f"memory {story.peak_bytes / _MIB:,.0f} MiB{of_predicted}" if story.peak_bytes else "",
            f"checkpoint of {max(story.checkpoints)}" if story.checkpoints else "",
            f"{story.workers_lost} lost" if story.workers_lost else "",
        ]
        return [each for each in (reached, to_beat, " · ".join(filter(None, more))) if each]


def clock_time(seconds: float) -> str:
    """Write a time as 0:01:23, without the hours where there are none."""
    written = str(timedelta(seconds=round(seconds)))
    return written.removeprefix("0:")
