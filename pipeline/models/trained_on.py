"""The ratings that a model, and the models it started from, were trained on.

Covers: an earlier model, its trained-on ratings in model.json, and whether these can include validation ratings of a
new run.
Does not cover: finding the ratings (tasks/dataset/trained_pairs.py), warm starts (pipeline/training/warm_start.py),
comparing models (pipeline/stages/gate.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.store import Store, content_id
from funkflow.pipeline.settings.sections import SplitSettings
from funkflow.tasks.dataset.trained_pairs import TrainedRatings
from funkflow.tasks.model.about import About, read_about
from funkflow.tasks.storage.paths import absolute

LEAST_LEFT = 0.5
"""Least part of the validation ratings that must be new to a model: the smaller the rest, the less it is a fair sample
of all ratings."""


@dataclass(frozen=True)
class RatingsTrainedOn:
    """Ratings that a model was trained on: a dataset without the validation ratings of a split.

    `kind`, `fraction`, `seed`, `slice_fraction` : of the split; `id_types` : of raw users and raw items; `root` : of
    both; empty if unknown.
    """

    dataset: str
    split: str
    kind: str
    fraction: float
    seed: int
    slice_fraction: float
    id_types: tuple[str, str]
    root: str

    def is_apart_from(self, split: SplitSettings, slice_fraction: float, id_types: tuple[str, str]) -> bool:
        """Return whether they cannot include any validation rating of a new split, whatever the data are.

        A hash of seed and raw ids selects those, so a validation rating of now was one then: given the same seed, the
        same types of ids, and fractions that are no larger.
        """
        both = self.kind == split.kind == "fraction"
        no_larger = split.fraction <= self.fraction and slice_fraction <= self.slice_fraction
        return both and no_larger and self.seed == split.seed and self.id_types == id_types

    def training(self) -> TrainedRatings | None:
        """Return the files of the ratings; None if they no longer exist."""
        if not self.root:
            return None
        store = Store(self.root)
        dataset = Dataset.published(store.dataset(self.dataset))
        split = Split.published(store.split(self.split))
        if dataset is None or split is None:
            return None
        # The rows of held-out users come from the ratings that are given.
        held_out = [split.places(each.parts) for name, each in split.held_out.items() if name != "given"]
        return TrainedRatings(
            dataset.id_places,
            tuple(dataset.places(dataset.parts)),
            tuple(zip(*held_out, strict=True)) if held_out else ((),) * len(dataset.parts),
        )


@dataclass(frozen=True)
class EarlierModel:
    """A saved model, as the start model of a run or for a comparison.

    `name` : for messages; `content` : an id of its numbers alone; `trained_on` : ratings of it and of the models before
    it, its own last; None if unknown. The model's `folder` may no longer exist.
    """

    folder: str
    name: str
    content: str
    trained_on: tuple[RatingsTrainedOn, ...] | None

    @classmethod
    def of(cls, folder: str, name: str = "") -> EarlierModel:
        """Return the model in `folder`.

        Raises
        ------
        SettingsError, DamagedFile
            There is no model, or its model.json is damaged.
        """
        about = read_about(folder)
        return cls(folder, name or folder, content_of(about), trained_on_by(folder, about))

    def may_include(
        self, split: SplitSettings, slice_fraction: float, dataset: Dataset
    ) -> list[RatingsTrainedOn] | None:
        """Return the trained-on ratings that can include validation ratings of a split; None if unknown."""
        if self.trained_on is None:
            return None
        types = (dataset.user_id_type, dataset.item_id_type)
        return [each for each in self.trained_on if not each.is_apart_from(split, slice_fraction, types)]


def content_of(about: About) -> str:
    """Return an id of a model's numbers, which does not depend on its folder or on the rest of model.json."""
    sums = {side: [part["checksum"] for part in about["parts"][side]] for side in ("user", "item")}
    return content_id(what="model", parts=sums, mean=about["mean"], rank=about["rank"])


def trained_on_by(folder: str, about: About) -> tuple[RatingsTrainedOn, ...] | None:
    """Return the trained-on ratings of a model and of those before it; None if model.json lacks them."""
    if "trained_on" not in about:
        return None
    root = _root_of(folder)
    return tuple(
        RatingsTrainedOn(**{**entry, "id_types": tuple(entry["id_types"]), "root": entry["root"] or root})
        for entry in about["trained_on"]
    )


def entry_of_ratings(ratings: RatingsTrainedOn, root: str) -> dict[str, object]:
    """Return the entry of model.json, without the root if it is the model's own."""
    return {**asdict(ratings), "id_types": list(ratings.id_types), "root": "" if ratings.root == root else ratings.root}


def _root_of(folder: str) -> str:
    """Return the root of the run whose model is in `folder`; empty if the folder is not a run's."""
    place = absolute(folder).rstrip("/")
    root, *inner = place.rsplit("/", 3)
    return root if len(inner) == 3 and inner[0] == "runs" and inner[2] == "model" else ""
