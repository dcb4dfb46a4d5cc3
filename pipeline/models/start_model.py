"""The start model of a run, and the lines of model.json about it.

Covers: finding the start model: the one in use, or the one that train.warm_from names; the part of [train] that decides
the result, and the run's id.
Does not cover: the pointer to the model in use (pipeline/root/model_in_use.py), trained-on ratings (trained_on.py),
the warm start (pipeline/training/warm_start.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from funkflow.pipeline.models.trained_on import EarlierModel, RatingsTrainedOn, entry_of_ratings, trained_on_by
from funkflow.pipeline.progress.events import Listener, Noticed
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.model_in_use import model_of, read_current, run_of
from funkflow.pipeline.root.store import content_id
from funkflow.pipeline.settings.methods import without_effect
from funkflow.pipeline.settings.sections import Settings, TrainSettings
from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.model.about import About, read_about
from funkflow.tasks.storage import files
from funkflow.tasks.storage.paths import absolute
from funkflow.tasks.versions import ALGORITHM_VERSION

_PURPOSES = {"ratings": "ratings", "ranking": "a ranking"}


def relevant(settings: TrainSettings) -> dict[str, object]:
    """Return the settings of [train] that decide the result, without those of the start model."""
    idle: Any = {
        "checkpoint_epochs": True, "warm_start": True, "warm_from": True, "batch": {"checkpoint_steps"},
        "stop_by": True,  # where it decides, a run's id has the numbers of its rule
    }  # fmt: skip
    if not settings.weighs_missing_cells:
        idle["goal"] = True
    idle |= dict.fromkeys(without_effect(settings.method, type(settings).model_fields), True)
    return settings.model_dump(exclude=idle)


@dataclass(frozen=True)
class RunStart:
    """The start of a run.

    `asked` : an id of data and settings. If the model in use is the result of the same data and settings, the run has
    its start model, so it is the same run, and not one more on top of it.
    `trained_on` : the run's own trained-on ratings, by the split before pipeline/stages/leakage.py.
    """

    root: str
    asked: str
    model: EarlierModel | None
    trained_on: RatingsTrainedOn

    @classmethod
    def of(
        cls, root: str, settings: Settings, dataset: Dataset, split: Split, slice_fraction: float,
        notify: Listener,
    ) -> RunStart:  # fmt: skip
        """Return the start of a run on this dataset and split.

        Raises
        ------
        SettingsError
            train.warm_from names no model.
        """
        asked = content_id(
            what="asked", dataset=dataset.id, split=split.id, grid=settings.grid.model_dump(),
            train=relevant(settings.train),
        )  # fmt: skip
        chosen, types = settings.split, (dataset.user_id_type, dataset.item_id_type)
        trained_on = RatingsTrainedOn(
            dataset=dataset.id, split=split.id, kind=chosen.kind, fraction=chosen.fraction, seed=chosen.seed,
            slice_fraction=slice_fraction, id_types=types, root=root,
        )  # fmt: skip
        train = settings.train
        if not train.warm_start:
            return cls(root, asked, None, trained_on)
        model = _model_named(root, train.warm_from) if train.warm_from else _in_use(root, train.goal, asked, notify)
        if model is not None and files.exists(files.join(model.folder, "model.json")):
            # A start model of long ago may no longer exist.
            refuse_unfit(model, train, dataset, settings.ingest.transform)
        return cls(root, asked, model, trained_on)

    def run_id(self, grid_id: str, train: TrainSettings, steps: dict[str, Any], numbers: dict[str, Any]) -> str:
        """Return the run's id, of all that its result depends on.

        steps : the numbers of stochastic descent; numbers : those of the method's own rule, {} if it has none.
        """
        return content_id(
            grid=grid_id,
            train=relevant(train),
            steps=steps,
            algorithm=ALGORITHM_VERSION,
            **({"numbers": numbers} if numbers else {}),
            **({"start": self.model.content} if self.model else {}),
        )

    def content(self, split_id: str) -> dict[str, object]:
        """Return the lines of model.json; `split_id` : of the split that training used."""
        before = self.model.trained_on or () if self.model else ()
        own = entry_of_ratings(self.trained_on, self.root)
        entries = [*(entry_of_ratings(each, self.root) for each in before), {**own, "split": split_id}]
        return {
            "asked": self.asked,
            "start": self.model and {
                "model": self.model.folder.removeprefix(f"{self.root}/"),
                "name": self.model.name,
                "content": self.model.content,
            },
            "trained_on": [entry for number, entry in enumerate(entries) if entry not in entries[:number]],
        }  # fmt: skip


def refuse_unfit(model: EarlierModel, settings: TrainSettings, dataset: Dataset, transform: str) -> None:
    """Raise SettingsError if training with these settings cannot start from a model."""
    about, name = read_about(model.folder), model.name
    _refuse_other_purpose(about, name, settings, dataset)
    settings_of_model = {
        "rank": about["rank"],
        "biases": about.get("biases", True),
        "center": about.get("settings", {}).get("train", {}).get("center", True),
    }
    for setting, value in settings_of_model.items():
        if value != (own := getattr(settings, setting)):
            as_toml = str(value).lower()
            raise SettingsError(
                f"train.{setting} is {str(own).lower()}, but {as_toml} in the start model, {name}: set "
                f"train.{setting} = {as_toml}, or train.warm_start = false to start from scratch"
            )
    if about.get("transform", "none") != transform:
        raise SettingsError(
            f"ingest.transform is {transform}, but {about.get('transform', 'none')} in the start model, {name}: use "
            "that transform, or set train.warm_start = false"
        )
    if about["id_types"] != dataset.id_types:
        raise SettingsError(
            f"raw ids are {about['id_types']} in the start model, {name}, and {dataset.id_types} in the ratings, so no "
            "row would match: set ingest.id_type, or train.warm_start = false"
        )


def _refuse_other_purpose(about: About, name: str, settings: TrainSettings, dataset: Dataset) -> None:
    """Raise SettingsError if the scores of a model mean something else than those of training with these settings."""
    whose = f"the start model, {name},"
    remedy = "name another model with train.warm_from, or set train.warm_start = false"
    goal = about.get("goal", "ratings")
    if goal != settings.goal:
        raise SettingsError(
            f"train.goal = {settings.goal}, but {whose} was trained for {_PURPOSES[goal]}: set train.goal to {goal}, "
            f"{remedy}"
        )
    if bool(about.get("alpha")) != settings.weighs_missing_cells:
        did, does = ("did not", "does") if settings.weighs_missing_cells else ("did", "does not")
        raise SettingsError(
            f"the training of {whose} {did} count missing cells as 0, and this one {does}, so scores would change "
            f"meaning: {remedy}"
        )
    if about.get("counts", False) != dataset.counts:
        was, now = ("ratings", "counts or likes") if dataset.counts else ("counts or likes", "ratings")
        raise SettingsError(f"{whose} was trained on {was}, and these are {now}: {remedy}")


def _model_named(root: str, name: str) -> EarlierModel:
    """Return the model in a folder of that name, or of the run whose id begins with it."""
    if files.exists(files.join(name, "model.json")):
        return EarlierModel.of(absolute(name))
    try:
        run_id = run_of(root, name)
    except SettingsError as cause:
        raise SettingsError(
            f"train.warm_from = {name!r}: neither the folder of a saved model (with model.json) nor a run of {root}"
        ) from cause
    return EarlierModel.of(model_of(root, run_id), f"run {run_id}")


def _in_use(root: str, goal: str, asked: str, notify: Listener) -> EarlierModel | None:
    """Return the model in use for a goal; if it is the result of the same data and settings, its start model."""
    now = read_current(root)
    current = now.used_for(goal) if now else None
    if current is None:
        notify(Noticed("no model is in use yet, so training starts without one"))
        return None
    folder = model_of(root, current.run_id)
    try:
        about = read_about(folder)
    except (SettingsError, DamagedFile) as damage:
        notify(Noticed(f"the model in use is incomplete, so training starts without it: {damage}", warning=True))
        return None
    if about.get("asked") != asked:
        return EarlierModel.of(folder, f"run {current.run_id}")
    start, trained_on = about["start"], trained_on_by(folder, about)
    if start is None:
        return None
    place = start["model"]
    whole = place if "://" in place or os.path.isabs(place) else files.join(root, place)
    return EarlierModel(whole, start["name"], start["content"], trained_on and trained_on[:-1])
