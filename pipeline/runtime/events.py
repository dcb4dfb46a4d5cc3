"""What a run tells its listeners: small frozen facts, one dataclass a kind.

Covers: the events and how they are handed to several listeners.
Does not cover: how they look in a terminal (progress.py) or on disk (record.py); library code never prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tasks.masking import masked_content


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

    `counted` : what the method counts in the place of epochs.

    `ratings_per_second` : over all epochs of this attempt so far, loading included.
    """

    epoch: int
    epochs: int
    training_rmse: float
    stopping_rmse: float | None
    ratings_per_second: float
    best: bool
    counted: str = "epoch"


@dataclass(frozen=True)
class Noticed:
    """Something worth a line: a fallback, a resumption, a warning."""

    message: str
    warning: bool = False


Event = StageStarted | StageAdvanced | StageFinished | EpochFinished | Noticed
Listener = Callable[[Event], None]


def broadcast(listeners: list[Listener]) -> Listener:
    """Return one listener that hands each event to all of `listeners`, in order, without credentials in URLs."""

    def tell(event: Event) -> None:
        safe = replace(event, **masked_content(vars(event)))
        for listener in listeners:
            listener(safe)

    return tell
