"""Ranking: precision, recall and NDCG of the best items on the validation ratings, beside RMSE and MAE.

Covers: the sample of users, one task for each part of the dataset, the means over users, and the baseline: the items
with the most ratings.
Does not cover: the sums of one part (tasks/serving/recommend.py), the choice of items (tasks/serving/top_items.py).

A model of ratings predicts what users think of an item, not which items they come across. In real sets these go
together. In a synthetic set, users rate films at random, whatever their taste (tasks/synthetic/netflix_text.py), so
their validation ratings are hardly ever among the best unseen films, and even the planted truth ranks no better than
the most rated films.
"""

from __future__ import annotations

import time

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.on_workers import submit_served
from funkflow.pipeline.progress.events import Noticed, StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.model_manifests import RankingScores
from funkflow.pipeline.root.result import RANKING_MEASURES, RankingMeasures, RankingResult
from funkflow.pipeline.root.store import content_id
from funkflow.pipeline.settings.sections import RankingSettings
from funkflow.tasks.model.about import read_about
from funkflow.tasks.serving.recommend import Ranking, count_item_ratings, popularity_model, rank_part
from funkflow.tasks.storage import files
from funkflow.tasks.transform import as_ratings, transformed

_STAGE = "ranking"
_RELEVANT_PART = 0.75


def ranking(
    context: Context, dataset: Dataset, split: Split, model_folder: str, settings: RankingSettings, run_folder: str
) -> RankingResult:
    """Measure how the model ranks items; {} if that is turned off, or no validation rating is relevant."""
    if not settings.count or not split.validation.ratings:
        return {}
    started = time.monotonic()
    least, greatest = dataset.bounds
    about = read_about(model_folder)
    parts, transform = about["parts"], about.get("transform", "none")
    threshold = 0.0 if dataset.counts else least + _RELEVANT_PART * (greatest - least)
    if settings.threshold is not None:
        threshold = float(transformed(settings.threshold, transform))
    folder = files.join(run_folder, "ranking")
    identity = content_id(
        what="ranking, beside the most rated",
        model=parts,
        split=split.id,
        count=settings.count,
        users=settings.users,
        threshold=threshold,
    )
    scores = RankingScores.published(folder)
    reused = scores is not None and scores.id == identity
    if scores is None or not reused:
        context.check_fits(_STAGE)
        of_model, of_popular = _measure(context, dataset, split, model_folder, settings, threshold=threshold)
        measured = {"users": of_model.users, **_means(of_model), "most_rated": _means(of_popular)}
        asked = {"id": identity, "count": settings.count, "threshold": threshold}
        scores = RankingScores.from_content(folder, {**asked, **measured}).publish()
    if not scores.users:
        shown = as_ratings(threshold, transform)
        context.notify(Noticed(f"no validation rating is {shown:g} or more, so rankings cannot be measured"))
        return {}
    measures = f"precision {scores.precision:.4f}, recall {scores.recall:.4f}, NDCG {scores.ndcg:.4f}"
    summary = f"{measures} at {settings.count}, {scores.users:,} users"
    context.notify(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    popular = scores.most_rated
    return RankingResult(
        count=scores.count, users=scores.users,
        precision=scores.precision, recall=scores.recall, ndcg=scores.ndcg,
        most_rated=RankingMeasures(precision=popular.precision, recall=popular.recall, ndcg=popular.ndcg),
        threshold=float(as_ratings(threshold, transform)),
    )  # fmt: skip


def _measure(
    context: Context, dataset: Dataset, split: Split, model_folder: str, settings: RankingSettings, threshold: float
) -> tuple[Ranking, Ranking]:
    """Measure the model, and the most rated items, on the first parts.

    Parts divide users by a hash, so the first parts are a sample of all users.
    """
    there = len(dataset.parts)
    needed = -(-settings.users * there // max(1, dataset.users)) if settings.users else there
    numbers = range(min(there, needed))
    context.notify(StageStarted(_STAGE, there + len(numbers)))
    served = submit_served(context, _STAGE, model_folder)
    stored = list(zip(dataset.part_places, split.validation_places, strict=True))
    counts = run_all(context, _STAGE, "count", count_item_ratings, [(*each, dataset.items) for each in stored])
    popular = context.client.submit(popularity_model, served, *counts, key=f"most-rated-{context.attempt}", pure=False)
    jobs = [((served, popular), *stored[number], threshold, settings.count) for number in numbers]
    ranked = run_all(context, _STAGE, "rank", rank_part, jobs)
    of_model, of_popular = (sum(sums[1:], sums[0]) for sums in zip(*ranked, strict=True))
    return of_model, of_popular


def _means(total: Ranking) -> dict[str, float]:
    return {name: getattr(total, name) / max(1, total.users) for name in RANKING_MEASURES}
