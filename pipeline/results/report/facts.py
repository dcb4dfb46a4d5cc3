"""The facts that a report is drawn from: the content of facts.json, with its names and units.

Covers: their types. Does not cover: making them (fact_parts.py, pipeline/stages/report.py), those of draws
(interval_facts.py), or the page (page.py).

RMSEs and errors are in rating units, sizes in bytes, times in seconds. A part is None where the run has nothing for it.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from funkflow.pipeline.results.report.interval_facts import ConvergenceFacts, IntervalFacts
from funkflow.pipeline.root.result import GateResult, RankingResult
from funkflow.tasks.evaluation.factor_ends import FactorEnds


class RunFacts(TypedDict):
    """The run, its settings, and the command that repeats it. `ended` : ISO 8601."""

    run_id: str
    execution: str
    ended: str
    seconds: float
    method: str
    rank: int
    shards: int
    versions: dict[str, str]
    code_version: Any
    settings: dict[str, Any]
    repeat: str


class GateQuestions(TypedDict, total=False):
    """The settings [gate]."""

    beats_biases: bool
    beats_most_rated: bool
    ratings_at_least: int
    rmse_worse_by_at_most: float | None


class RunVerdict(TypedDict, total=False):
    """Errors of the model and of what it must beat, on `ratings` validation ratings; its ranking and its gate.

    `truth_rmse` : RMSE of the planted model, of synthetic ratings only.
    """

    rmse: float | None
    mae: float | None
    split: str | None
    ratings: int | None
    mean_rmse: float | None
    mean_mae: float | None
    biases_rmse: float | None
    biases_mae: float | None
    truth_rmse: float | None
    gate: GateResult
    ranking: RankingResult


class StageMemory(TypedDict):
    """The peak of memory during a stage."""

    stage: str
    bytes: int


class MemoryFacts(TypedDict):
    """Peaks of all processes together and of the largest worker, beside their predictions."""

    peak_bytes: int
    predicted_bytes: NotRequired[int | None]
    worker_bytes: NotRequired[int]
    predicted_worker_bytes: NotRequired[int | None]
    by_stage: list[StageMemory]


class StageSeconds(TypedDict):
    """The time of a stage."""

    stage: str
    seconds: float


class TaskTimes(TypedDict):
    """Tasks over time: `rows` of [worker, kind, start, stop], the first two as indices; one task in `one_in`."""

    workers: list[str]
    kinds: list[str]
    rows: list[list[float]]
    one_in: NotRequired[int]


class TimeFacts(TypedDict):
    """Times of stages and of tasks."""

    stages: list[StageSeconds]
    tasks: TaskTimes | None


class RunSummary(TypedDict):
    """The facts that the attempt at a run has of itself."""

    run: RunFacts
    verdict: RunVerdict
    memory: MemoryFacts
    stages: list[StageSeconds]


class QuarantinedRow(TypedDict):
    """A row that is no rating."""

    file: str
    line: int
    reason: str


class QuarantineFacts(TypedDict):
    """The number of quarantined rows, their file, and the first of them."""

    rows: int
    path: str
    first: list[QuarantinedRow]


class MonthFacts(TypedDict):
    """Numbers and means of ratings by month, as 2000-04."""

    unit: str
    start: list[str]
    ratings: list[int]
    mean: list[float]


class CountBins(TypedDict):
    """Users or items, `rows` with `low` to `high` ratings each, and the sum of these; one place for each bin."""

    low: list[int]
    high: list[int]
    rows: list[int]
    ratings: list[int]


class TopItem(TypedDict):
    """An item with many ratings."""

    id: str
    title: str | None
    ratings: int


class ValueCounts(TypedDict):
    """Numbers of training and of validation ratings of each value."""

    value: list[float]
    training: list[int]
    validation: list[int]


class DataFacts(TypedDict):
    """The ratings: their numbers, times, values, users and items; the `format` of their files in words."""

    format: NotRequired[str]
    users: int
    items: int
    ratings: int
    training: int
    validation: int
    scale: list[float]
    quarantined: QuarantineFacts | None
    by_time: MonthFacts | None
    user_counts: CountBins
    item_counts: CountBins
    top_items: list[TopItem]
    values: ValueCounts | None


class EpochFacts(TypedDict):
    """Errors after an epoch."""

    epoch: int
    training_rmse: float
    stopping_rmse: float | None


class RankedFacts(TypedDict):
    """The NDCG of each epoch at so many `places`, over `users`."""

    places: int
    users: int
    ndcg: list[float]


class LearningFacts(TypedDict):
    """Errors by epoch, or by whatever `counted` names, and the best epoch by the ratings `stop_on`.

    `ranked` : where rankings decided; `start` : RMSE, or NDCG, of the model that training started from. `l2` : the L2
    term per rating, for ratings of unit deviation.
    """

    l2: NotRequired[float]
    ranked: NotRequired[RankedFacts]
    start: NotRequired[float]
    counted: str
    stop_on: str
    best_epoch: int
    epochs: list[EpochFacts]


class RankFacts(TypedDict):
    """A truncation to the `rank` strongest factors: its validation RMSE, and the last factor's part of the energy."""

    rank: int
    rmse: float
    energy: float


class ErrorBin(TypedDict):
    """Errors of the validation ratings of one bin; `mean_error` : rating less prediction."""

    ratings: int
    rmse: float
    mean_error: float


class CountErrorBin(ErrorBin):
    """Ratings of users or items with `low` to `high` training ratings."""

    low: int
    high: int


class ValueErrorBin(ErrorBin):
    """Ratings of one value."""

    value: float


class MonthErrorBin(ErrorBin):
    """Ratings of one month, as 2000-04."""

    start: str


class CalibrationBin(TypedDict):
    """Ratings with predictions from `low` to `high`: means of the predictions and of the ratings."""

    low: float
    high: float
    ratings: int
    predicted: float
    actual: float


class ResidualFacts(TypedDict):
    """Numbers of errors between `edges`, their mean and their standard deviation."""

    edges: list[float]
    counts: list[int]
    mean: float
    deviation: float


class ErrorFacts(TypedDict):
    """Errors on the validation ratings, each way to put these into bins."""

    by_user_activity: list[CountErrorBin]
    by_item_popularity: list[CountErrorBin]
    by_value: list[ValueErrorBin]
    by_time: list[MonthErrorBin] | None
    calibration: list[CalibrationBin]
    residuals: ResidualFacts


class ReportFacts(TypedDict):
    """All facts of a run. `ranks`, `spectrum` : None without a spectrum; `errors` : None without validation ratings.

    `intervals` : None for a model without draws; `convergence` : None for a method that does not draw.
    """

    format_version: int
    run: RunFacts
    verdict: RunVerdict
    data: DataFacts
    learning: LearningFacts
    ranks: list[RankFacts] | None
    spectrum: list[float] | None
    errors: ErrorFacts | None
    intervals: NotRequired[IntervalFacts | None]
    convergence: NotRequired[ConvergenceFacts | None]
    factors: list[FactorEnds] | None
    time: TimeFacts
    memory: MemoryFacts
