"""Gate: whether a new model may replace the one in use.

Covers: what is asked of it (finite numbers, enough ratings, better than biases alone, not worse than the model in use),
on which ratings that is measured, and the refusal.
Does not cover: moving the pointer (runtime/current.py), errors of single ratings (tasks/compare_models.py).

Validation ratings that the model in use was trained on would make it look better than it is, so they count for neither
model. Where nobody can tell which these are, or hardly any is left, or the model in use is one of other data, there is
no fair comparison, and the new model is refused: `funkflow promote` is for whoever knows better.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from pipeline.runtime.ancestry import LEAST_LEFT, Ancestor, places_of_ids
from pipeline.runtime.context import Context, run_all
from pipeline.runtime.events import Noticed, StageFinished, StageStarted
from pipeline.settings import GateSettings, SplitSettings
from tasks import files
from tasks.compare_models import Compared, compare_on, is_finite
from tasks.errors import DamagedFile, ModelRefused, SettingsError
from tasks.model_about import part_files, read_about, refuse_missing_parts

_STAGE = "gate"


@dataclass(frozen=True)
class Candidate:
    """A new model, and what it was made of: the manifests of its dataset, split and grid, and its evaluation."""

    run_id: str
    folder: str
    dataset: dict[str, Any]
    split: dict[str, Any]
    grid: dict[str, Any]
    evaluation: dict[str, Any]


def gate(
    context: Context, new: Candidate, current: tuple[str, str] | None, settings: GateSettings, split: SplitSettings
) -> dict[str, Any]:
    """Return what was found, as the run's record has it; nothing where the model is in use already.

    Parameters
    ----------
    current : run id and model folder of the model in use; None where there is none.

    Raises
    ------
    ModelRefused
        With what was asked and found.
    """
    began = time.monotonic()
    if current is not None and current[0] == new.run_id:
        context.tell(StageFinished(_STAGE, 0.0, f"{new.run_id} is in use already", reused=True))
        return {}
    context.tell(StageStarted(_STAGE))
    found: dict[str, Any] = {"training_ratings": new.grid["ratings"]}
    if new.grid["ratings"] < settings.ratings_at_least:
        raise _refused(
            new, f"{new.grid['ratings']:,} training ratings, and gate.ratings_at_least = {settings.ratings_at_least:,}"
        )
    _refuse_infinite(context, new)
    if settings.beats_biases:
        model, biases = (new.evaluation[name]["rmse"] for name in ("model", "biases"))
        if model >= biases:
            raise _refused(new, f"its RMSE is {model:.4f}, that of the biases alone {biases:.4f} (gate.beats_biases)")
    summary = f"{new.run_id} passes"
    if settings.rmse_worse_by_at_most is not None and current is not None:
        compared = _compared(context, new, *current, split)
        if compared is not None:
            found |= _verdict(new, current[0], compared, settings.rmse_worse_by_at_most)
            summary = f"{summary}: {found['said']}"
    context.tell(StageFinished(_STAGE, time.monotonic() - began, summary))
    return found


def _verdict(new: Candidate, current_id: str, compared: Compared, allowed: float) -> dict[str, Any]:
    """Return the comparison in numbers; raise if the new model is worse by more than is allowed."""
    before, now = compared.older.rmse, compared.newer.rmse
    said = (
        f"RMSE {now:.4f}, that of {current_id} {before:.4f} on the same {compared.newer.ratings:,} validation ratings, "
        f"{compared.unknown:,} of them of users or items that it does not know"
    )
    if now > before + allowed:
        raise _refused(new, f"{said}, which is worse by more than gate.rmse_worse_by_at_most = {allowed:g}")
    return {
        "compared_with": current_id, "rmse": now, "rmse_before": before, "ratings": compared.newer.ratings,
        "trained_on": compared.trained_on, "unknown": compared.unknown, "said": said,
    }  # fmt: skip


def _refuse_infinite(context: Context, new: Candidate) -> None:
    about = read_about(new.folder)
    for side in ("user", "item"):
        parts = part_files(new.folder, side, about)
        finite = run_all(context, _STAGE, f"finite-{side}", is_finite, [(part, about["rank"]) for part in parts])
        for (url, _), is_so in zip(parts, finite, strict=True):
            if not is_so:
                raise _refused(new, f"{url} holds numbers that are not finite")


def _compared(context: Context, new: Candidate, current_id: str, folder: str, split: SplitSettings) -> Compared | None:
    """Score both models; None, and said, where the one in use is not whole: then there is nothing to protect."""
    try:
        about = read_about(folder)
        refuse_missing_parts(folder, about)
    except (SettingsError, DamagedFile) as damage:
        context.tell(Noticed(f"the model in use is not whole, so {new.run_id} is not compared: {damage}", warning=True))
        return None
    types = {side: new.dataset[f"{side}_id_type"] for side in ("user", "item")}
    if about["id_types"] != types:
        raise _refused(
            new, f"the model in use, {current_id}, is one of other data: its ids are {about['id_types']}, not {types}"
        )
    # What an earlier model stopped on is none of its training, and no slice counts for a comparison.
    ancestor = Ancestor.of(folder, current_id)
    risky = ancestor.may_have_seen(split, 0.0, new.dataset)
    trainings = None if risky is None else [found for each in risky if (found := each.training()) is not None]
    if risky is None or trainings is None or len(trainings) < len(risky):
        raise _refused(
            new,
            f"it cannot be known which of its validation ratings the model in use, {current_id}, was trained on: its "
            "dataset or split are not there any more, and it was split otherwise",
        )
    home, ids = context.store.split(new.split["id"]), places_of_ids(context.store, new.dataset)
    jobs = [
        ((files.join(home, part["path"]), part["checksum"]), ids, trainings, folder, new.folder)
        for part in new.split["validation"]["parts"]
    ]
    compared = sum(run_all(context, _STAGE, "compare", compare_on, jobs), Compared())
    _refuse_unfair(context, new, current_id, compared)
    return compared


def _refuse_unfair(context: Context, new: Candidate, current_id: str, compared: Compared) -> None:
    scored = compared.newer.ratings
    of_all = f"{compared.trained_on:,} of {scored + compared.trained_on:,} validation ratings"
    if not scored or scored < LEAST_LEFT * (scored + compared.trained_on):
        raise _refused(
            new, f"the model in use, {current_id}, was trained on {of_all}, which leaves too few to compare both on"
        )
    if not compared.known:
        raise _refused(
            new,
            f"the model in use, {current_id}, is one of other data: of {scored:,} validation ratings it knows user and "
            "item of none",
        )
    if compared.trained_on:
        context.tell(
            Noticed(f"{of_all} count for neither model, as {current_id}, in use now, was trained on them", warning=True)
        )


def _refused(new: Candidate, why: str) -> ModelRefused:
    return ModelRefused(
        f"model of run {new.run_id} refused by its gate: {why}; the model in use stays, and "
        f"funkflow promote {new.run_id} puts the new one to use all the same"
    )
