"""Ranking: precision, recall and NDCG of the best items on the validation ratings, beside RMSE and MAE.

Covers: which users it is measured on, one task a part of the dataset, and the means over users.
Does not cover: the sums of one part (tasks/recommend.py), the choice of items (tasks/top_items.py).
"""

from __future__ import annotations

import time
from typing import Any

from pipeline.runtime.context import Context, run_all
from pipeline.runtime.events import Noticed, StageFinished, StageStarted
from pipeline.runtime.serving import stored_part, submit_served
from pipeline.runtime.store import content_id, publish, published
from pipeline.settings import RankingSettings
from tasks import files
from tasks.model import read_about
from tasks.recommend import rank_part

_STAGE = "ranking"
_RELEVANT_PART = 0.75


def ranking(
    context: Context, dataset: dict[str, Any], split: dict[str, Any], model_folder: str, settings: RankingSettings,
    scale: tuple[float, float], run_folder: str,
) -> dict[str, Any]:  # fmt: skip
    """Return {"count", "threshold", "users", "precision", "recall", "ndcg"}: means over users.

    Returns
    -------
    {} where it is turned off, or there is no validation rating that counts as relevant.
    """
    if not settings.count or not split["validation"]["ratings"]:
        return {}
    started = time.monotonic()
    least, greatest = scale
    threshold = settings.threshold if settings.threshold is not None else least + _RELEVANT_PART * (greatest - least)
    folder, parts = files.join(run_folder, "ranking"), read_about(model_folder)["parts"]
    identity = content_id(
        what="ranking", model=parts, split=split["id"], count=settings.count, users=settings.users, threshold=threshold
    )
    manifest = published(folder, "ranking")
    reused = manifest is not None and manifest["id"] == identity
    if manifest is None or not reused:
        context.afford(_STAGE)
        manifest = _measure(context, dataset, split, model_folder, parts, settings, threshold, folder, identity)
    if not manifest["users"]:
        context.tell(Noticed(f"no validation rating is {threshold:g} or more, so rankings cannot be measured"))
        return {}
    summary = f"precision {manifest['precision']:.4f}, recall {manifest['recall']:.4f}, NDCG {manifest['ndcg']:.4f}"
    said = f"{summary} at {settings.count}, {manifest['users']:,} users"
    context.tell(StageFinished(_STAGE, time.monotonic() - started, said, reused))
    return {name: manifest[name] for name in ("count", "threshold", "users", "precision", "recall", "ndcg")}


def _measure(
    context: Context, dataset: dict[str, Any], split: dict[str, Any], model_folder: str, parts: dict[str, Any],
    settings: RankingSettings, threshold: float, folder: str, identity: str,
) -> dict[str, Any]:  # fmt: skip
    """Measure on whole parts, which hold the users of a range of hashes: the first ones are a sample of all users."""
    there = len(dataset["parts"])
    needed = -(-settings.users * there // max(1, dataset["users"])) if settings.users else there
    numbers = range(min(there, needed))
    context.tell(StageStarted(_STAGE, len(numbers)))
    served = submit_served(context, _STAGE, model_folder, parts)
    jobs = [(served, *stored_part(context, dataset, split, number), threshold, settings.count) for number in numbers]
    sums = run_all(context, _STAGE, "rank", rank_part, jobs)
    total = sum(sums[1:], sums[0])
    users = max(1, total.users)
    return publish(
        folder, "ranking", id=identity, count=settings.count, threshold=threshold, users=total.users,
        precision=total.precision / users, recall=total.recall / users, ndcg=total.ndcg / users,
    )  # fmt: skip
