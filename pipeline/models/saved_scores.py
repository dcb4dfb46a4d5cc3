"""Scores of a saved model on validation ratings, part by part of its users: no task has the whole model.

Covers: the tasks that find the ratings' rows in a model and score them, and those that match a dataset's ids with a
model or dataset of other data.
Does not cover: the work of a task (tasks/dataset/matches.py, tasks/evaluation/placed_ratings.py), memory
(pipeline/planning/budget.py), the stages (pipeline/stages/evaluate.py, pipeline/stages/gate.py).

Each worker holds all items once, as in training; only the task that scores their ratings reads a part of the users.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from distributed import Future

from funkflow.pipeline.cluster.context import Context, run_all, submit_shared
from funkflow.pipeline.root.manifests import Dataset, Split, TrainingData
from funkflow.tasks.dataset.matches import Places, find_places, match_by_part
from funkflow.tasks.dataset.trained_pairs import TrainedRatings, TrainingMatch
from funkflow.tasks.evaluation.placed_ratings import errors_of_part, place_in_other, place_own
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.parts import ModelParts, Rows, read_timed_items
from funkflow.tasks.model.score_rows import Scorer
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import Errors


def met_by(
    context: Context, stage: str, dataset: Dataset, trainings: Sequence[TrainedRatings], scratch: str
) -> tuple[list[TrainingMatch], list[Future[Places]]]:
    """Return earlier trainings with the matches of a dataset's users, and the matches of its items in each of them."""
    urls = [files.join(scratch, f"met-{number:05d}.arrow") for number in range(len(trainings))]
    users = [(training.ids[0],) for training in trainings]
    match_users(context, stage, dataset, users, urls)
    items = [match_items(context, dataset, (training.ids[1],)) for training in trainings]
    return [TrainingMatch(training, url) for training, url in zip(trainings, urls, strict=True)], items


def match_users(
    context: Context, stage: str, dataset: Dataset, others: Iterable[Sequence[Place]], urls: Iterable[str]
) -> None:
    """Write the rows of a dataset's users in each of several tables, by part of the dataset."""
    own, parts = dataset.id_place("user"), len(dataset.parts)
    jobs = [(own, tuple(tables), parts, url) for tables, url in zip(others, urls, strict=True)]
    run_all(context, stage, "match-users", match_by_part, jobs)


def match_items(context: Context, dataset: Dataset, others: Sequence[Place]) -> Future[Places]:
    """Return the rows of a dataset's items in a table; Dask releases them with the last task that needs them."""
    return submit_shared(context, "match-items", find_places, dataset.id_place("item"), others)


def item_rows(context: Context, parts: ModelParts) -> Future[Rows]:
    """Return the rows of all items of a model, which the tasks of a worker share."""
    return submit_shared(context, "load-items", read_timed_items, parts.items, parts.rank, parts.edges)


def placed_in_own(context: Context, stage: str, split: Split, parts: ModelParts, scratch: str) -> list[str]:
    """Find the rows of validation ratings in the model of their own grid; return the files."""
    jobs = [
        (held_out, parts.user_counts, parts.item_counts, files.join(scratch, f"own-{number:05d}.arrow"))
        for number, held_out in enumerate(split.validation_places)
    ]
    return run_all(context, stage, "place", place_own, jobs)


def placed_in_other(context: Context, stage: str, data: TrainingData, parts: ModelParts, scratch: str) -> list[str]:
    """Find the rows of validation ratings in a model of other data; return the files."""
    match_users(context, stage, data.dataset, [parts.users], [users := files.join(scratch, "users.arrow")])
    items = match_items(context, data.dataset, parts.items)
    jobs = [
        (held_out, number, users, items, parts.user_counts, files.join(scratch, f"other-{number:05d}.arrow"))
        for number, held_out in enumerate(data.split.validation_places)
    ]
    return run_all(context, stage, "place", place_in_other, jobs)


def scored(context: Context, stage: str, doing: str, pieces: Sequence[str], parts: ModelParts) -> Errors:
    """Return the errors of a model on ratings whose rows in it were found."""
    items, by = item_rows(context, parts), Scorer(parts.rank, parts.mean, parts.scale, parts.edges is not None)
    jobs = [(pieces, number, users, items, by) for number, users in enumerate([*parts.users, None])]
    return sum(run_all(context, stage, doing, errors_of_part, jobs), Errors(0.0, 0.0, 0))
