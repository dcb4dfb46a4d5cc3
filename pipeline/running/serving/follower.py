"""The model that a server serves, and its change while requests run.

Covers: the first model, looking for another one, mapping it beside the old one, and the exchange in one assignment.
Does not cover: the pointer (pipeline/root/model_in_use.py), the arrays (pipeline/models/mapped.py), requests (app.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from funkflow.pipeline.models.item_words import greatest_rating
from funkflow.pipeline.models.mapped import Mapped, map_model
from funkflow.pipeline.progress.events import Listener, Noticed
from funkflow.pipeline.root.model_in_use import in_use, model_of
from funkflow.pipeline.root.store import in_seconds
from funkflow.pipeline.running.serving.batches import Batches
from funkflow.pipeline.running.serving.metrics import Metrics
from funkflow.tasks.errors import BadInput, FunkflowError
from funkflow.tasks.model.about import read_about
from funkflow.tasks.redact import masked
from funkflow.tasks.serving.mapped_model import MappedModel

_LOOK_SECONDS = 1.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 2.0, 300.0
"""Before a model that could not be loaded is tried again; the pause doubles."""


@dataclass(frozen=True)
class Choice:
    """A model to serve: the id of its run, or the name of its folder, and the folder."""

    name: str
    folder: str


def chosen_folder(folder: str) -> Callable[[], Choice]:
    """Return a function that always chooses the model in this folder."""
    choice = Choice(str(read_about(folder).get("run_id") or folder.rstrip("/").rsplit("/", 1)[-1]), folder)
    return lambda: choice


def chosen_in_use(root: str, goal: str) -> Callable[[], Choice]:
    """Return a function that chooses the model in use for a goal; without one, that which was promoted last."""

    def choose() -> Choice:
        use = in_use(root).best_for(goal)
        return Choice(use.run_id, model_of(root, use.run_id))

    return choose


@dataclass(frozen=True)
class Served:
    """A model at work. `since` : UTC, ISO 8601."""

    name: str
    mapped: Mapped
    batches: Batches
    since: str = field(default_factory=in_seconds)

    @property
    def model(self) -> MappedModel:
        return self.mapped.model


class Follower:
    """The model at work, `served`, and why a newer one is not, `trouble`; "" if there is nothing wrong.

    A request takes `served` once, at its start: it ends on the model on which it began.
    """

    def __init__(self, choose: Callable[[], Choice], metrics: Metrics, notify: Listener, place: str = "") -> None:
        """Load the first model, or raise what is wrong with it."""
        self._choose, self._metrics, self._notify, self._place = choose, metrics, notify, place
        self.trouble = ""
        self._failed: Choice | None = None
        self._pause = self._not_before = 0.0
        self._choice = choose()
        self.served = self._loaded(self._choice)

    async def follow(self) -> None:
        """Look for another model until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        try:
            choice = await asyncio.to_thread(self._choose)
            if choice != self._choice:
                if choice != self._failed:
                    self._failed, self._pause = choice, 0.0
                elif time.monotonic() < self._not_before:
                    return
                self.served = await asyncio.to_thread(self._loaded, choice)
                self._choice = choice
        except Exception as error:  # whatever is wrong with the new model, the old one stays
            self._refuse(error)
        else:
            self.trouble, self._failed = "", None

    def _refuse(self, error: Exception) -> None:
        reason = masked(error.message if isinstance(error, FunkflowError) else f"{type(error).__name__}: {error}")
        self._pause = min(2 * self._pause or _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        self._not_before = time.monotonic() + self._pause
        self._metrics.loads.labels("failed").inc()
        if reason != self.trouble:
            self.trouble = reason
            said = f"{self.served.name} stays, as the new model cannot be served: {reason}"
            self._notify(Noticed(said, warning=True))

    def _loaded(self, choice: Choice) -> Served:
        """Map a model and use it once, so that no request waits for pages, imports or compilation."""
        mapped = map_model(choice.folder, self._place)
        _use_once(mapped.model)
        served = Served(choice.name, mapped, Batches(mapped.model))
        self._metrics.loads.labels("loaded").inc()
        self._metrics.model.clear()
        self._metrics.model.labels(choice.name).set(1)
        self._notify(Noticed(f"serving {served.name}: {_described(mapped.model)}"))
        if not mapped.knows_rated:
            why = "the trained-on ratings are not beside this model, so items that users rated are recommended, too"
            self._notify(Noticed(f"{choice.folder}: {why}", warning=True))
        return served


def _use_once(model: MappedModel) -> None:
    if len(model.user_biases):
        model.recommend_rows([0], [1])
    with suppress(BadInput):  # a model without what folding in needs
        model.fold_in({model.items.at(np.zeros(1, np.intp))[0]: greatest_rating(model, "")})


def _described(model: MappedModel) -> str:
    rank, items = model.columns.shape[0] - 1, model.columns.shape[1]
    return f"{len(model.user_biases):,} users x {items:,} items, rank {rank}"
