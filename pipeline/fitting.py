"""A run on ratings in memory that leaves a model in memory, and no files.

Covers: the settings of such a run, its root, and what stays of it.
Does not cover: the stages (flow.py), the methods of an estimator (estimator.py).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from funkflow.pipeline.settings.cluster import ClusterSettings
from funkflow.pipeline.settings.overrides import copied
from funkflow.tasks.errors import FunkflowError
from funkflow.tasks.late import late
from funkflow.tasks.model.model import Model
from funkflow.tasks.serving.matrix_rows import Ratings, trained_ratings

if TYPE_CHECKING:
    from funkflow.pipeline import from_python
    from funkflow.pipeline.cluster import given_client
else:  # with Dask, which predictions do not need
    from_python, given_client = late("funkflow.pipeline.from_python"), late("funkflow.pipeline.cluster.given_client")

FEW_RATINGS, HELD_OUT = 1000, 0.05
"""From this number on, this part of the ratings is held out to stop on; fewer would decide by chance."""
EPOCHS, WARM_EPOCHS = 15, 3
"""Epochs where nothing is held out: about as many as a cold run takes on small sets, and enough for a warm start
(docs/models-in-use.md)."""

_CHOSEN = {"scheduler", "scheduler_file", "preset", "workers", "processes"}
"""Settings of [cluster] that say where to run."""


@dataclass(frozen=True)
class Fitted:
    """What stays of a run: its model, the ratings of its dataset by rows of the model, its epochs, and its warning."""

    model: Model
    ratings: Ratings
    epochs: int
    warning: str


@dataclass(frozen=True)
class Fitting:
    """A run to come.

    `train`, `settings` : parameters of [train], and of any section, which yield to them. `root` : None: a temporary
    folder. `client` : of Dask, or None. `start` : a model to start from, or None.
    """

    train: Mapping[str, Any]
    settings: Mapping[str, Any]
    root: str | None
    client: Any
    start: Model | None
    progress: bool

    def run(self, ratings: pa.Table, validation: pa.Table | None) -> Fitted:
        """Run the stages up to the export, and read the model."""
        with tempfile.TemporaryDirectory(prefix="funkflow-") as folder:
            content = self._content(ratings.num_rows, validation is not None)
            content["root"] = self.root or os.path.join(folder, "root")
            start = os.path.join(folder, "start")
            if self.start is not None:
                content["train"]["warm_from"] = start
                self._saved_start(validation is not None).save(start)
            try:
                result = from_python.run(
                    content, ratings=ratings, validation=validation, client=self._client(content["cluster"]),
                    until="export", progress=self.progress,
                )  # fmt: skip
            except FunkflowError as error:
                raise type(error)(error.message.replace(start, "the model of fit").replace("ratings=", "X")) from error
            model = result.model
            trained = trained_ratings(model.folder)
        return Fitted(replace(model, folder=""), trained, int(result.epochs or 0), result.warning)

    def _client(self, cluster: dict[str, Any]) -> Any:
        """Return the client of the run: the given one, or the current one; without any, choose this process."""
        client = self.client or given_client.current_client(ClusterSettings.model_validate(cluster))
        if client is None and not _CHOSEN & set(cluster):
            cluster["processes"] = "one"
        return client

    def _content(self, rows: int, has_validation: bool) -> dict[str, Any]:
        """Return the settings as nested mapping, without the root and the start model."""
        content: dict[str, Any] = {
            "gate": {"beats_biases": False, "beats_most_rated": False}, "report": {"write": False}, "cluster": {},
        }  # fmt: skip
        for section, values in copied(self.settings).items():
            content[section] = {**content.get(section, {}), **values} if isinstance(values, dict) else values
        ingest, train = content.setdefault("ingest", {}), content.setdefault("train", {})
        ingest.pop("columns", None)  # they have the names of the pipeline by now
        if "counts" in ingest:
            ingest["counts"] = "rating"
        train.update(self.train)
        if not has_validation and "split" not in content:
            self._choose_stop(content, rows)
        return content

    def _choose_stop(self, content: dict[str, Any], rows: int) -> None:
        """Hold ratings out to stop on, or set the epochs; a start model decides by what it was trained on itself."""
        train, before = content["train"], self.start.about["trained_on"][-1:] if self.start else [{"kind": "fraction"}]
        if train["goal"] == "ratings" and rows >= FEW_RATINGS and before and before[0]["kind"] == "fraction":
            content["split"] = {"kind": "fraction", "fraction": HELD_OUT}
            return
        content["split"] = {"kind": "none"}
        if "stop_on" in train or train.get("method", "als") not in ("als", "sgd"):
            return
        train["stop_on"] = "nothing"
        if self.start is not None:
            train.setdefault("epochs", WARM_EPOCHS)
        elif train["goal"] == "ratings":
            train.setdefault("epochs", EPOCHS)

    def _saved_start(self, has_validation: bool) -> Model:
        """Return the start model; with new validation ratings, without a list of its own training ratings.

        Their files are gone, so nobody could look for the validation ratings in them: they are the caller's to choose.
        """
        assert self.start is not None
        return replace(self.start, about={**self.start.about, "trained_on": []}) if has_validation else self.start
