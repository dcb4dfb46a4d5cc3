"""The whole run on one screen: which stage follows which, and what each hands to the next.

Covers: the order of stages, and what a run's id is made of.
Does not cover: what a stage does (pipeline/stages/), what stands around them in one attempt at a run
(pipeline/running/attempt.py).
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import refuse_unguarded_call
from funkflow.pipeline.models.start_model import Lineage, relevant
from funkflow.pipeline.models.usefulness import remedy, shortfall
from funkflow.pipeline.progress.events import Listener, Noticed
from funkflow.pipeline.progress.shown import shown
from funkflow.pipeline.root.manifests import Dataset, Evaluation, Split, Training, TrainingData
from funkflow.pipeline.root.model_in_use import run_in_use
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.root.store import content_id
from funkflow.pipeline.running.attempt import Attempt
from funkflow.pipeline.running.execution import Execution, execute
from funkflow.pipeline.settings.effective import from_anywhere, on_synthetic
from funkflow.pipeline.settings.ingest import FILES_ALONE
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.presets import refuse_missing_data
from funkflow.pipeline.settings.request import STAGES as STAGES
from funkflow.pipeline.settings.request import Request
from funkflow.pipeline.settings.sections import Settings
from funkflow.pipeline.stages.baseline import baseline
from funkflow.pipeline.stages.evaluate import evaluate
from funkflow.pipeline.stages.export import export
from funkflow.pipeline.stages.gate import Candidate, gate, refused
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.stages.ingest import ingest
from funkflow.pipeline.stages.leakage import unseen
from funkflow.pipeline.stages.predict import predict
from funkflow.pipeline.stages.ranking import ranking
from funkflow.pipeline.stages.recommend import recommend
from funkflow.pipeline.stages.report import report
from funkflow.pipeline.stages.spectrum import spectrum
from funkflow.pipeline.stages.split import split
from funkflow.pipeline.stages.synthesise import synthesise
from funkflow.pipeline.training.step_sizes import step_sizes
from funkflow.pipeline.training.warm_start import WarmStart
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.model.rated import users_by_part
from funkflow.tasks.parsing.sources.sources import refuse_missing
from funkflow.tasks.redact import masked_content
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import Errors
from funkflow.tasks.versions import ALGORITHM_VERSION


def run(
    settings: Settings | str | os.PathLike[str] | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    until: str = STAGES[-1],
    fresh: bool = False,
    listeners: Sequence[Listener] = (),
    date: str | datetime.date | None = None,
    wait_seconds: float = 0.0,
    if_new: bool = False,
    force: bool = False,
    progress: bool | None = None,
) -> RunResult:
    """Take raw ratings to a validated model, doing only what is not there already.

    Parameters
    ----------
    settings : the settings, as such or as nested mapping, or the name of a preset or the path of a TOML file.
    overrides : `section.key=value` words.
    until : the last stage to run, one of `STAGES`.
    fresh : forget the run's checkpoints and model and train anew.
    listeners : called with every event, in order (pipeline/progress/events.py).
    date : the logical date, YYYY-MM-DD, that `{date}` and `{dates}` in paths stand for; None: today's, in UTC.
    wait_seconds : how long to wait for another run under the same root to end.
    if_new : do nothing where no input came or changed since these settings last ended well.
    force : redo every stage, but for the raw data.
    progress : show how far it is, in a notebook or on standard error; None: in a notebook only.

    Raises
    ------
    FunkflowError
        With one line that says what, where, which value and what to do; its `exit_code` is the command's.
    """
    refuse_unguarded_call()
    if isinstance(settings, (str, os.PathLike)):
        name, settings = os.fspath(settings), Settings.load(os.fspath(settings), overrides)
        refuse_missing_data(name, settings.ingest.ratings)
    elif isinstance(settings, Mapping):
        settings = Settings.build(settings, overrides)
    elif not isinstance(settings, Settings):
        raise SettingsError(
            f"run: settings are a {type(settings).__name__}; give a preset's name, the path of a .toml file, a mapping "
            f"or Settings. {FILES_ALONE}"
        )
    elif overrides:
        settings = Settings.build(settings.model_dump(exclude_unset=True), overrides)
    request = Request.checked(until, date, fresh, force, wait_seconds=wait_seconds, if_new=if_new)
    with shown(progress) as watching:
        return execute(settings, request, [*listeners, *watching], work)


def work(execution: Execution) -> RunResult:
    """Go through the stages of an execution that has something to do."""
    return _Run(execution).run()


class _Run:
    """The stages of one attempt, in order."""

    def __init__(self, execution: Execution) -> None:
        self.execution, self.settings = execution, execution.settings
        self._reaches = execution.request.reaches
        self.attempt = Attempt(execution)
        self.result, self.store = execution.result, execution.store

    def run(self) -> RunResult:
        return self.attempt.run(self._stages)

    def _stages(self, context: Context) -> None:
        result, paths = self.result, self.result.paths
        settings, truth = self._raw(context)
        if not self._reaches("ingest"):
            return
        dataset = ingest(context, settings.ingest, settings.split.file)
        paths["dataset"] = dataset.folder
        if users := settings.recommend.users:  # an unknown one is refused before training, not after
            users_by_part(users, dataset.id_place("user"), len(dataset.parts))
        if not self._reaches("split"):
            return
        held_out, lineage = self._split(context, settings, dataset)
        result.split, paths["split"] = held_out.split, held_out.folder
        if not self._reaches("grid"):
            return
        blocks = grid(context, dataset, held_out, settings.grid)
        paths["grid"] = blocks.folder
        if not self._reaches("train"):
            return
        data = TrainingData(dataset, held_out, blocks)
        training, baselines = self._train(context, data, lineage)
        if not self._reaches("evaluate"):
            return
        reached = evaluate(context, data, training, rank=settings.train.rank, baselines=baselines, truth=truth)
        self._warn(context, data, reached)
        if not self._reaches("export"):
            return
        about = self._about(data, lineage)
        paths["model"] = export(context, dataset, training, settings.train.rank, about)
        candidate = Candidate(str(result.run_id), paths["model"], data, result.evaluation)
        result.gate = gate(context, candidate, run_in_use(self.store.root), settings.gate, settings.split)
        self._serve(context, settings, data, training)
        if refusal := result.gate.get("refusal"):
            raise refused(str(result.run_id), refusal)

    def _train(self, context: Context, data: TrainingData, lineage: Lineage) -> tuple[Training, dict[str, Errors]]:
        """Find the factors, by the method that the settings name, and what they must beat."""
        result, chosen, scale = self.result, self.settings.train, data.dataset.bounds
        result.transform = self.settings.ingest.transform
        run_folder = self._begin(data, lineage)
        baselines = baseline(context, data.split, data.grid, scale, self.attempt.streamed)
        method = self._method(lineage, data.dataset)
        training = method(
            context, data.grid, scale, settings=chosen, run_folder=run_folder, streamed=self.attempt.streamed
        )
        result.rank, result.epochs, result.best_epoch = chosen.rank, training.epochs, training.best_epoch
        result.counted = training.counted
        if not METHODS[chosen.method].missing_as_zero:
            slices = {"validation": data.split.split, "slice": "a slice of the training ratings"}
            result.epoch_chosen_on = slices.get(chosen.stop_on)
        return training, baselines

    def _about(self, data: TrainingData, lineage: Lineage) -> dict[str, Any]:
        """Return what model.json says of the run."""
        result = self.result
        return {
            "run_id": result.run_id,
            "dataset": data.dataset.id,
            "split": result.split,
            "rmse": result.rmse,
            "mae": result.mae,
            "epochs": result.epochs,
            "best_epoch": result.best_epoch,
            "epoch_chosen_on": result.epoch_chosen_on,
            "biases": self.settings.train.biases,
            **masked_content(lineage.told(data.split.id)),
            "id_types": data.dataset.id_types,
            "counted": result.counted,
            **({"transform": result.transform} if result.transform != "none" else {}),
            "settings": masked_content(from_anywhere(self.settings).model_dump(mode="json")),
        }

    def _warn(self, context: Context, data: TrainingData, reached: Evaluation | None) -> None:
        """Take over what the model reached, and say in one line if it is of no use."""
        result = self.result
        if reached is not None:
            result.evaluation = reached.content()
            result.rmse, result.mae = reached.model.rmse, reached.model.mae
        if short := shortfall(result.evaluation):
            result.warning = f"the model is of no use: {short}; {remedy(self.settings, data.dataset, data.grid)}"
            context.notify(Noticed(result.warning, warning=True))

    def _serve(self, context: Context, settings: Settings, data: TrainingData, training: Training) -> None:
        """Put the exported model to use; one that its gate refused is measured and reported on, and serves nobody."""
        result, model = self.result, self.result.paths["model"]
        folders = {"model_folder": model, "run_folder": training.run_folder}
        passes = result.gate.get("passed", True)
        if self._reaches("spectrum"):
            spectrum(context, model, result.paths["grid"])
        if self._reaches("ranking"):
            result.ranking = ranking(context, data.dataset, data.split, settings=settings.ranking, **folders)
        if passes and self._reaches("recommend") and settings.recommend.count:
            result.paths["recommendations"] = recommend(
                context, data.dataset, data.split, settings=settings.recommend, **folders
            )
        if passes and self._reaches("predict") and settings.predict.pairs:
            self._predict(context, settings, training.run_folder)
        if self._reaches("report") and settings.report.write:
            told = self.attempt.told_for_report()
            result.paths["report"] = report(context, data, training, model, settings=settings.report, told=told)

    def _split(self, context: Context, settings: Settings, dataset: Dataset) -> tuple[Split, Lineage]:
        """Hold ratings out, but for those that the model which training starts from was trained on."""
        slice_fraction = settings.train.slice_fraction if settings.train.stop_on == "slice" else 0.0
        held_out = split(context, dataset, settings.split, settings.ingest, slice_fraction)
        lineage = Lineage.of(
            self.store.root, settings, dataset, held_out, slice_fraction=slice_fraction, notify=context.notify
        )
        if lineage.ancestor is not None:
            held_out = unseen(
                context, dataset, held_out, lineage.ancestor, settings=settings.split, slice_fraction=slice_fraction
            )
        return held_out, lineage

    def _method(self, lineage: Lineage, dataset: Dataset) -> Callable[..., Training]:
        run_method, ancestor = METHODS[self.settings.train.method].run_function(), lineage.ancestor
        return run_method if ancestor is None else partial(run_method, warm=WarmStart(ancestor, dataset))

    def _raw(self, context: Context) -> tuple[Settings, str]:
        """Make the synthetic set if one is asked for; return the settings that point to it, and its planted truth."""
        settings, truth = self.settings, ""
        if not settings.synth and not self._reaches("ingest"):
            raise SettingsError("there is no [synth] section, so nothing to make; try funkflow synth demo")
        if settings.synth:
            raw = synthesise(context, settings.synth)
            self.result.paths["raw"] = raw.folder
            if settings.ingest.transform == "none":  # what is planted is in rating units
                truth = files.join(raw.folder, "truth")
            settings = on_synthetic(settings, raw.folder)
        if settings.split.kind == "file" and self._reaches("ingest"):
            refuse_missing(settings.split.file, "split.file (--validation)", settings.ingest.ratings)
        if settings.predict.pairs and self._reaches("predict"):
            refuse_missing(settings.predict.pairs, "predict.pairs (--pairs)")
        self.execution.read_inputs(settings)
        return settings, truth

    def _predict(self, context: Context, settings: Settings, run_folder: str) -> None:
        chosen, paths = settings.predict, self.result.paths
        columns = (settings.ingest.columns.user, settings.ingest.columns.item)
        out = files.join(run_folder, "predictions")
        paths["predictions"] = predict(
            context,
            paths["model"],
            chosen.pairs,
            columns=columns,
            batch_pairs=chosen.batch_pairs,
            folder=out,
            ours=True,
            quoting=settings.ingest.quoting,
        )

    def _begin(self, data: TrainingData, lineage: Lineage) -> str:
        """Name the run by what its result depends on, and open its record; return its folder."""
        chosen = self.settings.train
        steps = step_sizes(data.grid, chosen)
        run_id = content_id(
            grid=data.grid.id,
            train=relevant(chosen),
            steps=asdict(steps),
            algorithm=ALGORITHM_VERSION,
            **({"start": lineage.ancestor.content} if lineage.ancestor else {}),
        )
        return self.attempt.begin(run_id, data, steps if METHODS[chosen.method].counts_epochs else None)
