"""What is known of one run from the events it told: numbers, lists of bounded length, and nothing that needs Dask.

Covers: taking in events in any order, once or several times, and those of several runs side by side.
Does not cover: how events travel (sending.py), the work on blocks (blocks.py), or how this looks (page.py).

An event is a mapping, {"event", "run", "time", …}, with the fields that runtime/events.py gives its kind; `run` is the
id of the ledger's record, `time` seconds since 1970.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_RUNS = 12
"""Runs that a scheduler remembers; the one that was heard of least lately goes first."""
_MOST_LINES = 100
_MOST_EPOCHS = 20_000

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
    """What is known of a run. What was not told is None or empty.

    `lines` : [time, kind, words], the newest last, of what is worth a line.
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
    baselines: dict[str, Any] = field(default_factory=dict)
    checkpoints: dict[int, float] = field(default_factory=dict)
    peak_bytes: int = 0
    quarantined: int = 0
    workers_lost: int = 0
    state: str = "running"
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
        """Ratings that the epochs told of have gone over."""
        return len(self.epochs) * int(self.facts.get("ratings", 0))

    def seconds_left(self) -> float | None:
        """Return how long training takes at most, by its last epochs; None outside of training."""
        history, most = self.history, int(self.facts.get("epochs", 0))
        if self.stage != "train" or self.ended is not None or len(history) < 2 or not most:
            return None
        recent = history[-min(len(history), 11) :]
        each = (recent[-1].time - recent[0].time) / max(1, recent[-1].epoch - recent[0].epoch)
        return max(0.0, each * (most - history[-1].epoch))

    def take(self, event: Event) -> None:
        """Take in one event; kinds that are not known are passed over."""
        time = float(event.get("time", 0.0))
        self.began = min(self.began or time, time)
        self.heard = max(self.heard, time)
        take = _TAKE.get(str(event.get("event")))
        if take is not None:
            take(self, event, time)


class Stories:
    """The stories of several runs, the one that was heard of last at the end."""

    def __init__(self, most: int = MOST_RUNS) -> None:
        self._most = most
        self._stories: OrderedDict[str, Story] = OrderedDict()

    def take(self, event: Event) -> Story:
        """Take in one event of some run, and return its story."""
        run = str(event["run"])
        story = self._stories.setdefault(run, Story(run))
        self._stories.move_to_end(run)
        story.take(event)
        while len(self._stories) > self._most:
            self._stories.popitem(last=False)
        return story

    def newest_first(self) -> list[Story]:
        """Return all of them, those that began last first."""
        return sorted(self._stories.values(), key=lambda story: (story.began, story.run), reverse=True)

    def get(self, run: str) -> Story | None:
        return self._stories.get(run)


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
    story.epochs[number] = Epoch(
        number, float(event["training_rmse"]), None if stopping is None else float(stopping),
        float(event["ratings_per_second"]), bool(event["best"]), known.time if known else time,
    )  # fmt: skip
    if len(story.epochs) > _MOST_EPOCHS:
        del story.epochs[min(story.epochs)]


def _baselines(story: Story, event: Event, _time: float) -> None:
    story.baselines = {name: event[name] for name in ("split", "mean_rmse", "biases_rmse")}


def _checkpoint(story: Story, event: Event, time: float) -> None:
    story.checkpoints[int(event["epoch"])] = float(event["seconds"])
    story.lines.append((time, "checkpoint", f"of epoch {event['epoch']}, {event['seconds']:.2f} s"))


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


def _ended(story: Story, event: Event, time: float) -> None:
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
    "RunEnded": _ended,
}
