"""Which model a run starts from, and what its own model says of that.

Covers: finding the model (the one in use, or the one that is named), what is asked of a run apart from where it starts,
and the lines of model.json about ancestry.
Does not cover: the pointer to the model in use (pipeline/root/model_in_use.py), what an ancestor has seen
(trained_on.py), or starting (pipeline/training/warm_start.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from funkflow.pipeline.models.trained_on import Ancestor, Seen, entry_of, seen_by
from funkflow.pipeline.progress.events import Listener, Noticed
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.model_in_use import model_of, read_current, run_of
from funkflow.pipeline.root.store import content_id
from funkflow.pipeline.settings.methods import without_effect
from funkflow.pipeline.settings.sections import Settings, TrainSettings
from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.model.about import read_about
from funkflow.tasks.storage import files
from funkflow.tasks.storage.paths import absolute


def relevant(settings: TrainSettings) -> dict[str, Any]:
    """Return what of [train] decides the result, but for the model that training starts from."""
    idle: Any = {"checkpoint_epochs": True, "warm_start": True, "warm_from": True, "batch": {"checkpoint_steps"}}
    idle |= dict.fromkeys(without_effect(settings.method, type(settings).model_fields), True)
    return settings.model_dump(exclude=idle)


@dataclass(frozen=True)
class Lineage:
    """What a run has behind it.

    `asked` : an id of data and settings. The model in use may be what came of the very same: then a run starts from
    where that one started, which makes it the same run, and not one more on top of it.
    `seen` : what the model will have been trained on itself, by the split as it was before pipeline/stages/leakage.py.
    """

    root: str
    asked: str
    ancestor: Ancestor | None
    seen: Seen

    @classmethod
    def of(
        cls, root: str, settings: Settings, dataset: Dataset, split: Split, slice_fraction: float,
        notify: Listener,
    ) -> Lineage:  # fmt: skip
        """Return it for a run on this dataset and split (their manifests).

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
        seen = Seen(dataset.id, split.id, chosen.kind, chosen.fraction, chosen.seed, slice_fraction, types, root)
        train = settings.train
        if not train.warm_start:
            return cls(root, asked, None, seen)
        ancestor = _named(root, train.warm_from) if train.warm_from else _in_use(root, asked, notify)
        if ancestor is not None and files.exists(files.join(ancestor.folder, "model.json")):
            # One that was started from long ago may be gone.
            refuse_unfit(ancestor, train, dataset, settings.ingest.transform)
        return cls(root, asked, ancestor, seen)

    def told(self, split_id: str) -> dict[str, Any]:
        """Return what model.json says of it; `split_id` : of the split as it was trained with."""
        before = self.ancestor.seen or () if self.ancestor else ()
        own = entry_of(self.seen, self.root)
        entries = [*(entry_of(each, self.root) for each in before), {**own, "split": split_id}]
        return {
            "asked": self.asked,
            "start": self.ancestor and {
                "model": self.ancestor.folder.removeprefix(f"{self.root}/"),
                "name": self.ancestor.name,
                "content": self.ancestor.content,
            },
            "trained_on": [entry for number, entry in enumerate(entries) if entry not in entries[:number]],
        }  # fmt: skip


def refuse_unfit(ancestor: Ancestor, settings: TrainSettings, dataset: Dataset, transform: str) -> None:
    """Raise SettingsError if a model cannot be one that training with these settings goes on from."""
    about, name = read_about(ancestor.folder), ancestor.name
    theirs = {
        "rank": about["rank"],
        "biases": about.get("biases", True),
        "center": about.get("settings", {}).get("train", {}).get("center", True),
    }
    for setting, value in theirs.items():
        if value != getattr(settings, setting):
            raise SettingsError(
                f"train.{setting} = {getattr(settings, setting)}, but {name}, which train.warm_start begins from, has "
                f"{value}: set it to that, or train.warm_start = false for a run that begins anew"
            )
    if about.get("transform", "none") != transform:
        raise SettingsError(
            f"ingest.transform = {transform}, but {name}, which train.warm_start begins from, was trained with "
            f"{about.get('transform', 'none')}: set it to that, or train.warm_start = false"
        )
    if about["id_types"] != dataset.id_types:
        raise SettingsError(
            f"the raw ids of {name}, which train.warm_start begins from, are {about['id_types']}, those of the "
            f"ratings {dataset.id_types}, so no row would be known: set ingest.id_type, or train.warm_start = false"
        )


def _named(root: str, name: str) -> Ancestor:
    """Return the model in a folder of that name, or that of the run whose id begins so."""
    if files.exists(files.join(name, "model.json")):
        return Ancestor.of(absolute(name))
    try:
        run_id = run_of(root, name)
    except SettingsError as cause:
        raise SettingsError(
            f"train.warm_from = {name!r}: neither the folder of a saved model (with model.json) nor a run of {root}"
        ) from cause
    return Ancestor.of(model_of(root, run_id), f"run {run_id}")


def _in_use(root: str, asked: str, notify: Listener) -> Ancestor | None:
    """Return the model in use; or, where that is what came of the same data and settings, what it started from."""
    current = read_current(root)
    if current is None:
        notify(Noticed("no model is in use yet, so training starts without one"))
        return None
    folder = model_of(root, current.run_id)
    try:
        about = read_about(folder)
    except (SettingsError, DamagedFile) as damage:
        notify(Noticed(f"the model in use is not whole, so training starts without it: {damage}", warning=True))
        return None
    if about.get("asked") != asked:
        return Ancestor.of(folder, f"run {current.run_id}")
    start, seen = about["start"], seen_by(folder, about)
    if start is None:
        return None
    place = start["model"]
    whole = place if "://" in place or os.path.isabs(place) else files.join(root, place)
    return Ancestor(whole, start["name"], start["content"], seen and seen[:-1])
