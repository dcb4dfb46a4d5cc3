"""Recommend: the best unseen items of all users, or of some, to Parquet.

Covers: one task a slice of users, and the files that result.
Does not cover: what a user has seen and the form of the files (tasks/recommend.py), the choice (tasks/top_items.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.runtime.context import Context, run_all
from pipeline.runtime.events import StageFinished, StageStarted
from pipeline.runtime.serving import stored_part, submit_served
from pipeline.runtime.store import content_id, nothing_half_written, publish, published
from pipeline.settings import RecommendSettings
from tasks import files
from tasks.errors import BadInput
from tasks.ids import buckets_of, look_up
from tasks.model_about import read_about
from tasks.recommend import recommend_part

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
    chosen = _chosen(context, dataset, settings.users)
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
) -> list[dict[str, Any]]:  # fmt: skip
    count = len(dataset["parts"])
    pieces = 1 if chosen else max(1, -(-dataset["users"] // (count * settings.batch_users)))
    numbers = sorted(chosen) if chosen else range(count)
    context.tell(StageStarted(_STAGE, len(numbers) * pieces))
    served = submit_served(context, _STAGE, model_folder, parts)
    stored = [stored_part(context, dataset, split, number) for number in numbers]
    places = [(both, number, piece) for both, number in zip(stored, numbers, strict=True) for piece in range(pieces)]
    jobs = [
        (
            served, *both, (piece, pieces), chosen.get(number, []), settings.count,
            files.join(folder, "recommendations.parquet", f"part.{place:05d}.parquet"),
        )
        for place, (both, number, piece) in enumerate(places)
    ]  # fmt: skip
    return run_all(context, _STAGE, "recommend", recommend_part, jobs)


def _chosen(context: Context, dataset: dict[str, Any], users: Sequence[str | int]) -> dict[int, list[int]]:
    """Return the dense ids of these raw users by the part of the dataset that holds their ratings."""
    if not users:
        return {}
    url = files.join(context.store.dataset(dataset["id"]), "users.parquet")
    known = files.read_table(url, ["raw_id"], dataset["id_checksums"]["users"])["raw_id"]
    try:
        raw = pa.array([int(each) if pa.types.is_integer(known.type) else str(each) for each in users], known.type)
    except (ValueError, OverflowError, pa.ArrowInvalid) as cause:
        raise BadInput(f"recommend.users: {list(users)} are not all numbers, but this model's ids are") from cause
    dense = look_up(pa.chunked_array([raw]), known)
    if (dense < 0).any():
        unknown = raw[int(np.argmax(dense < 0))].as_py()
        raise BadInput(f"recommend.users: there is no user {unknown!r} in the data; check --user")
    by_part: dict[int, list[int]] = {}
    for part, user in zip(buckets_of(raw, len(dataset["parts"])).tolist(), dense.tolist(), strict=True):
        by_part.setdefault(part, []).append(user)
    return by_part
