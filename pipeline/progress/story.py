"""What is known of one run from the events it told: numbers, lists of bounded length, and nothing that needs Dask.

Covers: taking in events in any order, once or several times, and those of several runs side by side, while other
threads read; how long training still takes.
Does not cover: how events travel (pipeline/progress/live/sending.py), the work on blocks
(pipeline/progress/live/blocks.py), or how this looks (pipeline/progress/live/page.py).

An event is a mapping, {"event", "run", "time", …}, with the fields that events.py gives its kind; `run` is the
id of the ledger's record, `time` seconds since 1970.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from funkflow.pipeline.progress.outcome import RUNNING

MOST_RUNS = 12
"""Runs that a scheduler remembers; the one that was heard of least lately goes first."""
_MOST_LINES = 100
_MOST_EPOCHS = 20_000
_HALF_LIFE_SECONDS, _HALF_LIFE_EPOCHS = 120.0, 10
"""After the longer of these an epoch counts half for the pace: many short ones come in bursts, a few as one task."""
_LEAST_WEIGHT = 2.0**-7
_CHECKPOINT = "checkpoint"

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Epoch:
    """One epoch as it was told; RMSEs in rating units."""

    epoch: int
    training_rmse: float
    stopping_rmse: float | None
    ratings_per_second: float
    best: bool
    time: float


@dataclass
class Story:
    """What is known of a run. What was not told is None or empty. One thread takes events in; others read a copy.

    `passes` : over all ratings, so far; `counted` : what the method counts in the place of epochs, of which there are
    `most` at most. `lines` : [time, kind, words], the newest last, of what is worth a line; all checkpoints are one.
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
    epochs: dict[int, Epoch] = field(default_factory=dict)
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
        """The run's id, or as long as it has none, that of its record."""
        return str(self.facts.get("run_id") or self.run)

    @property
    def history(self) -> list[Epoch]:
        """The epochs in order."""
        return [self.epochs[number] for number in sorted(self.epochs)]

    @property
    def best(self) -> Epoch | None:
        """The epoch with the least RMSE on the ratings that training stops on, or else in training."""
        return min(
            self.epochs.values(),
            key=lambda each: (each.training_rmse if each.stopping_rmse is None else each.stopping_rmse, each.epoch),
            default=None,
        )

    @property
    def ratings_seen(self) -> int:
        """Ratings gone over for the epochs told of: each once in an epoch, several times for a feature or a step."""
        return self.passes * int(self.facts.get("ratings", 0))

    def seconds_left(self) -> float | None:
        """Return how long training takes at most, by the pace of its epochs; None outside of training."""
        history, began = self.history, self.stages.get("train", {}).get("began")
        if self.stage != "train" or self.ended is not None or not history or began is None:
            return None
        moments = [(history[0].epoch - 1, float(began)), *((each.epoch, each.time) for each in history)]
        return max(0.0, _seconds_an_epoch(moments) * (self.most - history[-1].epoch))

    def copy(self) -> Story:
        """Return it as it is now, for another thread to read."""
        return replace(
            self, facts=dict(self.facts), stages={name: dict(known) for name, known in self.stages.items()},
            epochs=dict(self.epochs), baselines=dict(self.baselines), checkpoints=dict(self.checkpoints),
            lines=self.lines.copy(),
        )  # fmt: skip

    def take(self, event: Event) -> None:
        """Take in one event; kinds that are not known are passed over."""
        time = float(event.get("time", 0.0))
        self.began = min(self.began or time, time)
        self.heard = max(self.heard, time)
        take = _TAKE.get(str(event.get("event")))
        if take is not None:
            take(self, event, time)


class Stories:
    """The stories of several runs, the one that was heard of last at the end. Any thread may tell, and any may read."""

    def __init__(self, most: int = MOST_RUNS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._stories: OrderedDict[str, Story] = OrderedDict()
        self._copies: dict[str, Story] = {}

    def take(self, event: Event) -> None:
        """Take in one event of some run."""
        run = str(event["run"])
        with self._lock:
            story = self._stories.setdefault(run, Story(run))
            self._stories.move_to_end(run)
            self._copies.pop(run, None)
            story.take(event)
            while len(self._stories) > self._most:
                forgotten, _ = self._stories.popitem(last=False)
                self._copies.pop(forgotten, None)

    def newest_first(self) -> list[Story]:
        """Return all of them as they are now, those that began last first. One that is as it was is the same object."""
        with self._lock:
            for run, story in self._stories.items():
                if run not in self._copies:
                    self._copies[run] = story.copy()
            copies = list(self._copies.values())
        return sorted(copies, key=lambda story: (story.began, story.run), reverse=True)


def _seconds_an_epoch(moments: list[tuple[int, float]]) -> float:
    """Return the pace of late, given when which epoch was there: steady, though they come in bursts."""
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


def _stage_started(story: Story, event: Event, time: float) -> None:
    story.stage, story.steps, story.done, story.doing = event["stage"], int(event["steps"]), 0, ""
    story.stages[event["stage"]] = {"began": time}


def _stage_advanced(story: Story, event: Event, _time: float) -> None:
    if event["stage"] == story.stage:
        story.done, story.steps, story.doing = int(event["done"]), int(event["steps"]), str(event["doing"])


def _stage_finished(story: Story, event: Event, time: float) -> None:
    known = story.stages.setdefault(event["stage"], {"began": time - float(event["seconds"])})
    known |= {"seconds": float(event["seconds"]), "reused": bool(event["reused"]), "summary": str(event["summary"])}
    story.lines.append((time, "stage", f"{event['stage']}: {event['summary']}"))


def _run_began(story: Story, event: Event, _time: float) -> None:
    story.facts = {name: value for name, value in event.items() if name not in ("event", "run", "time")}


def _epoch_finished(story: Story, event: Event, time: float) -> None:
    number, stopping = int(event["epoch"]), event["stopping_rmse"]
    known = story.epochs.get(number)
    story.counted, story.most = str(event.get("counted", "epoch")), int(event["epochs"])
    story.passes += 0 if known else int(event.get("passes", 1))
    story.epochs[number] = Epoch(
        epoch=number,
        training_rmse=float(event["training_rmse"]),
        stopping_rmse=None if stopping is None else float(stopping),
        ratings_per_second=float(event["ratings_per_second"]),
        best=bool(event["best"]),
        time=known.time if known else time,
    )
    if len(story.epochs) > _MOST_EPOCHS:
        del story.epochs[min(story.epochs)]


def _baselines(story: Story, event: Event, _time: float) -> None:
    story.baselines = {name: event[name] for name in ("split", "mean_rmse", "biases_rmse")}


def _checkpoint(story: Story, event: Event, time: float) -> None:
    story.checkpoints[int(event["epoch"])] = float(event["seconds"])
    several = f"; {len(story.checkpoints):,} so far" if len(story.checkpoints) > 1 else ""
    for earlier in [line for line in story.lines if line[1] == _CHECKPOINT]:
        story.lines.remove(earlier)
    words = f"after {story.counted} {event['epoch']:,}, written in {event['seconds']:.2f} s{several}"
    story.lines.append((time, _CHECKPOINT, words))


def _memory(story: Story, event: Event, _time: float) -> None:
    story.peak_bytes = max(story.peak_bytes, int(event["peak_bytes"]))


def _quarantined(story: Story, event: Event, time: float) -> None:
    story.quarantined = int(event["rows"])
    story.lines.append((time, "quarantine", f"{event['rows']:,} rows lie apart in {event['path']}"))


def _worker_lost(story: Story, event: Event, time: float) -> None:
    story.workers_lost += 1
    story.lines.append((time, "worker lost", str(event["message"])))


def _noticed(story: Story, event: Event, time: float) -> None:
    story.lines.append((time, "warning" if event["warning"] else "note", str(event["message"])))


def _take_end(story: Story, event: Event, time: float) -> None:
    story.state, story.rmse, story.ended = str(event["state"]), event["rmse"], time
    story.facts.setdefault("run_id", event["run_id"])
    if event.get("error"):
        story.lines.append((time, "error", str(event["error"])))


_TAKE: dict[str, Callable[[Story, Event, float], None]] = {
    "StageStarted": _stage_started,
    "StageAdvanced": _stage_advanced,
    "StageFinished": _stage_finished,
    "RunBegan": _run_began,
    "EpochFinished": _epoch_finished,
    "BaselinesMeasured": _baselines,
    "CheckpointWritten": _checkpoint,
    "MemoryMeasured": _memory,
    "RowsQuarantined": _quarantined,
    "WorkerLost": _worker_lost,
    "Noticed": _noticed,
    "RunEnded": _take_end,
}
