"""Recommend: the best unseen items of all users, or of some, and the items most similar to each item, as Parquet.

Covers: one task for each slice of users or of items, and the files.
Does not cover: rated items (tasks/model/rated.py), the form of the files (tasks/serving/recommend.py,
tasks/serving/similar_items.py), the choice (tasks/serving/top_items.py).
"""

from __future__ import annotations

import time

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.models.on_workers import submit_served
from funkflow.pipeline.models.usefulness import notice_of_goal
from funkflow.pipeline.progress.events import Noticed, StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.model_manifests import Recommendations, RecommendedPart, SimilarItems, SimilarPart
from funkflow.pipeline.root.store import content_id, nothing_half_written
from funkflow.pipeline.settings.sections import RecommendSettings
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.draws.orders import ItemOrder
from funkflow.tasks.model.rated import users_by_part
from funkflow.tasks.serving.recommend import DrawnOrder, recommend_part
from funkflow.tasks.serving.similar_items import PIECE_ITEMS, similar_part
from funkflow.tasks.storage import files

_STAGE, _SIMILAR = "recommend", "similar"


def recommend(
    context: Context, dataset: Dataset, split: Split, model_folder: str, settings: RecommendSettings, run_folder: str
) -> str:
    """Write the `settings.count` best unseen items of every user; return the folder of the Parquet files.

    Columns: user, rank from 1, item, score: by raw ids, the score in rating units, not clipped. Items that a user
    rated, in training or validation, are left out; users who rated nearly all items get fewer.

    Raises
    ------
    BadInput
        A user of `settings.users` is not in the data, or `settings.by` needs draws that the model does not have.
    """
    started = time.monotonic()
    folder = files.join(run_folder, "recommendations-chosen" if settings.users else "recommendations")
    chosen = users_by_part(settings.users, dataset.id_place("user"), len(dataset.parts)) if settings.users else {}
    drawn = DrawnOrder.checked(model_folder, ItemOrder(*settings.order))
    by = {"order": settings.order, "draws": read_about(model_folder)["draws"]["parts"]} if drawn else {}
    identity = content_id(
        what="recommendations", model=read_about(model_folder)["parts"], split=split.id, count=settings.count,
        users=list(settings.users), batch=settings.batch_users, **by,
    )  # fmt: skip
    manifest = Recommendations.published(folder)
    reused = manifest is not None and manifest.id == identity
    if notice := notice_of_goal(read_about(model_folder), "ranking"):
        context.notify(Noticed(notice))
    if manifest is None or not reused:
        context.check_fits(_STAGE)
        files.remove_tree(folder)
        with nothing_half_written(folder):
            numbers = sorted(chosen) if chosen else range(len(dataset.parts))
            pieces = 1 if chosen else max(1, -(-dataset.users // (len(dataset.parts) * settings.batch_users)))
            context.notify(StageStarted(_STAGE, len(numbers) * pieces))
            served = submit_served(context, _STAGE, model_folder)
            stored = list(zip(dataset.part_places, split.validation_places, strict=True))
            places = [(number, piece) for number in numbers for piece in range(pieces)]
            jobs = [
                (
                    served, *stored[number], (piece, pieces), chosen.get(number, []), settings.count,
                    files.join(folder, "recommendations.parquet", f"part.{place:05d}.parquet"), drawn,
                )
                for place, (number, piece) in enumerate(places)
            ]  # fmt: skip
            written = run_all(context, _STAGE, "recommend", recommend_part, jobs)
            parts = tuple(RecommendedPart.read(part) for part in written)
            manifest = Recommendations(
                folder=folder, id=identity, count=settings.count, parts=parts,
                users=sum(part.users for part in parts), rows=sum(part.rows for part in parts),
            ).publish([part.path for part in parts])  # fmt: skip
    summary = f"{manifest.rows:,} items for {manifest.users:,} users, in {folder}"
    context.notify(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    return folder


def similar(context: Context, model_folder: str, count: int, run_folder: str) -> str:
    """Write the `count` items most similar to each item; return the folder of the Parquet files.

    Columns: item, rank from 1, similar, cosine; by raw ids. Items without training ratings are left out.
    """
    started, about, folder = time.monotonic(), read_about(model_folder), files.join(run_folder, "similar")
    identity = content_id(what="similar", model=about["parts"], count=count)
    manifest = SimilarItems.published(folder)
    reused = manifest is not None and manifest.id == identity
    if manifest is None or not reused:
        context.check_fits(_STAGE)  # likewise the model, and lists
        files.remove_tree(folder)
        with nothing_half_written(folder):
            pieces = max(1, -(-sum(int(part["rows"]) for part in about["parts"]["item"]) // PIECE_ITEMS))
            context.notify(StageStarted(_SIMILAR, pieces))
            served = submit_served(context, _SIMILAR, model_folder)
            urls = [files.join(folder, "similar.parquet", f"part.{piece:05d}.parquet") for piece in range(pieces)]
            jobs = [(served, (piece, pieces), count, url) for piece, url in enumerate(urls)]
            parts = tuple(map(SimilarPart.read, run_all(context, _SIMILAR, "similar", similar_part, jobs)))
            manifest = SimilarItems(
                folder=folder, id=identity, count=count, parts=parts,
                items=sum(part.items for part in parts), rows=sum(part.rows for part in parts),
            ).publish([part.path for part in parts])  # fmt: skip
    summary = f"{manifest.rows:,} similar items for {manifest.items:,} items, in {folder}"
    context.notify(StageFinished(_SIMILAR, time.monotonic() - started, summary, reused))
    return folder
