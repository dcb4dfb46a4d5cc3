"""Gate: whether a new model may replace the one in use.

Covers: the requirements (finite numbers, enough ratings, errors below those of the mean rating and the bias baseline,
and not worse than the model in use; of a ranking, better than the most rated items), the ratings for the comparison,
and the refusal.
Does not cover: moving the pointer (pipeline/root/model_in_use.py), the scores (pipeline/models/saved_scores.py).

Validation ratings that the model in use was trained on would make it look better than it is, so they count for neither
model. If nobody can tell which these are, or hardly any other is left, or the model in use has other data, there is no
fair comparison, and the gate refuses the new model; users who know better can promote it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.saved_scores import match_items, match_users, met_by, scored
from funkflow.pipeline.models.trained_on import LEAST_LEFT, EarlierModel
from funkflow.pipeline.models.usefulness import ranking_shortfall, shortfall
from funkflow.pipeline.progress.events import Noticed, StageFinished, StageStarted
from funkflow.pipeline.root.manifests import TrainingData
from funkflow.pipeline.root.result import GateResult, RankingResult
from funkflow.pipeline.root.store import nothing_half_written
from funkflow.pipeline.settings.sections import GateSettings, SplitSettings
from funkflow.tasks.dataset.trained_pairs import TrainedRatings
from funkflow.tasks.digits import distinct_figures
from funkflow.tasks.errors import DamagedFile, ModelRefused, SettingsError
from funkflow.tasks.evaluation.compare_models import ModelErrors, ModelPair, PairCounts, is_finite, place_in_both
from funkflow.tasks.model.about import part_files, read_about, refuse_missing_parts
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.storage import files

_STAGE = "gate"
_NOTHING_TO_ASK = 'split.kind = "none" leaves no validation ratings, so the gate skips gate.beats_biases'
_NO_RANKING_TO_ASK = "no ranking was measured, so the gate skips gate.beats_most_rated"


@dataclass(frozen=True)
class Candidate:
    """A new model, its data and its evaluation; of a model for recommendations also its ranking, None for ratings."""

    run_id: str
    folder: str
    data: TrainingData
    evaluation: Mapping[str, Any]
    ranking: RankingResult | None = None


def gate(
    context: Context, new: Candidate, current: tuple[str, str] | None, settings: GateSettings, split: SplitSettings
) -> GateResult:
    """Judge a new model; return {} where it is in use already.

    The function returns a refusal instead of raising it, so that the run can write its report before it ends.

    Parameters
    ----------
    current : run id and model folder of the model in use; None where there is none.

    Raises
    ------
    ModelRefused
        Its numbers are not finite, so there can be no report.
    """
    began = time.monotonic()
    if current is not None and current[0] == new.run_id:
        context.notify(StageFinished(_STAGE, 0.0, f"{new.run_id} is already in use", reused=True))
        return {}
    context.notify(StageStarted(_STAGE))
    if url := _infinite(context, new):
        raise refused(new.run_id, f"{url} contains NaN or infinite numbers")
    found: GateResult = {"training_ratings": new.data.grid.ratings}
    try:
        found |= _pass_or_refuse(context, new, current, settings, split)
        summary = ": ".join([f"{new.run_id} passes", *([found["said"]] if "said" in found else [])])
    except ModelRefused as refusal:
        found |= {"passed": False, "refusal": refusal.message}
        summary = f"{new.run_id} is refused"
    context.notify(StageFinished(_STAGE, time.monotonic() - began, summary))
    return found


def _pass_or_refuse(
    context: Context, new: Candidate, current: tuple[str, str] | None, settings: GateSettings, split: SplitSettings
) -> GateResult:
    """Return the comparison with the model in use, {} without one; raise ModelRefused for a failed requirement."""
    if new.data.grid.ratings < settings.ratings_at_least:
        raise ModelRefused(
            f"{new.data.grid.ratings:,} training ratings are fewer than "
            f"gate.ratings_at_least = {settings.ratings_at_least:,}"
        )
    if new.ranking is not None:
        return _ranks_or_refuse(context, new.ranking, settings)
    if settings.beats_biases:
        if not new.evaluation:
            context.notify(Noticed(_NOTHING_TO_ASK))
        if short := shortfall(new.evaluation):
            raise ModelRefused(f"{short} (gate.beats_biases)")
    if settings.rmse_worse_by_at_most is None or current is None:
        return {}
    compared = _compare_with_current(context, new, *current, split)
    return {} if compared is None else _verdict(current[0], compared, settings.rmse_worse_by_at_most)


def _ranks_or_refuse(context: Context, ranking: RankingResult, settings: GateSettings) -> GateResult:
    """Ask for the ranking alone; raise ModelRefused if it is no better than that of the most rated items."""
    if settings.beats_most_rated:
        if not ranking:
            context.notify(Noticed(_NO_RANKING_TO_ASK))
        if short := ranking_shortfall(ranking):
            raise ModelRefused(f"{short} (gate.beats_most_rated)")
    return {}


def _verdict(current_id: str, compared: ModelErrors, allowed: float) -> GateResult:
    """Return the comparison in numbers; raise if the new model is worse by more than `allowed`."""
    before, now = compared.older.rmse, compared.newer.rmse
    shown, shown_before = distinct_figures(now, before)
    sentence = (
        f"RMSE {shown} against {shown_before} for {current_id} on the same {compared.newer.ratings:,} validation "
        f"ratings; {current_id} lacks the user or item of {compared.counted.unknown:,}"
    )
    if now > before + allowed:
        raise ModelRefused(f"{sentence}: worse by more than gate.rmse_worse_by_at_most = {allowed:g}")
    return {
        "compared_with": current_id, "rmse": now, "rmse_before": before, "ratings": compared.newer.ratings,
        "trained_on": compared.counted.trained_on, "unknown": compared.counted.unknown, "said": sentence,
    }  # fmt: skip


def _infinite(context: Context, new: Candidate) -> str:
    """Return the first part of the model with a number that is not finite; "" if there is none."""
    about = read_about(new.folder)
    for side in ("user", "item"):
        parts = part_files(new.folder, side, about)
        finite = run_all(context, _STAGE, f"finite-{side}", is_finite, [(part, about["rank"]) for part in parts])
        for (url, _), is_so in zip(parts, finite, strict=True):
            if not is_so:
                return url
    return ""


def _compare_with_current(
    context: Context, new: Candidate, current_id: str, folder: str, split: SplitSettings
) -> ModelErrors | None:
    """Score both models; None, with a warning, if the model in use is incomplete and so protects nothing."""
    try:
        about = read_about(folder)
        refuse_missing_parts(folder, about)
    except (SettingsError, DamagedFile) as damage:
        context.notify(
            Noticed(
                f"the model in use is incomplete, so the gate does not compare {new.run_id}: {damage}", warning=True
            )
        )
        return None
    types = new.data.dataset.id_types
    if about["id_types"] != types:
        raise ModelRefused(
            f"the model in use, {current_id}, comes from other data: its ids are {about['id_types']}, not {types}"
        )
    own, of_other = (each.get("transform", "none") for each in (read_about(new.folder), about))
    if own != of_other:
        raise ModelRefused(
            f"errors do not compare: ingest.transform is {of_other} in the model in use, {current_id}, "
            f"and {own} in the new one"
        )
    # The slice that an earlier model stopped on is not among its training ratings, so it does not count.
    ancestor = EarlierModel.of(folder, current_id)
    risky = ancestor.may_include(split, 0.0, new.data.dataset)
    trainings = None if risky is None else [found for each in risky if (found := each.training()) is not None]
    if risky is None or trainings is None or len(trainings) < len(risky):
        raise ModelRefused(
            f"funkflow cannot tell which validation ratings the model in use, {current_id}, was trained on: it used "
            "another split, and its dataset or split is gone",
        )
    compared = _score_both(context, new, trainings, ModelParts.of(folder, about))
    _refuse_unfair(context, current_id, compared)
    return compared


def _score_both(context: Context, new: Candidate, trainings: list[TrainedRatings], older: ModelParts) -> ModelErrors:
    """Score both models on the validation ratings that none of `trainings` has, one model after the other."""
    context.check_fits(_STAGE)
    newer, dataset = ModelParts.of(new.folder, read_about(new.folder)), new.data.dataset
    scratch = context.store.scratch(f"gate-{context.attempt}")
    with nothing_half_written(temporary=(scratch,)):
        met, met_items = met_by(context, _STAGE, dataset, trainings, scratch)
        match_users(context, _STAGE, dataset, [older.users], [users := files.join(scratch, "users.arrow")])
        items = match_items(context, dataset, older.items)
        held_out = new.data.split.validation_places
        urls = [[files.join(scratch, f"{which}-{number:05d}.arrow") for number in range(len(held_out))]
                for which in ("older", "newer")]  # fmt: skip
        pair = ModelPair(users, older.user_counts, newer.user_counts, newer.item_counts)
        jobs = [
            (place, (number, len(dataset.parts)), met, met_items, pair, items, both)
            for number, (place, both) in enumerate(zip(held_out, zip(*urls, strict=True), strict=True))
        ]
        counted = sum(run_all(context, _STAGE, "place", place_in_both, jobs), PairCounts())
        errors = [
            scored(context, _STAGE, "compare", pieces, model)
            for pieces, model in zip(urls, (older, newer), strict=True)
        ]
        return ModelErrors(errors[0], errors[1], counted)


def _refuse_unfair(context: Context, current_id: str, compared: ModelErrors) -> None:
    scored = compared.newer.ratings
    of_all = f"{compared.counted.trained_on:,} of {scored + compared.counted.trained_on:,} validation ratings"
    if not scored or scored < LEAST_LEFT * (scored + compared.counted.trained_on):
        raise ModelRefused(
            f"the model in use, {current_id}, was trained on {of_all}, and too few are left to compare both models"
        )
    if not compared.counted.known:
        raise ModelRefused(
            f"the model in use, {current_id}, comes from other data: it lacks the user or item of each of {scored:,} "
            "validation ratings",
        )
    if compared.counted.trained_on:
        context.notify(
            Noticed(f"the gate ignores {of_all}: the model in use, {current_id}, was trained on them", warning=True)
        )


def refused(run_id: str, why: str) -> ModelRefused:
    """Return the error that ends the run of a refused model."""
    return ModelRefused(
        f"the gate refused the model of run {run_id}: {why}; the model in use stays. To promote the new one anyway: "
        f"funkflow promote {run_id}"
    )
