"""How well the intervals of an exported model hold, on the validation ratings of its run.

Covers: a task for each user shard, and the manifest.
Does not cover: the arithmetic (tasks/evaluation/calibration.py), the page (pipeline/results/report/intervals.py).

    <run>/calibration/manifest.json
"""

from __future__ import annotations

from funkflow.pipeline.cluster.context import Context, run_all, submit_shared
from funkflow.pipeline.datasets.rating_counts import rating_counts
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Training, TrainingData
from funkflow.pipeline.root.model_manifests import Calibration, Evaluation
from funkflow.pipeline.root.records import CalibrationFifth, IntervalScore
from funkflow.pipeline.root.store import content_id
from funkflow.tasks.evaluation.calibration import CalibrationJob, RatingGrid, place_shard, summarise
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.draws.intervals import LEVELS
from funkflow.tasks.storage import files

_STAGE = "evaluate"
_MOST_PLACED = 1_000_000
"""Validation ratings that are placed, about: a coverage then has a standard error of 0.0005 at most."""


def calibrate_intervals(
    context: Context, data: TrainingData, training: Training, model_folder: str, evaluation: Evaluation | None
) -> Calibration | None:
    """Return coverage and scores of the intervals; None for a model without draws, or without validation ratings.

    Parameters
    ----------
    evaluation : of the model, for a constant deviation that fits the very ratings that it is scored on.
    """
    about = read_about(model_folder)
    if "draws" not in about or evaluation is None or training.folded:
        return None
    folder = files.join(training.run_folder, "calibration")
    identity = content_id(what="calibration", draws=about["draws"], split=data.split.id)
    found = Calibration.published(folder)
    if found is None or found.id != identity or context.trains_anew:
        counts = rating_counts(context, _STAGE, data.dataset, data.split)
        values = None if counts.values is None else [value for value, *_ in counts.values]
        grid = RatingGrid.of(values, *map(float, data.dataset.bounds))
        constants = (training.history[-1][0], evaluation.model.rmse)
        part = min(1.0, _MOST_PLACED / max(1, evaluation.ratings))
        job = CalibrationJob(model_folder, counts.place("users"), grid, constants, part)
        places = enumerate(data.grid.held_out_places("validation"))
        placed = [submit_shared(context, "place-ratings", place_shard, job, place, shard) for shard, place in places]
        (summary,) = run_all(context, _STAGE, "calibrate", summarise, [placed])
        found = Calibration(
            folder=folder, id=identity, ratings=summary["ratings"], step=grid.step, levels=LEVELS,
            coverage=tuple(summary["coverage"]), pits=tuple(summary["pits"]), constants=constants,
            by_deviation=tuple(map(CalibrationFifth.read, summary["by_deviation"])),
            by_ratings=tuple(map(CalibrationFifth.read, summary["by_ratings"])),
            scores=tuple(
                IntervalScore(level=level, model=own, constant=constant, best_constant=best)
                for level, own, constant, best in zip(LEVELS, *summary["scores"], strict=True)
            ),
        ).publish()  # fmt: skip
    levels, held = (", ".join(f"{100 * each:.3g}" for each in shares) for shares in (LEVELS, found.coverage))
    context.notify(Noticed(f"intervals of {levels} % hold {held} % of {found.ratings:,} validation ratings"))
    return found
