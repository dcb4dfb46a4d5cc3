"""The state of a run in few numbers: the current stage with its time left, and the progress of training.

Covers: keeping both from events, for a thread that draws, and writing them.
Does not cover: their display (terminal.py, notebook.py), the page with more (pipeline/progress/live/page.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from funkflow.pipeline.progress.events import Event, StageAdvanced, StageFinished, StageStarted
from funkflow.pipeline.progress.story import EpochPoint, Story
from funkflow.pipeline.progress.words import counted
from funkflow.tasks.digits import rounded

_MIB = 2**20


@dataclass(frozen=True)
class AtWork:
    """The current stage: `done` of `total` tasks of the kind `doing`, since `began`; 0 of 0 if neither is known."""

    stage: str = ""
    doing: str = ""
    done: int = 0
    total: int = 0
    began: float = 0.0
    whole: bool = False
    """Whether `total` is of the whole stage, known from its start, instead of the current kind of work."""

    def advanced(self, event: StageAdvanced, now: float) -> AtWork:
        """Return the state after the event."""
        if self.whole and event.doing != "epoch":
            return replace(self, doing=event.doing, done=min(self.total, self.done + 1))
        began = now if self.doing and event.doing != self.doing else self.began
        return replace(self, doing=event.doing, began=began, done=event.done, total=event.steps)

    def seconds_left(self, now: float) -> float | None:
        """Return the time left at the pace so far; None if it is not known yet."""
        if not self.total or not self.done:
            return None
        return max(0.0, (now - self.began) / self.done * (self.total - self.done))


@dataclass(frozen=True)
class Snapshot:
    """The state of a run at the time `now`; it does not change any more."""

    at_work: AtWork
    story: Story
    now: float

    def elapsed(self) -> str:
        """Write the time of the stage at its current work."""
        return clock_time(self.now - self.at_work.began)

    def seconds_left(self) -> float | None:
        """Return the time that the current stage has left; for training the most, as it may stop earlier."""
        known = self.story.seconds_left() if self.at_work.stage == "train" else None
        return self.at_work.seconds_left(self.now) if known is None else known

    def left(self) -> str:
        """Write the time left, "" if it is not known."""
        seconds = self.seconds_left()
        most = "at most " if self.at_work.stage == "train" else ""
        return "" if seconds is None else f"{most}{clock_time(seconds)} left"

    def counted(self) -> str:
        """Write how much of the stage is done, "" if the total is not known."""
        done, total = self.at_work.done, self.at_work.total
        return f"{done:,} of {'at most ' * (self.at_work.stage == 'train')}{total:,}" if total else ""

    def lines(self) -> list[str]:
        """Write the progress of training; no lines before its first epoch, and in other stages."""
        story, at_stage = self.story, self.at_work.stage
        history, best = story.history, story.best
        if not history or best is None or at_stage != "train":
            return []
        last = history[-1]
        reached = f"training RMSE {rounded(last.training_rmse)}"
        if (now := _held_out(last)) and (most := _held_out(best)):
            kept = "the best so far" if best.epoch == last.epoch else f"best {most[1]} at {best.epoch}"
            reached = f"validation {now[0]} {now[1]}, {kept}; training RMSE {rounded(last.training_rmse)}"
        beaten = story.baselines
        to_beat = (
            f"to beat: bias baseline {rounded(beaten['biases_rmse'])}, mean {rounded(beaten['mean_rmse'])}"
            if beaten
            else ""
        )
        predicted = int(story.facts.get("predicted_bytes") or 0)
        peak = f"{story.peak_bytes / _MIB:,.0f}{f' of {predicted / _MIB:,.0f}' if predicted else ''} MiB"
        more = [
            f"{last.ratings_per_second / 1e6:.1f} M ratings/s",
            f"memory {peak}{' predicted' if predicted else ''}" if story.peak_bytes else "",
            f"checkpoint at {max(story.checkpoints)}" if story.checkpoints else "",
            f"{counted(story.workers_lost, 'worker')} lost" if story.workers_lost else "",
        ]
        return [each for each in (reached, to_beat, " · ".join(filter(None, more))) if each]


def _held_out(epoch: EpochPoint) -> tuple[str, str] | None:
    """Return the name and the value of the measure that decides; None without ratings to stop on."""
    if epoch.stopping_ndcg is not None:
        return f"NDCG@{epoch.places}", f"{epoch.stopping_ndcg:.4f}"
    return None if epoch.stopping_rmse is None else ("RMSE", rounded(epoch.stopping_rmse))


class Headlines:
    """A listener that keeps the state for a display. `clock` : seconds since any time.

    Events come in one thread, and a terminal draws in another: it draws a `snapshot`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._at_work, self._story = AtWork(), Story("")

    def __call__(self, event: Event) -> None:
        now = self.clock()
        with self._lock:
            self._story.take(event, now)
            match event:
                case StageStarted():
                    self._at_work = AtWork(event.stage, total=event.steps, began=now, whole=event.steps > 0)
                case StageAdvanced():
                    self._at_work = self._at_work.advanced(event, now)
                case StageFinished():
                    self._at_work = AtWork()

    def snapshot(self) -> Snapshot:
        """Return the state of the run now."""
        with self._lock:
            return Snapshot(self._at_work, self._story.copy(), self.clock())


def clock_time(seconds: float) -> str:
    """Write a time as 1:23, with hours if there are any."""
    written = str(timedelta(seconds=round(seconds)))
    return written.removeprefix("0:")
