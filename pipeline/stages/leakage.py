"""Leakage: leave ratings out of validation that the start model was trained on.

Covers: whether there can be such ratings, leaving them out, and the refusal if too few others remain or nobody can
tell.
Does not cover: the split (split.py), or finding the ratings (tasks/dataset/trained_pairs.py).

They would make the new model look better than it is, as it keeps what the start model learnt from them. They are not
training ratings either, as the split holds them out.
"""

from __future__ import annotations

import time

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.saved_scores import met_by
from funkflow.pipeline.models.trained_on import LEAST_LEFT, EarlierModel
from funkflow.pipeline.progress.events import Noticed, StageFinished, StageStarted
from funkflow.pipeline.root import store
from funkflow.pipeline.root.manifests import Dataset, HeldOutParts, Split
from funkflow.pipeline.settings.sections import SplitSettings
from funkflow.tasks.dataset.hold_out import HeldOutEntry
from funkflow.tasks.dataset.trained_pairs import TrainedRatings, split_by_training
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.storage import files

_STAGE = "unseen"


def unseen(
    context: Context,
    dataset: Dataset,
    split: Split,
    ancestor: EarlierModel,
    settings: SplitSettings,
    slice_fraction: float,
) -> Split:
    """Return the split without held-out ratings that `ancestor` or its own ancestors were trained on.

    Raises
    ------
    SettingsError
        Nobody can tell which these are, or more than half of the validation ratings would go.
    """
    risky = ancestor.may_include(settings, slice_fraction, dataset)
    remedy = "use the split of its run, or set train.warm_start = false"
    if risky is None:
        raise SettingsError(
            f"{ancestor.name} does not record its training ratings, so validation ratings may be among them: start "
            "from a model in the root of its run, or set train.warm_start = false"
        )
    if not risky or not (split.validation.ratings or split.slice):
        return split
    began = time.monotonic()
    trainings = [found for each in risky if (found := each.training()) is not None]
    if len(trainings) < len(risky):
        raise SettingsError(
            f"{ancestor.name} used another split, and its training ratings are gone (dataset "
            f"{', '.join(each.dataset for each in risky)}), so validation ratings may be among them: {remedy}"
        )
    identity = store.content_id(what="unseen", split=split.id, seen=[[each.dataset, each.split] for each in risky])
    folder = context.store.split(identity)
    made = Split.published(folder)
    reused = made is not None
    if made is None:
        context.notify(StageStarted(_STAGE, len(dataset.parts)))
        with store.nothing_half_written(folder):
            files.remove_tree(folder)
            parted = _part_held_out(context, dataset, split, trainings, folder)
            trained_on = HeldOutParts.of(parted["trained_on_validation"])
            made = Split(
                folder=folder, id=identity, dataset=split.dataset, split=split.split,
                training_ratings=split.training_ratings, duplicates=split.duplicates, unknown=split.unknown,
                validation=HeldOutParts.of(parted["validation"]), lost=trained_on.ratings,
                slice=HeldOutParts.of(parted["slice"]) if split.slice else None, trained_on_validation=trained_on,
                trained_on_slice=HeldOutParts.of(parted["trained_on_slice"]) if split.slice else None,
                absent=frozenset({"training", "parts_kept", "cold", "given"}),
            )  # fmt: skip
            made = made.publish([part.path for held_out in made.held_out.values() for part in held_out.parts])
    lost, left = made.lost, made.validation.ratings
    sentence = f"{ancestor.name}, or its own start model, was trained on {lost:,} of {lost + left:,} validation ratings"
    if left < LEAST_LEFT * (lost + left):
        raise SettingsError(f"{sentence}, too many to leave out: {remedy}")
    if made.slice and not made.slice.ratings:
        raise SettingsError(
            f"{ancestor.name}, or its own start model, was trained on the whole early-stopping slice: "
            'set train.stop_on = "validation" or "nothing", or train.warm_start = false'
        )
    if lost:
        context.notify(Noticed(f"{sentence}; this run neither trains nor validates on them", warning=True))
    context.notify(StageFinished(_STAGE, time.monotonic() - began, f"{left:,} validation ratings left", reused))
    return made


def _part_held_out(
    context: Context, dataset: Dataset, split: Split, trainings: list[TrainedRatings], folder: str
) -> dict[str, list[HeldOutEntry]]:
    """Divide the held-out ratings in those that the model was trained on, and the others; return their files."""
    count = len(dataset.parts)
    scratch = context.store.scratch(f"unseen-{context.attempt}")
    parted: dict[str, list[HeldOutEntry]] = {}
    with store.nothing_half_written(temporary=(scratch,)):
        met, items = met_by(context, _STAGE, dataset, trainings, scratch)
        for name, whole in (("validation", split.validation), ("slice", split.slice)):
            jobs = [
                (place, (number, count), met, items, folder, name)
                for number, place in enumerate(split.places(whole.parts) if whole else [])
            ]
            kept = run_all(context, _STAGE, f"part-{name}", split_by_training, jobs)
            parted[name], parted[f"trained_on_{name}"] = ([each[which] for each in kept] for which in ("kept", "met"))
    return parted
