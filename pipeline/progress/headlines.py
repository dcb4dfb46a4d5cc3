"""Where a run is, in few numbers: the stage at work with the time it has left, and what training has reached.

Covers: keeping both from events, giving them to a thread that draws, and writing them.
Does not cover: how they are shown (terminal.py, notebook.py), or the page that shows more
(pipeline/progress/live/page.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from funkflow.pipeline.progress.events import Event, StageAdvanced, StageFinished, StageStarted, as_mapping
from funkflow.pipeline.progress.story import Story
from funkflow.tasks.digits import rounded

_MIB = 2**20


@dataclass(frozen=True)
class AtWork:
    """The stage at work: `done` of `total` of what `doing` names, since `began`; 0 of 0 where neither is known."""

    stage: str = ""
    doing: str = ""
    done: int = 0
    total: int = 0
    began: float = 0.0
    whole: bool = False
    """Whether `total` is of the whole stage, known when it began, instead of what it is doing now."""

    def advanced(self, event: StageAdvanced, now: float) -> AtWork:
        """Return where it is after that."""
        if self.whole and event.doing != "epoch":
            return replace(self, doing=event.doing, done=min(self.total, self.done + 1))
        began = now if self.doing and event.doing != self.doing else self.began
        return replace(self, doing=event.doing, began=began, done=event.done, total=event.steps)

    def seconds_left(self, now: float) -> float | None:
        """Return how long it takes at the pace so far; None where that is not known yet."""
        if not self.total or not self.done:
            return None
        return max(0.0, (now - self.began) / self.done * (self.total - self.done))


@dataclass(frozen=True)
class Standing:
    """Where a run was at a moment, `now`; nothing in it changes any more."""

    at_work: AtWork
    story: Story
    now: float

    def elapsed(self) -> str:
        """Write how long the stage has been at what it does."""
        return clock_time(self.now - self.at_work.began)

    def seconds_left(self) -> float | None:
        """Return the time that the stage at work has left; of training at most, as it may stop sooner."""
        known = self.story.seconds_left() if self.at_work.stage == "train" else None
        return self.at_work.seconds_left(self.now) if known is None else known

    def left(self) -> str:
        """Write the time left, "" where it is not known."""
        seconds = self.seconds_left()
        most = "at most " if self.at_work.stage == "train" else ""
        return "" if seconds is None else f"{most}{clock_time(seconds)} left"

    def counted(self) -> str:
        """Write how much of it is done, "" where it is not known of how much."""
        done, total = self.at_work.done, self.at_work.total
        return f"{done:,} of {'at most ' * (self.at_work.stage == 'train')}{total:,}" if total else ""

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


class Headlines:
    """A listener that keeps what is to be shown. `clock` : seconds, from any moment on.

    Events come in one thread, and a terminal draws in another: what is drawn is what `standing` gives.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._at_work, self._story = AtWork(), Story("")

    def __call__(self, event: Event) -> None:
        now, told = self.clock(), as_mapping(event)
        with self._lock:
            self._story.take({"time": now, **told})
            match event:
                case StageStarted():
                    self._at_work = AtWork(event.stage, total=event.steps, began=now, whole=event.steps > 0)
                case StageAdvanced():
                    self._at_work = self._at_work.advanced(event, now)
                case StageFinished():
                    self._at_work = AtWork()

    def standing(self) -> Standing:
        """Return where the run is now."""
        with self._lock:
            return Standing(self._at_work, self._story.copy(), self.clock())


def clock_time(seconds: float) -> str:
    """Write a time as 0:01:23, without the hours where there are none."""
    written = str(timedelta(seconds=round(seconds)))
    return written.removeprefix("0:")
