"""A training job: what every method of training gets.

Covers: the job, the folders of its files, and the model that it may start from.
Does not cover: what a method does with it (methods/).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.models.trained_on import EarlierModel
from funkflow.pipeline.root.manifests import Dataset, Grid
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.pipeline.training.placed_grid import GridSource, PlacedGrid
from funkflow.tasks.model.about import Place
from funkflow.tasks.serving.rank_sample import SampleRule
from funkflow.tasks.storage import files


@dataclass(frozen=True)
class WarmStart:
    """The model that training starts from, and the dataset whose raw ids tell which rows the model has."""

    model: EarlierModel
    dataset: Dataset


@dataclass(frozen=True)
class TrainingJob:
    """A grid to factorise, on a cluster, with settings.

    Attributes
    ----------
    scale : least and greatest rating; predictions are clipped to them.
    run_folder : where checkpoints and the training manifest go.
    streamed : each task reads the blocks that it needs, instead of workers holding all of them: slower, the same bits.
    warm : the model to start from; None: small random numbers.
    ranked : how rankings are measured after each epoch; None: they are not.
    placed : the grid as it lies on the workers already; None: it does not.
    features : of "user" and "item", where the dataset has them (tasks/dataset/feature_rows.py).
    times : the effects of time, as `calendar_of` takes them (tasks/training/times/row_days.py).
    """

    context: Context
    grid: Grid
    scale: tuple[float, float]
    settings: TrainSettings
    run_folder: str
    streamed: bool = False
    warm: WarmStart | None = None
    ranked: SampleRule | None = None
    placed: PlacedGrid | None = None
    features: Mapping[str, Place] = field(default_factory=dict)
    times: str = "none"

    @property
    def stop_on(self) -> str | None:
        """The name of the held-out ratings that early stopping uses; None: there are none."""
        return None if self.settings.stop_on == "nothing" else self.settings.stop_on

    @property
    def source(self) -> GridSource:
        """The files that workers load."""
        return GridSource(self.grid, self.stop_on, self.streamed, days=self.times != "none" and bool(self.grid.days))

    @property
    def folder(self) -> str:
        """The folder of the training manifest."""
        return files.join(self.run_folder, "training")
