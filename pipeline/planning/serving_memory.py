"""The memory of the stages that choose items for users: recommend, ranking and similar items.

Covers: the prediction with all of the model in each worker, and with parts of it read one after another; the choice.
Does not cover: the tasks (tasks/serving/), what a run may use (budget.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from funkflow.pipeline.planning.budget import (
    CLIENT_BYTES,
    KEPT_BYTES,
    PARTITION_ROW_BYTES,
    SHARED_BYTES,
    WORKER_BYTES,
    Allowance,
    Prediction,
    Workload,
)
from funkflow.tasks.dataset.bucket_rows import MOST_BUCKETS, parts_for
from funkflow.tasks.model.draws.drawn_rows import GROUP_BYTES
from funkflow.tasks.serving.drawn_top import USER_BYTES
from funkflow.tasks.serving.served_model import SHARD_ROWS
from funkflow.tasks.serving.similar_items import PIECE_ITEMS

READ_RATING_BYTES = 12
"""A rating of the part that a recommending task has read: its columns, and what they are read from."""
RATED_BYTES = 4
"""A rating of a user of the task, by the row of its item."""
LISTED_ITEM_BYTES = 30
"""An item recommended to a user: the lists, the columns made of them, and the file's bytes."""
SIMILAR_ITEM_BYTES = 50
"""An item found similar to another: the same, and the places of both where their raw ids are read."""
COUNTED_ITEM_BYTES = 40
"""An item of the ranking by the number of ratings: its score and self-information, and three versions of its count."""
_SHARD_VERSIONS = 4
"""Versions of the rows that a task decodes at once: their columns, the rows made of them, and those before."""
_DRAWN_VERSIONS = 2
"""Of the draws of users that a task has at once: gathered, and the groups that they are gathered from."""
_GROUP_VERSIONS = 4
"""Of a group of drawn items: the file's bytes, the column and its rows, and scores with their sums."""
_ID_BYTES = 24
"""A row of the model beside its factors: bias and raw id."""


@dataclass(frozen=True)
class ServingNeed:
    """Predicted peaks of all processes and of one worker; `in_parts` : tasks read the model part by part."""

    total_bytes: int
    worker_bytes: int
    in_parts: bool

    @property
    def both(self) -> tuple[int, int]:
        """Of all processes, and of one worker."""
        return self.total_bytes, self.worker_bytes


def predict_serving(
    work: Workload, count: int, batch_users: int, partition_ratings: int, by_draws: bool = False
) -> ServingNeed:
    """Return the predicted peaks while tasks choose `count` items for every user; `by_draws` : of a posterior.

    Each running task has one part of the ratings, and the lists of its users. A worker holds the whole model; with
    `work.streamed` each running task has the file of one part of a side instead, and a shard of its rows.
    """
    size, rank, threads = work.size, work.rank, work.threads
    parts = parts_for(size.ratings + size.held_out, partition_ratings, MOST_BUCKETS)
    ratings, users = (size.ratings + size.held_out) / parts, min(batch_users, size.users / parts)
    kept = min(KEPT_BYTES, size.ratings * PARTITION_ROW_BYTES)
    row = 4 * rank + _ID_BYTES
    task = (
        ratings * READ_RATING_BYTES
        + ratings * users * parts / max(1, size.users) * RATED_BYTES
        + users * (min(count, size.items) * LISTED_ITEM_BYTES + row)
        + by_draws * (_DRAWN_VERSIONS * USER_BYTES + _GROUP_VERSIONS * GROUP_BYTES)
    )
    return _need(work, kept + size.items * COUNTED_ITEM_BYTES, min(threads, parts), task)


def predict_similar(work: Workload, count: int) -> ServingNeed:
    """Return the predicted peaks while tasks choose the `count` most similar items of every item.

    Each running task has a piece of the items as directions, and their lists.
    """
    items, row = work.size.items, 4 * work.rank + _ID_BYTES
    piece = min(items, PIECE_ITEMS)
    kept = min(KEPT_BYTES, work.size.ratings * PARTITION_ROW_BYTES)
    task = piece * (min(count, items) * SIMILAR_ITEM_BYTES + 2 * row)
    return _need(work, kept, min(work.threads, -(-items // max(1, piece))), task)


def _need(work: Workload, worker_bytes: float, running: int, task_bytes: float) -> ServingNeed:
    """Return the need of workers with `worker_bytes` beside the model, and `running` tasks beside what they read."""
    size, row = work.size, 4 * work.rank + _ID_BYTES
    model = float(size.rows * row)
    if work.streamed:
        model, part = 0.0, max(size.users, size.items) / work.shards
        task_bytes += row * (part + _SHARD_VERSIONS * min(part, SHARD_ROWS))
    worker = WORKER_BYTES + worker_bytes + model + running * task_bytes
    return ServingNeed(int(CLIENT_BYTES + work.workers * worker), int(worker + SHARED_BYTES), work.streamed)


def choose_serving(
    work: Workload, count: int, batch_users: int, partition_ratings: int, allowance: Allowance, similar: int = 0,
    by_draws: bool = False,
) -> ServingNeed:  # fmt: skip
    """Return the need with the whole model in each worker where that fits, and else that of parts, if it is less.

    It is the greater one of `count` items for every user and `similar` ones for every item; 0: none.
    """

    def need(of: Workload) -> ServingNeed:
        needs = [predict_serving(of, count, batch_users, partition_ratings, by_draws)] if count else []
        needs += [predict_similar(of, similar)] if similar else []
        return max(needs, key=lambda each: each.worker_bytes)

    held, in_parts = need(work), need(replace(work, streamed=True))
    return held if allowance.fits(*held.both) or held.worker_bytes <= in_parts.worker_bytes else in_parts


def with_serving(prediction: Prediction, need: ServingNeed) -> Prediction:
    """Return the prediction of a run with that of these stages."""
    return replace(
        prediction,
        recommend_bytes=need.total_bytes,
        recommend_worker_bytes=need.worker_bytes,
        recommend_in_parts=need.in_parts,
    )
