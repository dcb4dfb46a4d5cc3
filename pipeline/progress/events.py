"""What a run tells its listeners: small frozen facts, one dataclass a kind.

Covers: the events, how they are handed to several listeners, and what is told later.
Does not cover: how they look in a terminal (lines.py) or on disk (pipeline/root/run_record.py); library code never
prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from funkflow.tasks.redact import masked_content


@dataclass(frozen=True)
class StageStarted:
    """A stage begins. `steps` is how many tasks it will wait for, 0 if that is not known yet."""

    stage: str
    steps: int = 0


@dataclass(frozen=True)
class StageAdvanced:
    """`done` of `steps` tasks of the stage are finished; `doing` names the current kind of work."""

    stage: str
    done: int
    steps: int
    doing: str = ""


@dataclass(frozen=True)
class StageFinished:
    """A stage ended well. `reused` says that an earlier result was found and nothing was run."""

    stage: str
    seconds: float
    summary: str
    reused: bool = False


@dataclass(frozen=True)
class EpochFinished:
    """One epoch over all training ratings. RMSEs in rating units; None where there is nothing to measure on.

    `counted` : what the method counts in the place of epochs. `passes` : over all ratings since this was told last; 0
    where several epochs came at once, and were told with the first of them.

    `ratings_per_second` : over all epochs of this attempt so far, loading included.
    """

    epoch: int
    epochs: int
    training_rmse: float
    stopping_rmse: float | None
    ratings_per_second: float
    best: bool
    counted: str = "epoch"
    passes: int = 1


@dataclass(frozen=True)
class RunBegan:
    """A run has its id: its data are in blocks, and training is next, or to be found done.

    `execution` : id of the ledger's record; `attempt` : part of the keys of all its tasks; `ratings` : that it trains
    on, by `users` and `items`; `shards` : P of the P × P grid; `epochs` : at most, or steps or features; `step`, `l2` :
    of stochastic descent, None of other methods; `predicted_bytes` : of memory, all processes together, 0 where nothing
    was predicted.
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
    """RMSE in rating units, on the ratings that `split` names, of what the model must beat."""

    split: str
    mean_rmse: float
    biases_rmse: float


@dataclass(frozen=True)
class CheckpointWritten:
    """The state after `epoch` lies in the store, from where a run goes on; `seconds` is what writing it took."""

    epoch: int
    seconds: float


@dataclass(frozen=True)
class MemoryMeasured:
    """Peak of this machine's processes and all workers together since the run began, told when it has grown."""

    peak_bytes: int


@dataclass(frozen=True)
class RowsQuarantined:
    """`rows` of the input could not be read as ratings and lie apart, in the file `path`."""

    rows: int
    path: str


@dataclass(frozen=True)
class WorkerLost:
    """A worker at `address` is gone; `message` says what is made again, and from where."""

    address: str
    message: str


@dataclass(frozen=True)
class RunEnded:
    """The last event. `state` : as in the ledger; `rmse` : on the validation ratings, where it got that far."""

    run_id: str | None
    state: str
    rmse: float | None
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class Noticed:
    """Something worth a line: a fallback, a resumption, a warning."""

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
Listener = Callable[[Event], None]


class Postponed:
    """A listener that says what it was given once some work is done: an error before that stands alone."""

    def __init__(self, notify: Listener) -> None:
        self._tell = notify
        self._words: list[str] = []

    def say(self, words: str) -> None:
        """Have a line told later."""
        self._words.append(words)

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageAdvanced | StageFinished):
            while self._words:
                self._tell(Noticed(self._words.pop(0)))


def as_mapping(event: Event) -> dict[str, Any]:
    """Return {"event", …}: the event's kind and its fields, without credentials in URLs."""
    return {"event": type(event).__name__, **masked_content(asdict(event))}


def broadcast(listeners: list[Listener]) -> Listener:
    """Return one listener that hands each event to all of `listeners`, in order, without credentials in URLs."""

    def notify(event: Event) -> None:
        safe = replace(event, **masked_content(vars(event)))
        for listener in listeners:
            listener(safe)

    return notify
