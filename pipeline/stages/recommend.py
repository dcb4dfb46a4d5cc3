"""Recommend: the best unseen items of all users, or of some, to Parquet.

Covers: one task a slice of users, and the files that result.
Does not cover: what a user has rated (tasks/model/rated.py), the form of the files (tasks/serving/recommend.py), the
choice (tasks/serving/top_items.py).
"""

from __future__ import annotations

import time
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.on_workers import stored_parts, submit_served
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.store import content_id, nothing_half_written, publish, published
from funkflow.pipeline.settings.sections import RecommendSettings
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.rated import users_by_part
from funkflow.tasks.serving.recommend import RecommendationFile, recommend_part
from funkflow.tasks.storage import files

_STAGE = "recommend"


def recommend(
    context: Context, dataset: dict[str, Any], split: dict[str, Any], model_folder: str, settings: RecommendSettings,
    run_folder: str,
) -> str:  # fmt: skip
    """Write the `settings.count` best unseen items of every user; return the folder of the Parquet files.

    Columns: user, rank from 1, item, score: by raw ids, the score in rating units, not clipped. What a user has rated,
    in training or validation, is left out; who has rated nearly all gets fewer.

    Raises
    ------
    BadInput
        A user of `settings.users` is not in the data.
    """
    started = time.monotonic()
    folder = files.join(run_folder, "recommendations-chosen" if settings.users else "recommendations")
    parts = read_about(model_folder)["parts"]
    chosen = users_by_part(settings.users, context.store.dataset(dataset["id"]), dataset) if settings.users else {}
    identity = content_id(
        what="recommendations", model=parts, split=split["id"], count=settings.count, users=list(settings.users),
        batch=settings.batch_users,
    )  # fmt: skip
    manifest = published(folder, "recommendations")
    reused = manifest is not None and manifest["id"] == identity
    if manifest is None or not reused:
        context.afford(_STAGE)
        files.remove_tree(folder)
        with nothing_half_written(folder):
            written = _recommend(context, dataset, split, model_folder, parts, settings, chosen, folder)
            manifest = publish(
                folder, "recommendations", files=[part["path"] for part in written], id=identity, count=settings.count,
                users=sum(part["users"] for part in written), rows=sum(part["rows"] for part in written), parts=written,
            )  # fmt: skip
    summary = f"{manifest['rows']:,} items for {manifest['users']:,} users, in {folder}"
    context.tell(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    return folder


def _recommend(
    context: Context, dataset: dict[str, Any], split: dict[str, Any], model_folder: str, parts: dict[str, Any],
    settings: RecommendSettings, chosen: dict[int, list[int]], folder: str,
) -> list[RecommendationFile]:  # fmt: skip
    count = len(dataset["parts"])
    pieces = 1 if chosen else max(1, -(-dataset["users"] // (count * settings.batch_users)))
    numbers = sorted(chosen) if chosen else range(count)
    context.tell(StageStarted(_STAGE, len(numbers) * pieces))
    served = submit_served(context, _STAGE, model_folder, parts)
    stored = stored_parts(context, dataset, split, numbers)
    places = [(both, number, piece) for both, number in zip(stored, numbers, strict=True) for piece in range(pieces)]
    jobs = [
        (
            served, *both, (piece, pieces), chosen.get(number, []), settings.count,
            files.join(folder, "recommendations.parquet", f"part.{place:05d}.parquet"),
        )
        for place, (both, number, piece) in enumerate(places)
    ]  # fmt: skip
    return run_all(context, _STAGE, "recommend", recommend_part, jobs)
