"""What a model has seen: the ratings that it, and the models it started from, were trained on.

Covers: a model as something to start from or to compare with, what its model.json says of its ancestry, and whether
that can touch the validation ratings of a new run.
Does not cover: finding the ratings (tasks/dataset/trained_pairs.py), starting from a model
(pipeline/training/warm_start.py), or comparing with one (pipeline/stages/gate.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.store import Store, content_id
from funkflow.pipeline.settings.sections import SplitSettings
from funkflow.tasks.dataset.trained_pairs import TrainedRatings
from funkflow.tasks.model.about import About, read_about
from funkflow.tasks.storage.paths import absolute

LEAST_LEFT = 0.5
"""Part of the validation ratings that a model must not have been trained on: what is left of them is no fair sample of
all ratings, and less so the smaller it is."""


@dataclass(frozen=True)
class Seen:
    """Ratings that a model was trained on: a dataset, without what a split held out of it.

    `kind`, `fraction`, `seed`, `slice_fraction` : how it did; `id_types` : of raw users and raw items; `root` : where
    both lie; empty where that is not known.
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
        """Say whether nothing that the split holds out can be among them, whatever the data are.

        A hash of seed and raw ids decides, so a rating that it holds out now was held out then: given the same seed,
        the same kind of ids, and fractions that are no larger.
        """
        both = self.kind == split.kind == "fraction"
        no_larger = split.fraction <= self.fraction and slice_fraction <= self.slice_fraction
        return both and no_larger and self.seed == split.seed and self.id_types == id_types

    def training(self) -> TrainedRatings | None:
        """Return where the ratings lie; None if they are not there any more."""
        if not self.root:
            return None
        store = Store(self.root)
        dataset = Dataset.published(store.dataset(self.dataset))
        split = Split.published(store.split(self.split))
        if dataset is None or split is None:
            return None
        held_out = [split.places(each.parts) for each in split.held_out.values()]
        return TrainedRatings(
            dataset.id_places,
            tuple(dataset.places(dataset.parts)),
            tuple(zip(*held_out, strict=True)) if held_out else ((),) * len(dataset.parts),
        )


@dataclass(frozen=True)
class Ancestor:
    """A saved model that a run starts from, or is compared with.

    `content` : an id of its numbers alone; `seen` : all that it and its own ancestors were trained on, its own last;
    None where it does not say. `name` : what messages call it. `folder` may be gone where only the rest is needed.
    """

    folder: str
    name: str
    content: str
    seen: tuple[Seen, ...] | None

    @classmethod
    def of(cls, folder: str, name: str = "") -> Ancestor:
        """Return the model in `folder`.

        Raises
        ------
        SettingsError, DamagedFile
            There is none, or its model.json is damaged.
        """
        about = read_about(folder)
        return cls(folder, name or folder, content_of(about), seen_by(folder, about))

    def may_have_seen(self, split: SplitSettings, slice_fraction: float, dataset: Dataset) -> list[Seen] | None:
        """Return what of its training the split does not keep apart by itself; None where the model does not say."""
        if self.seen is None:
            return None
        types = (dataset.user_id_type, dataset.item_id_type)
        return [each for each in self.seen if not each.is_apart_from(split, slice_fraction, types)]


def content_of(about: About) -> str:
    """Return an id of a model's numbers: the same wherever it lies, and whatever else is said of it."""
    sums = {side: [part["checksum"] for part in about["parts"][side]] for side in ("user", "item")}
    return content_id(what="model", parts=sums, mean=about["mean"], rank=about["rank"])


def seen_by(folder: str, about: About) -> tuple[Seen, ...] | None:
    """Return what a model and its ancestors were trained on; None where its model.json does not say."""
    if "trained_on" not in about:
        return None
    root = _root_of(folder)
    return tuple(
        Seen(**{**entry, "id_types": tuple(entry["id_types"]), "root": entry["root"] or root})
        for entry in about["trained_on"]
    )


def entry_of(seen: Seen, root: str) -> dict[str, Any]:
    """Return what model.json says of it; what lies under the model's own root goes without saying where."""
    return {**asdict(seen), "id_types": list(seen.id_types), "root": "" if seen.root == root else seen.root}


def _root_of(folder: str) -> str:
    """Return the root whose run left the model in `folder`; empty where it lies elsewhere."""
    place = absolute(folder).rstrip("/")
    root, *inner = place.rsplit("/", 3)
    return root if len(inner) == 3 and inner[0] == "runs" and inner[2] == "model" else ""
