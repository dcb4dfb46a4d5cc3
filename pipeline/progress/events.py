"""Events of a run: one small frozen dataclass for each kind.

Covers: the events, their JSON form, several listeners, and lines for later. Library code never prints.
Does not cover: events in a terminal (lines.py) and on disk (metrics_file.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, get_args

from funkflow.tasks.redact import masked_content


@dataclass(frozen=True)
class StageStarted:
    """A stage begins. `steps` : the number of its tasks; 0 if it is not known yet."""

    stage: str
    steps: int = 0


@dataclass(frozen=True)
class StageAdvanced:
    """`done` of `steps` tasks of a stage are finished. `doing` : the current kind of work."""

    stage: str
    done: int
    steps: int
    doing: str = ""


@dataclass(frozen=True)
class StageFinished:
    """A stage succeeded. `reused` : whether an earlier result was there, so that nothing ran."""

    stage: str
    seconds: float
    summary: str
    reused: bool = False


@dataclass(frozen=True)
class EpochFinished:
    """One epoch over all training ratings. RMSEs in rating units; None if there are no ratings to measure on.

    `stopping_ndcg` : where a ranking is trained for, the NDCG at `places` items on the ratings for early stopping.
    `counted` : the unit that the method counts instead of epochs. `passes` : passes over all ratings since the last
    such event; 0 if several epochs arrive at once, except for the first of them. `ratings_per_second` : over all epochs
    of this attempt so far, loading included.
    """

    epoch: int
    epochs: int
    training_rmse: float
    stopping_rmse: float | None
    ratings_per_second: float
    best: bool
    counted: str = "epoch"
    passes: int = 1
    stopping_ndcg: float | None = None
    places: int = 0


@dataclass(frozen=True)
class RunBegan:
    """A run has its id: its data are in blocks, and training is next, unless it is done already.

    `execution` : id of the ledger's record; `attempt` : part of the keys of all its tasks; `users`, `items`, `ratings`
    : numbers of the training data; `shards` : P of the P × P grid; `epochs` : most epochs, steps or features; `step`,
    `l2` : of stochastic descent, None for other methods; `predicted_bytes` : memory of all processes together, 0
    without a prediction.
    """

    run_id: str
    execution: str
    attempt: str
    method: str
    rank: int
    shards: int
    users: int
    items: int
    ratings: int
    epochs: int
    step: float | None
    l2: float | None
    predicted_bytes: int


@dataclass(frozen=True)
class BaselinesMeasured:
    """RMSEs of the mean rating and of the bias baseline, in rating units, on the ratings that `split` names."""

    split: str
    mean_rmse: float
    biases_rmse: float


@dataclass(frozen=True)
class CheckpointWritten:
    """The state after `epoch` is in the store, for a run to resume from. `seconds` : the time of writing it."""

    epoch: int
    seconds: float


@dataclass(frozen=True)
class MemoryMeasured:
    """Peak memory of this machine's processes and all workers together since the run began; sent when it has grown."""

    peak_bytes: int


@dataclass(frozen=True)
class RowsQuarantined:
    """`rows` of the input are no valid ratings and are quarantined in the file `path`."""

    rows: int
    path: str


@dataclass(frozen=True)
class WorkerLost:
    """The worker at `address` is gone. `message` : names the repeated work and its start."""

    address: str
    message: str


@dataclass(frozen=True)
class RunEnded:
    """The last event. `state` : as in the ledger; `rmse` : on the validation ratings, if the run got that far."""

    run_id: str | None
    state: str
    rmse: float | None
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class Noticed:
    """A line for the user: a fallback, a resumption, a warning."""

    message: str
    warning: bool = False


Event = (
    StageStarted
    | StageAdvanced
    | StageFinished
    | RunBegan
    | BaselinesMeasured
    | EpochFinished
    | CheckpointWritten
    | MemoryMeasured
    | RowsQuarantined
    | WorkerLost
    | Noticed
    | RunEnded
)
_KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}
Listener = Callable[[Event], None]


class Postponed:
    """A listener that keeps lines until some work is done, so that an earlier error stands alone."""

    def __init__(self, notify: Listener) -> None:
        self._notify = notify
        self._lines: list[str] = []

    def say(self, line: str) -> None:
        """Keep a line for later."""
        self._lines.append(line)

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageAdvanced | StageFinished):
            while self._lines:
                self._notify(Noticed(self._lines.pop(0)))


def as_mapping(event: Event) -> dict[str, object]:
    """Return {"event", …}: the event's kind and its fields, without credentials in URLs."""
    return {"event": type(event).__name__, **masked_content(asdict(event))}


def event_of(content: Mapping[str, object]) -> Event | None:
    """Return the event of a mapping as above, without unknown fields; None for an unknown kind."""
    kind = _KINDS.get(str(content.get("event")))
    values: Any = {each.name: content[each.name] for each in fields(kind) if each.name in content} if kind else {}
    return kind(**values) if kind else None


def broadcast(listeners: list[Listener]) -> Listener:
    """Return one listener that passes each event to all of `listeners`, in order, without credentials in URLs."""

    def notify(event: Event) -> None:
        safe = replace(event, **masked_content(vars(event)))
        for listener in listeners:
            listener(safe)

    return notify
