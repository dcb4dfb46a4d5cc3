"""Run several methods at several ranks on one dataset and split, and collect the results.

Covers: the runs, their measures, a method that fails, and the table on disk.
Does not cover: a run (pipeline/flow.py), its settings (contenders.py), or the look of a comparison (table.py, page.py,
drawing.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

from funkflow.pipeline import flow
from funkflow.pipeline.progress.events import Event, Listener, Noticed, StageFinished
from funkflow.pipeline.results.comparison.contenders import (
    ALS_RANKING,
    CONTENDERS,
    MOST_RATED,
    named,
    refuse_contenders,
    settings_for,
    trained,
    variants,
)
from funkflow.pipeline.root.result import RankingMeasures, RunResult
from funkflow.pipeline.root.store import FORMAT_VERSION, content_id
from funkflow.pipeline.running.execution import execute
from funkflow.pipeline.settings.cluster import cores
from funkflow.pipeline.settings.request import Request
from funkflow.pipeline.settings.sections import IDLE_SECTIONS, Settings
from funkflow.tasks.errors import FunkflowError, TryAgainLater
from funkflow.tasks.redact import masked, masked_content
from funkflow.tasks.storage import files

_MEASURED = "measured.json"


@dataclass(frozen=True)
class ComparedRun:
    """One run, or the most rated items, which have no rank, no training and no errors.

    pure : run again without mean and biases, A ≈ U V^T, which `als-ranking` is in any case. failed : the reason if
    there is no result, else "". rmse : on the validation ratings; training_rmse : on the training ratings, unclipped,
    of the best epoch; both in rating units, and None for a model that predicts no ratings. ndcg, recall : of lists of
    ranking.count items; None where no ranking was measured. seconds : of training, with the loading of blocks.
    memory_bytes : peak of all processes in training; None if an earlier command trained the run. count : number of
    epochs, or of the unit `counted`. varied : the value of the setting that varies, as in "implicit=both", else "".
    """

    method: str
    rank: int | None
    pure: bool
    rmse: float | None = None
    training_rmse: float | None = None
    ndcg: float | None = None
    recall: float | None = None
    seconds: float | None = None
    memory_bytes: int | None = None
    count: int | None = None
    counted: str = "epochs"
    run_id: str | None = None
    failed: str = ""
    varied: str = ""


@dataclass(frozen=True)
class Comparison:
    """Runs compared on the same validation ratings. `references` : RMSE of the mean rating and of the bias baseline.

    ranked_at : items in each user's list, 0 if no ranking was measured; ranked_users : users with a relevant validation
    rating; most_rated : measures of the most rated items.
    """

    split: str = ""
    ratings: int = 0
    cores: int = 0
    references: dict[str, float] = field(default_factory=dict)
    rows: tuple[ComparedRun, ...] = ()
    ranked_at: int = 0
    ranked_users: int = 0
    most_rated: RankingMeasures = field(default_factory=RankingMeasures)

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    def forms(self) -> Iterator[tuple[bool, dict[str, list[ComparedRun]]]]:
        """Yield for each form, pure or not, the trained models, by method and in the order of their ranks."""
        for pure in sorted({row.pure for row in self.rows}):
            curves: dict[str, list[ComparedRun]] = {}
            for row in sorted(self.rows, key=lambda row: row.rank or 0):
                if row.pure == pure and row.rank and not row.failed:
                    curves.setdefault(row.method, []).append(row)
            if curves:
                yield pure, {method: curves[method] for method in CONTENDERS if method in curves}


def compare_methods(
    settings: Settings, methods: Sequence[str], ranks: Sequence[int], *, pure: bool = False, vary: str = "",
    fresh: bool = False, listeners: Sequence[Listener] = (),
) -> tuple[Comparison, str]:  # fmt: skip
    """Run each method at each rank; return the comparison and the folder where its table lies.

    All runs share the grid. The function measures errors and rankings and promotes no model. It does not train an
    existing run again, turns a failed one into a row with the reason, and writes the table after each run, so that the
    table survives an interruption.

    Parameters
    ----------
    settings : for each method, settings of [train] without effect are left out, and so is the goal.
    pure : run each method a second time without mean and biases.
    vary : run each with each value of a setting of [train], as in "train.implicit=none,both"; "": as it is set.
    fresh : train from scratch, to measure time and memory.

    Raises
    ------
    SettingsError
        A method is unknown, there is no rank, there are no validation ratings, or the setting cannot vary.
    FunkflowError
        An error that stops every run: of the data, the root or the cluster.
    """
    refuse_contenders(settings, methods, ranks)
    chosen = [
        (method, rank, form, varied)
        for form in ((False, True) if pure else (False,))
        for rank in ranks
        for method in trained(methods)
        for varied in variants(vary)
        if not (form and method == ALS_RANKING)
    ]
    folder = files.join(settings.root, "comparisons", _comparison_id(settings, methods, ranks, pure, vary))
    # For a ranking the ratings may all be equal; a method that needs others then fails by itself.
    shared = settings_for(settings, ALS_RANKING, ranks[0], pure=False) if ALS_RANKING in methods else settings
    execute(shared, Request.checked("grid"), listeners, flow.work)
    comparison = Comparison(cores=cores())
    for number, (method, rank, form, varied) in enumerate(chosen, start=1):
        words = named(method, rank, form, varied)
        _tell_all(listeners, Noticed(f"comparing {number} of {len(chosen)}: {words}"))
        row, result = _run_one(settings, ComparedRun(method, rank, form, varied=varied), fresh, listeners)
        if row.failed:
            _tell_all(listeners, Noticed(f"{words}: {row.failed}", warning=True))
        if result is not None:
            comparison = _with_references(comparison, result)
        comparison = _saved(replace(comparison, rows=(*comparison.rows, row)), settings, folder)
    if MOST_RATED in methods:
        comparison = _saved(replace(comparison, rows=(*comparison.rows, _most_rated(comparison))), settings, folder)
    return comparison, folder


def _saved(comparison: Comparison, settings: Settings, folder: str) -> Comparison:
    """Write the table, and return it."""
    content = masked_content({**comparison.to_dict(), "settings": settings.model_dump(mode="json")})
    files.write_json(files.join(folder, "comparison.json"), {**content, "format_version": FORMAT_VERSION})
    return comparison


def _most_rated(comparison: Comparison) -> ComparedRun:
    """Return the row of the most rated items, which each run measures beside its model."""
    if not comparison.ranked_at:
        return ComparedRun(MOST_RATED, None, False, failed="no ranking was measured")
    found = comparison.most_rated
    return ComparedRun(MOST_RATED, None, False, ndcg=found["ndcg"], recall=found["recall"])


def _comparison_id(settings: Settings, methods: Sequence[str], ranks: Sequence[int], pure: bool, vary: str) -> str:
    content = settings.model_dump(mode="json", exclude={*IDLE_SECTIONS, "predict"})
    for name in ("method", "rank"):
        del content["train"][name]
    also = {"vary": vary} if vary else {}
    return content_id(settings=content, methods=list(methods), ranks=list(ranks), pure=pure, **also)


def _tell_all(listeners: Sequence[Listener], event: Event) -> None:
    for listener in listeners:
        listener(event)


def _run_one(
    settings: Settings, row: ComparedRun, fresh: bool, listeners: Sequence[Listener]
) -> tuple[ComparedRun, RunResult | None]:
    """Run one method at one rank; return its row, and the result unless it failed."""
    finished: list[StageFinished] = []

    def hear(event: Event) -> None:
        if isinstance(event, StageFinished):
            finished.append(event)

    try:
        chosen = settings_for(settings, row.method, row.rank or 0, row.pure, row.varied)
        request = Request.checked("evaluate", fresh=fresh, ranks=settings.ranking.count > 0)
        result = execute(chosen, request, [hear, *listeners], flow.work)
    except TryAgainLater:
        raise
    except FunkflowError as error:
        return replace(row, failed=error.message), None
    except Exception as error:
        first_line = str(error).splitlines()[0] if str(error) else ""
        return replace(row, failed=f"unexpected {type(error).__name__}: {masked(first_line)}"), None
    reused = any(event.stage == "train" and event.reused for event in finished)
    return _with_measures(row, result, reused), result


def _with_measures(row: ComparedRun, result: RunResult, reused: bool) -> ComparedRun:
    run_folder = result.paths["run"]
    url = files.join(run_folder, _MEASURED)
    if not reused:
        files.write_json(url, {"memory_bytes": result.memory_bytes["train"]})
    manifest = files.join(run_folder, "training", "manifest.json")
    predicts = result.goal == "ratings"
    training = files.without_seal(manifest, files.read_json(manifest))
    best = training["best_epoch"]
    return replace(
        row,
        rmse=result.rmse if predicts else None,
        training_rmse=training["history"][best - 1][0] if predicts and best else None,
        ndcg=result.ranking.get("ndcg"),
        recall=result.ranking.get("recall"),
        seconds=training["seconds"],
        memory_bytes=files.read_json(url)["memory_bytes"] if files.exists(url) else None,
        count=result.epochs,
        counted=result.counted,
        run_id=result.run_id,
    )


def _with_references(comparison: Comparison, result: RunResult) -> Comparison:
    """Take the split and the baselines from the first run that succeeded."""
    if (ranking := result.ranking) and not comparison.ranked_at:
        comparison = replace(
            comparison,
            ranked_at=ranking["count"],
            ranked_users=ranking["users"],
            most_rated=ranking["most_rated"],
        )
    if comparison.references:
        return comparison
    known = {name: result.evaluation[name]["rmse"] for name in ("mean", "biases")}
    return replace(comparison, split=result.split or "", ratings=result.evaluation["ratings"], references=known)
