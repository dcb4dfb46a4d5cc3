"""The result of a run, for people, programs and the record.

Covers: its fields, and its ranking in words.
Does not cover: measuring (pipeline/flow.py, pipeline/stages/), tables (pipeline/results/tables.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from funkflow.pipeline.progress.words import format_bytes, times
from funkflow.tasks.digits import distinct_figures, rounded
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late
from funkflow.tasks.model.html_tables import html_facts, html_table
from funkflow.tasks.redact import masked_content
from funkflow.tasks.transform import NAMES, Transform

if TYPE_CHECKING:
    from funkflow.tasks.model import model as models
else:  # for those who ask for it
    models = late("funkflow.tasks.model.model")

ESTIMATES = {"mean": "mean rating", "biases": "bias baseline", "model": "model", "truth": "planted truth (the floor)"}
"""The estimates of the validation ratings, with their names."""


MeasureName = Literal["precision", "recall", "ndcg", "hit_rate", "mrr", "map", "coverage", "novelty"]
RANKING_MEASURES: dict[MeasureName, str] = {
    "precision": "precision", "recall": "recall", "ndcg": "NDCG", "hit_rate": "hit rate", "mrr": "MRR", "map": "MAP",
    "coverage": "coverage", "novelty": "novelty",
}  # fmt: skip
"""The measures of a ranking, with their names; tasks/serving/ranking_measures.py has the formulas."""


class RankingMeasures(TypedDict, total=False):
    """Means over users; `coverage` of all lists together, `novelty` in bits. Results from before lack some."""

    precision: float
    recall: float
    ndcg: float
    hit_rate: float
    mrr: float
    map: float
    coverage: float
    novelty: float


class RankingAt(RankingMeasures, total=False):
    """The measures of a model at `count` items, and beside them those of what ranks without learning.

    `most_rated` : of the items with the most training ratings. `random` : expected of a random order; no coverage.
    """

    count: int
    most_rated: RankingMeasures
    random: RankingMeasures


class RankingResult(RankingAt, total=False):
    """The measures over `users` at ranking.count items; ratings from `threshold` on are relevant.

    `also` : at the lengths of ranking.also. Empty where nothing was measured.
    """

    users: int
    threshold: float
    also: list[RankingAt]


class GateResult(TypedDict, total=False):
    """The findings of the gate. `passed`, `refusal` : of a refused model only, False and the reason.

    The rest belongs to a comparison with the model in use, `compared_with`: the RMSEs of both, the number of their
    `ratings`, how many of these have a user or an item that the model in use lacks (`unknown`), how many more it was
    `trained_on`, and a sentence about all that (`said`).
    """

    training_ratings: int
    passed: bool
    refusal: str
    compared_with: str
    rmse: float
    rmse_before: float
    ratings: int
    trained_on: int
    unknown: int
    said: str


@dataclass
class RunResult:
    """The result of a run. RMSE and MAE are in rating units, on the validation ratings of `split`.

    `transform` : ingest.transform; with "log1p" RMSE and MAE are of log(1 + rating), of model, mean and biases alike.

    `evaluation` : RMSE and MAE of the mean, the bias baseline, the model and, for synthetic data, the planted truth.
    `counted` : the unit of `epochs`: epochs, steps along the whole gradient (pipeline/training/methods/batch.py),
    passes for one factor (pipeline/training/methods/funk.py; `best_epoch` is then the number of factors), or products
    with the matrix (pipeline/training/methods/standard_svd.py). `warning` : one line if the model is no better than the
    mean rating or the bias baseline. `seconds`, `memory_bytes` : by stage, the latter the peak of this machine's
    processes and of all other workers. `worker_memory_bytes` : the resident size of the largest worker. A prediction is
    0 if there is none. Fields of stages that did not run are None or empty.
    """

    run_id: str | None = None
    split: str | None = None
    goal: str = "ratings"
    rmse: float | None = None
    mae: float | None = None
    transform: Transform = "none"
    rank: int | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    counted: str = "epochs"
    epoch_chosen_on: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    memory_bytes: dict[str, int] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    predicted_memory_bytes: int = 0
    worker_memory_bytes: int = 0
    predicted_worker_memory_bytes: int = 0
    evaluation: dict[str, Any] = field(default_factory=dict)
    warning: str = ""
    ranking: RankingResult = field(default_factory=RankingResult)
    gate: GateResult = field(default_factory=GateResult)
    paths: dict[str, str] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        content = masked_content(asdict(self))
        scores = [
            (name, *rounded_scores(content["evaluation"], key))
            for key, name in ESTIMATES.items()
            if key in content["evaluation"] and self.goal == "ratings"
        ]
        facts = [("run", f"{self.run_id}"), *((name, str(path)) for name, path in content["paths"].items())]
        if self.warning:
            facts.insert(1, ("warning", self.warning))
        if self.epochs:
            chosen = f", chosen on {self.epoch_chosen_on}" if self.epoch_chosen_on else ""
            facts.insert(
                1, ("training", f"rank {self.rank}, {self.epochs} {self.counted}, best {self.best_epoch}{chosen}")
            )
        if self.peak_memory_bytes:
            facts.insert(1, ("took", f"{self.seconds.get('total', 0.0):.1f} s, {self.memory}"))
        table = html_table(self.validation, ("", "RMSE", "MAE"), scores) if scores else ""
        return table + html_facts("RunResult", facts)

    @cached_property
    def model(self) -> models.Model:
        """The model, read from `paths["model"]` at the first use.

        Raises
        ------
        SettingsError
            The run ended before it exported one.
        """
        if "model" not in self.paths:
            raise SettingsError(
                'this result has no model: the run ended before the export; omit until, or set it to "export"'
            )
        return models.Model.load(self.paths["model"])

    @property
    def validation(self) -> str:
        """The split behind RMSE and MAE, and the transform if there is one."""
        return f"validation: {self.split}" + ("" if self.transform == "none" else f", of {NAMES[self.transform]}")

    @property
    def memory(self) -> str:
        """Peaks of memory in words, with their predictions."""
        whole = _beside(self.peak_memory_bytes, self.predicted_memory_bytes)
        worker = f"; the largest worker {_beside(self.worker_memory_bytes, self.predicted_worker_memory_bytes)}"
        return f"{whole} (all processes{worker if self.worker_memory_bytes else ''})"

    def to_dict(self) -> dict[str, object]:
        """Return all fields by name, as in the record of the run and in `--json`."""
        return asdict(self)


def _beside(measured: int, predicted: int) -> str:
    return f"{format_bytes(measured)}{f' of {format_bytes(predicted)} predicted' if predicted else ''}"


def rounded_scores(evaluation: Mapping[str, Mapping[str, float]], name: str) -> list[str]:
    """Return RMSE and MAE of one of `ESTIMATES`, with digits that distinguish it from the others."""
    beside = [
        each for key in ESTIMATES if key in evaluation for each in (evaluation[key]["rmse"], evaluation[key]["mae"])
    ]
    return [rounded(evaluation[name][measure], *beside) for measure in ("rmse", "mae")]


def ranking_verdict(ranking: RankingResult) -> str:
    """Return in one line whether a model ranks better than the most rated items, by NDCG, and by what factor."""
    at, rival = ranking["count"], ranking["most_rated"]["ndcg"]
    own, other = distinct_figures(ranking["ndcg"], rival)
    side = "better" if ranking["ndcg"] > rival else "worse" if ranking["ndcg"] < rival else "no better"
    factor = f", {times(ranking['ndcg'] / rival)} as much" if rival and side != "no better" else ""
    chance = f"; a random order: {ranking['random']['ndcg']:.4f}" if "random" in ranking else ""
    return f"it ranks {side} than the most rated items: NDCG@{at} {own} against {other}{factor}{chance}"
