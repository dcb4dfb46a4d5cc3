"""The story of a run, from its events: numbers and lists of bounded length, without Dask.

Covers: events in any order, once or several times, of several runs, while other threads read; the time that training
has left.
Does not cover: sending events (pipeline/progress/live/sending.py), the work on blocks
(pipeline/progress/live/blocks.py), pages (pipeline/progress/live/page.py).

Times are in seconds since 1970; `run` is the id of the ledger's record.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from funkflow.pipeline.progress.events import (
    BaselinesMeasured,
    CheckpointWritten,
    EpochFinished,
    Event,
    MemoryMeasured,
    Noticed,
    RowsQuarantined,
    RunBegan,
    RunEnded,
    StageAdvanced,
    StageFinished,
    StageStarted,
    WorkerLost,
    event_of,
)
from funkflow.pipeline.progress.outcome import RUNNING
from funkflow.pipeline.progress.words import counted

MOST_RUNS = 12
"""Runs that a scheduler remembers; the one without events for longest goes first."""
_MOST_LINES = 100
_MOST_EPOCHS = 20_000
_HALF_LIFE_SECONDS, _HALF_LIFE_EPOCHS = 120.0, 10
"""An epoch counts half for the pace after the longer of these, as short epochs come in bursts."""
_LEAST_WEIGHT = 2.0**-7
_CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class EpochPoint:
    """One epoch of the curves; RMSEs in rating units. `stopping_ndcg` : at `places` items, where it decides."""

    epoch: int
    training_rmse: float
    stopping_rmse: float | None
    ratings_per_second: float
    best: bool
    time: float
    stopping_ndcg: float | None = None
    places: int = 0

    @property
    def loss(self) -> float:
        """What epochs are compared by, the less the better: 1 - NDCG, or an RMSE, held out if there is one."""
        if self.stopping_ndcg is not None:
            return 1.0 - self.stopping_ndcg
        return self.training_rmse if self.stopping_rmse is None else self.stopping_rmse


@dataclass
class Story:
    """The state of a run; None or empty if it is not known. One thread takes events in; others read a copy.

    `passes` : over all ratings, so far; `counted` : the unit that the method counts, at most `most` of them; `heard` :
    time of the last event; `lines` : (time, kind, words), the newest last; all checkpoints share one line.
    """

    run: str
    began: float = 0.0
    heard: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    stage: str = ""
    done: int = 0
    steps: int = 0
    doing: str = ""
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    epochs: dict[int, EpochPoint] = field(default_factory=dict)
    passes: int = 0
    counted: str = "epoch"
    most: int = 0
    baselines: dict[str, Any] = field(default_factory=dict)
    checkpoints: dict[int, float] = field(default_factory=dict)
    peak_bytes: int = 0
    quarantined: int = 0
    workers_lost: int = 0
    state: str = RUNNING
    rmse: float | None = None
    ended: float | None = None
    lines: deque[tuple[float, str, str]] = field(default_factory=lambda: deque(maxlen=_MOST_LINES))

    @property
    def name(self) -> str:
        """The id of the run, or of its record as long as it has none."""
        return str(self.facts.get("run_id") or self.run)

    @property
    def history(self) -> list[EpochPoint]:
        """The epochs in order."""
        return [self.epochs[number] for number in sorted(self.epochs)]

    @property
    def best(self) -> EpochPoint | None:
        """The best epoch on the ratings for early stopping, or else in training."""
        return min(self.epochs.values(), key=lambda each: (each.loss, each.epoch), default=None)

    @property
    def ratings_seen(self) -> int:
        """Ratings that the finished epochs processed: each once in an epoch, several times for a feature or a step."""
        return self.passes * int(self.facts.get("ratings", 0))

    def seconds_left(self) -> float | None:
        """Return the longest time that training has left, by the pace of its epochs; None outside of training."""
        history, began = self.history, self.stages.get("train", {}).get("began")
        if self.stage != "train" or self.ended is not None or not history or began is None:
            return None
        moments = [(history[0].epoch - 1, float(began)), *((each.epoch, each.time) for each in history)]
        return max(0.0, _seconds_an_epoch(moments) * (self.most - history[-1].epoch))

    def copy(self) -> Story:
        """Return a copy for another thread."""
        return replace(
            self, facts=dict(self.facts), stages={name: dict(known) for name, known in self.stages.items()},
            epochs=dict(self.epochs), baselines=dict(self.baselines), checkpoints=dict(self.checkpoints),
            lines=self.lines.copy(),
        )  # fmt: skip

    def take(self, event: Event | None, time: float) -> None:
        """Take in one event; None: an event of a kind that this version does not know."""
        self.began = min(self.began or time, time)
        self.heard = max(self.heard, time)
        if event is not None:
            _TAKE[type(event)](self, event, time)


class Stories:
    """The stories of several runs, in the order of their last events. Any thread may write, and any may read."""

    def __init__(self, most: int = MOST_RUNS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._stories: OrderedDict[str, Story] = OrderedDict()
        self._copies: dict[str, Story] = {}

    def take(self, message: Mapping[str, object]) -> None:
        """Take in one event of any run, as `pipeline/progress/live/sending.py` sends it."""
        run, event, time = str(message["run"]), event_of(message), float(str(message.get("time", 0.0)))
        with self._lock:
            story = self._stories.setdefault(run, Story(run))
            self._stories.move_to_end(run)
            self._copies.pop(run, None)
            story.take(event, time)
            while len(self._stories) > self._most:
                oldest, _ = self._stories.popitem(last=False)
                self._copies.pop(oldest, None)

    def newest_first(self) -> list[Story]:
        """Return copies of all stories, the newest run first; an unchanged story is the same object as before."""
        with self._lock:
            for run, story in self._stories.items():
                if run not in self._copies:
                    self._copies[run] = story.copy()
            copies = list(self._copies.values())
        return sorted(copies, key=lambda story: (story.began, story.run), reverse=True)


def _seconds_an_epoch(moments: list[tuple[int, float]]) -> float:
    """Return the recent pace from (epoch, time) pairs: steady, though epochs come in bursts."""
    (first, began), (last, now) = moments[0], moments[-1]
    mean = (now - began) / max(1, last - first)
    half_life = max(_HALF_LIFE_SECONDS, _HALF_LIFE_EPOCHS * mean)
    seconds = epochs = 0.0
    for (before, then), (epoch, time) in zip(moments[-2::-1], moments[:0:-1], strict=True):
        weight = 0.5 ** ((now - time) / half_life)
        if weight < _LEAST_WEIGHT:
            break
        seconds += weight * (time - then)
        epochs += weight * (epoch - before)
    return seconds / epochs if epochs else mean


def _stage_started(story: Story, event: StageStarted, time: float) -> None:
    story.stage, story.steps, story.done, story.doing = event.stage, event.steps, 0, ""
    story.stages[event.stage] = {"began": time}


def _stage_advanced(story: Story, event: StageAdvanced, _time: float) -> None:
    if event.stage == story.stage:
        story.done, story.steps, story.doing = event.done, event.steps, event.doing


def _stage_finished(story: Story, event: StageFinished, time: float) -> None:
    stage = story.stages.setdefault(event.stage, {"began": time - event.seconds})
    stage |= {"seconds": event.seconds, "reused": event.reused, "summary": event.summary}
    story.lines.append((time, "stage", f"{event.stage}: {event.summary}"))


def _run_began(story: Story, event: RunBegan, _time: float) -> None:
    story.facts = asdict(event)


def _epoch_finished(story: Story, event: EpochFinished, time: float) -> None:
    earlier = story.epochs.get(event.epoch)
    story.counted, story.most = event.counted, event.epochs
    story.passes += 0 if earlier else event.passes
    story.epochs[event.epoch] = EpochPoint(
        epoch=event.epoch,
        training_rmse=event.training_rmse,
        stopping_rmse=event.stopping_rmse,
        ratings_per_second=event.ratings_per_second,
        best=event.best,
        time=earlier.time if earlier else time,
        stopping_ndcg=event.stopping_ndcg,
        places=event.places,
    )
    if len(story.epochs) > _MOST_EPOCHS:
        del story.epochs[min(story.epochs)]


def _baselines(story: Story, event: BaselinesMeasured, _time: float) -> None:
    story.baselines = asdict(event)


def _checkpoint(story: Story, event: CheckpointWritten, time: float) -> None:
    story.checkpoints[event.epoch] = event.seconds
    several = f"; {len(story.checkpoints):,} so far" if len(story.checkpoints) > 1 else ""
    for earlier in [line for line in story.lines if line[1] == _CHECKPOINT]:
        story.lines.remove(earlier)
    words = f"after {story.counted} {event.epoch:,}, written in {event.seconds:.2f} s{several}"
    story.lines.append((time, _CHECKPOINT, words))


def _memory(story: Story, event: MemoryMeasured, _time: float) -> None:
    story.peak_bytes = max(story.peak_bytes, event.peak_bytes)


def _rows_quarantined(story: Story, event: RowsQuarantined, time: float) -> None:
    story.quarantined = event.rows
    story.lines.append((time, "quarantine", f"{counted(event.rows, 'row')}, in {event.path}"))


def _worker_lost(story: Story, event: WorkerLost, time: float) -> None:
    story.workers_lost += 1
    story.lines.append((time, "worker lost", event.message))


def _notice(story: Story, event: Noticed, time: float) -> None:
    story.lines.append((time, "warning" if event.warning else "note", event.message))


def _end(story: Story, event: RunEnded, time: float) -> None:
    story.state, story.rmse, story.ended = event.state, event.rmse, time
    story.facts.setdefault("run_id", event.run_id)
    if event.error:
        story.lines.append((time, "error", event.error))


_TAKE: dict[type[Event], Callable[[Story, Any, float], None]] = {
    StageStarted: _stage_started,
    StageAdvanced: _stage_advanced,
    StageFinished: _stage_finished,
    RunBegan: _run_began,
    EpochFinished: _epoch_finished,
    BaselinesMeasured: _baselines,
    CheckpointWritten: _checkpoint,
    MemoryMeasured: _memory,
    RowsQuarantined: _rows_quarantined,
    WorkerLost: _worker_lost,
    Noticed: _notice,
    RunEnded: _end,
}
