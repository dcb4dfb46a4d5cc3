"""Run several methods at several ranks on one dataset and split, and collect the results.

Covers: the settings of each run, its measures, a method that fails, and the table on disk.
Does not cover: a run (pipeline/flow.py), or the look of a comparison (table.py, page.py, drawing.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

from funkflow.pipeline import flow
from funkflow.pipeline.progress.events import Event, Listener, Noticed, StageFinished
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.root.store import FORMAT_VERSION, content_id
from funkflow.pipeline.settings.cluster import cores
from funkflow.pipeline.settings.methods import METHODS, without_effect
from funkflow.pipeline.settings.sections import IDLE_SECTIONS, Settings
from funkflow.tasks.errors import FunkflowError, SettingsError, TryAgainLater
from funkflow.tasks.redact import masked, masked_content
from funkflow.tasks.storage import files

PURE = {"biases": False, "center": False}
_MEASURED = "measured.json"


@dataclass(frozen=True)
class ComparedRun:
    """One run. `pure` : the unbiased model, A ≈ U V^T; `failed` : the reason if there is no result, else "".

    rmse : on the validation ratings; training_rmse : on the training ratings, unclipped, of the best epoch; both in
    rating units. seconds : of training, with the loading of blocks. memory_bytes : peak of all processes in training;
    None if an earlier command trained the run. count : number of epochs, or of the unit `counted`.
    """

    method: str
    rank: int
    pure: bool
    rmse: float | None = None
    training_rmse: float | None = None
    seconds: float | None = None
    memory_bytes: int | None = None
    count: int | None = None
    counted: str = "epochs"
    run_id: str | None = None
    failed: str = ""


@dataclass(frozen=True)
class Comparison:
    """Runs compared on the same validation ratings. `references` : RMSE of the mean rating and of biases alone."""

    split: str = ""
    ratings: int = 0
    cores: int = 0
    references: dict[str, float] = field(default_factory=dict)
    rows: tuple[ComparedRun, ...] = ()

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    def forms(self) -> Iterator[tuple[bool, dict[str, list[ComparedRun]]]]:
        """Yield for each form, pure or not, the rows that have a result, by method and in the order of their ranks."""
        for pure in sorted({row.pure for row in self.rows}):
            curves: dict[str, list[ComparedRun]] = {}
            for row in sorted(self.rows, key=lambda row: row.rank):
                if row.pure == pure and row.rmse is not None:
                    curves.setdefault(row.method, []).append(row)
            if curves:
                yield pure, {method: curves[method] for method in METHODS if method in curves}


def compare_methods(
    settings: Settings, methods: Sequence[str], ranks: Sequence[int], *, pure: bool = False, fresh: bool = False,
    listeners: Sequence[Listener] = (),
) -> tuple[Comparison, str]:  # fmt: skip
    """Run each method at each rank; return the comparison and the folder where its table lies.

    All runs share the grid. An existing run is not trained again, and a failed one becomes a row with the reason. The
    table is written after each run, so that it survives an interruption.

    Parameters
    ----------
    settings : for each method, settings of [train] without effect are left out.
    pure : run each method a second time without mean and biases.
    fresh : train from scratch, to measure time and memory.

    Raises
    ------
    SettingsError
        A method is unknown, there is no rank, or there are no validation ratings.
    FunkflowError
        An error that stops every run: of the data, the root or the cluster.
    """
    _refuse(settings, methods, ranks)
    chosen = [
        (method, rank, form) for form in ((False, True) if pure else (False,)) for rank in ranks for method in methods
    ]
    folder = files.join(settings.root, "comparisons", _comparison_id(settings, methods, ranks, pure))
    flow.run(settings, until="grid", listeners=listeners)
    comparison = Comparison(cores=cores())
    for number, (method, rank, form) in enumerate(chosen, start=1):
        words = f"{method}, rank {rank}{', pure form' if form else ''}"
        _tell_all(listeners, Noticed(f"comparing {number} of {len(chosen)}: {words}"))
        row, result = _run_one(settings, ComparedRun(method, rank, form), fresh, listeners)
        if row.failed:
            _tell_all(listeners, Noticed(f"{words}: {row.failed}", warning=True))
        if result is not None:
            comparison = _with_references(comparison, result)
        comparison = replace(comparison, rows=(*comparison.rows, row))
        content = masked_content({**comparison.to_dict(), "settings": settings.model_dump(mode="json")})
        files.write_json(files.join(folder, "comparison.json"), {**content, "format_version": FORMAT_VERSION})
    return comparison, folder


def _refuse(settings: Settings, methods: Sequence[str], ranks: Sequence[int]) -> None:
    for method in methods:
        if method not in METHODS:
            raise SettingsError(f"there is no method {method!r}; methods are {', '.join(METHODS)}")
    if not methods or not ranks or min(ranks) < 1:
        raise SettingsError("nothing to compare: name at least one method and ranks from 1 on")
    if settings.split.kind == "none":
        raise SettingsError('split.kind = "none" leaves no validation ratings to compare on; hold some out')


def _comparison_id(settings: Settings, methods: Sequence[str], ranks: Sequence[int], pure: bool) -> str:
    content = settings.model_dump(mode="json", exclude={*IDLE_SECTIONS, "predict"})
    for name in ("method", "rank"):
        del content["train"][name]
    return content_id(settings=content, methods=list(methods), ranks=list(ranks), pure=pure)


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
        result = flow.run(_settings_of(settings, row), until="evaluate", fresh=fresh, listeners=[hear, *listeners])
    except TryAgainLater:
        raise
    except FunkflowError as error:
        return replace(row, failed=error.message), None
    except Exception as error:
        first_line = str(error).splitlines()[0] if str(error) else ""
        return replace(row, failed=f"unexpected {type(error).__name__}: {masked(first_line)}"), None
    reused = any(event.stage == "train" and event.reused for event in finished)
    return _with_measures(row, result, reused), result


def _settings_of(settings: Settings, row: ComparedRun) -> Settings:
    """Return the settings of one run, without those that have no effect with its method."""
    content = settings.model_dump(exclude_unset=True)
    train = {**content.get("train", {}), "method": row.method, "rank": row.rank, **(PURE if row.pure else {})}
    idle = without_effect(row.method, train)
    content["train"] = {name: value for name, value in train.items() if name not in idle}
    return Settings.build(content)


def _with_measures(row: ComparedRun, result: RunResult, reused: bool) -> ComparedRun:
    run_folder = result.paths["run"]
    url = files.join(run_folder, _MEASURED)
    if not reused:
        files.write_json(url, {"memory_bytes": result.memory_bytes["train"]})
    manifest = files.join(run_folder, "training", "manifest.json")
    training = files.without_seal(manifest, files.read_json(manifest))
    return replace(
        row,
        rmse=result.rmse,
        training_rmse=training["history"][training["best_epoch"] - 1][0] if training["best_epoch"] else None,
        seconds=training["seconds"],
        memory_bytes=files.read_json(url)["memory_bytes"] if files.exists(url) else None,
        count=result.epochs,
        counted=result.counted,
        run_id=result.run_id,
    )


def _with_references(comparison: Comparison, result: RunResult) -> Comparison:
    """Take the split and the baselines from the first run that succeeded."""
    if comparison.references:
        return comparison
    known = {name: result.evaluation[name]["rmse"] for name in ("mean", "biases")}
    return replace(comparison, split=result.split or "", ratings=result.evaluation["ratings"], references=known)
