"""Ranking: how well lists of items match the validation ratings, at one or several lengths, beside RMSE and MAE.

Covers: the sample of users, one task for each part of the dataset, the means over users, and what stands beside the
model: the items with the most ratings, and the expectation of a random order.
Does not cover: the sums of one part (tasks/serving/rank_part.py), the measures (tasks/serving/ranking_measures.py), the
choice of items (tasks/serving/top_items.py).

A model of ratings predicts what users think of an item, not which items they come across. In real sets these go
together. In a synthetic set, users rate films at random, whatever their taste (tasks/synthetic/netflix_text.py), so
their validation ratings are hardly ever among the best unseen films, and even the planted truth ranks no better than
the most rated films.
"""

from __future__ import annotations

import math
import time
from typing import Any, cast

from funkflow.pipeline.cluster.context import Context, run_all, submit_shared
from funkflow.pipeline.datasets.rating_counts import rating_counts
from funkflow.pipeline.models.on_workers import submit_served
from funkflow.pipeline.progress.events import Noticed, StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.model_manifests import RankingScores
from funkflow.pipeline.root.result import RANKING_MEASURES, RankingResult
from funkflow.pipeline.root.store import content_id
from funkflow.pipeline.settings.ranking import MOST_RANKED, RankingSettings
from funkflow.tasks.model.about import read_about
from funkflow.tasks.serving.rank_part import PartRankings, least_relevant, most_rated, rank_part
from funkflow.tasks.storage import files
from funkflow.tasks.transform import as_ratings

_STAGE = "ranking"
_SHOWN = ("count", "users", *RANKING_MEASURES, "most_rated", "random", "also")


def ranking(
    context: Context, dataset: Dataset, split: Split, model_folder: str, settings: RankingSettings, run_folder: str
) -> RankingResult:
    """Measure how the model ranks items; {} if that is turned off, or no validation rating is relevant."""
    if not settings.count or not split.validation.ratings:
        return {}
    started = time.monotonic()
    about = read_about(model_folder)
    parts, transform = about["parts"], about.get("transform", "none")
    threshold = least_relevant(dataset.bounds, dataset.counts, settings.threshold, transform)
    folder = files.join(run_folder, "ranking")
    identity = content_id(
        what="ranking, beside the most rated and a random order",
        model=parts,
        split=split.id,
        lengths=settings.lengths,
        users=_most(settings),
        threshold=threshold,
    )
    scores = RankingScores.published(folder)
    reused = scores is not None and scores.id == identity
    if scores is None or not reused:
        context.check_fits(_STAGE)
        measured = _measure(context, dataset, split, model_folder, settings, threshold=threshold)
        scores = RankingScores.from_content(folder, {"id": identity, "threshold": threshold, **measured}).publish()
    if not scores.users:
        shown = as_ratings(threshold, transform)
        context.notify(Noticed(f"no validation rating is {shown:g} or more, so rankings cannot be measured"))
        return {}
    measures = f"precision {scores.precision:.4f}, recall {scores.recall:.4f}, NDCG {scores.ndcg:.4f}"
    summary = f"{measures} at {settings.count}, {_users_of(scores, dataset, settings)}"
    context.notify(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    found = {name: value for name, value in scores.content().items() if name in _SHOWN}
    return cast(RankingResult, {**found, "threshold": float(as_ratings(threshold, transform))})


def _measure(
    context: Context, dataset: Dataset, split: Split, model_folder: str, settings: RankingSettings, threshold: float
) -> dict[str, Any]:
    """Return the measures of the model, the most rated items and a random order, on the first parts.

    Parts divide users by a hash, so the first parts are a sample of all users. Half of their users are expected to have
    relevant validation ratings.
    """
    there, wanted = len(dataset.parts), _most(settings)
    needed = -(-2 * wanted * there // max(1, dataset.users)) if wanted else there
    numbers = range(min(there, needed))
    shares = [wanted * (number + 1) // len(numbers) - wanted * number // len(numbers) for number in numbers]
    context.notify(StageStarted(_STAGE, len(numbers)))
    served = submit_served(context, _STAGE, model_folder)
    stored = list(zip(dataset.part_places, split.validation_places, strict=True))
    counts = rating_counts(context, _STAGE, dataset, split)
    popular = submit_shared(context, "most-rated", most_rated, served, counts.place("items"), counts.trained_users)
    jobs = [((served, popular), *stored[n], threshold, settings.lengths, shares[n]) for n in numbers]
    ranked = run_all(context, _STAGE, "rank", rank_part, jobs)
    total = sum(ranked[1:], ranked[0])
    first, *further = _at_each_length(total, settings.lengths, dataset.items)
    return {**first, **({"also": further} if further else {}), "users": total.model[0].users}


def _most(settings: RankingSettings) -> int:
    """Return how many users to measure at most; 0: all."""
    return MOST_RANKED if settings.users is None else settings.users


def _users_of(scores: RankingScores, dataset: Dataset, settings: RankingSettings) -> str:
    """Return how many users were measured and, of a sample, how far off a mean can be."""
    if not 0 < _most(settings) < dataset.users:
        return f"{scores.users:,} users"
    error = 0.5 / math.sqrt(scores.users)
    return f"{scores.users:,} of {dataset.users:,} users, standard error at most {error:.4f}"


def _at_each_length(total: PartRankings, lengths: tuple[int, ...], items: int) -> list[dict[str, Any]]:
    """Return the means of all sides at each length."""
    return [
        {
            "count": length,
            **total.model[place].means(items),
            "most_rated": total.most_rated[place].means(items),
            "random": total.random[place].means(items),
        }
        for place, length in enumerate(lengths)
    ]
