"""The whole run: the order of its stages, and the values that they pass on.

Covers: the order of stages, and the run's id.
Does not cover: the stages (pipeline/stages/), the cluster and the record around them (pipeline/running/attempt.py).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, cast

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.datasets.described import feature_places
from funkflow.pipeline.datasets.known_pairs import KnownPairs
from funkflow.pipeline.models.calibration import calibrate_intervals
from funkflow.pipeline.models.start_model import RunStart
from funkflow.pipeline.models.usefulness import ranking_shortfall, remedy, shortfall
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Dataset, Split, Training, TrainingData
from funkflow.pipeline.root.model_in_use import run_in_use
from funkflow.pipeline.root.model_manifests import Evaluation
from funkflow.pipeline.root.result import RankingResult, RunResult
from funkflow.pipeline.running.attempt import Attempt
from funkflow.pipeline.running.execution import Execution
from funkflow.pipeline.running.raw_data import raw_data
from funkflow.pipeline.settings.effective import FOR_A_RANKING, may_have_counts, on_counts, with_absolute_paths
from funkflow.pipeline.settings.methods import ALL_METHODS
from funkflow.pipeline.settings.sections import Settings
from funkflow.pipeline.stages.baseline import Baselines, baseline
from funkflow.pipeline.stages.evaluate import evaluate
from funkflow.pipeline.stages.export import export
from funkflow.pipeline.stages.fold_given import fold_given
from funkflow.pipeline.stages.gate import Candidate, gate, refused
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.stages.ingest import ingest
from funkflow.pipeline.stages.leakage import unseen
from funkflow.pipeline.stages.predict import PairsFile, predict
from funkflow.pipeline.stages.ranking import ranking
from funkflow.pipeline.stages.recommend import recommend, similar
from funkflow.pipeline.stages.report import report
from funkflow.pipeline.stages.spectrum import spectrum
from funkflow.pipeline.stages.split import split
from funkflow.pipeline.training.job import TrainingJob, WarmStart
from funkflow.pipeline.training.kernels_ahead import compile_ahead
from funkflow.pipeline.training.new_rows import with_new_rows
from funkflow.pipeline.training.sample_rule import sample_rule
from funkflow.pipeline.training.step_sizes import step_sizes
from funkflow.tasks.model.about import About
from funkflow.tasks.model.rated import users_by_part
from funkflow.tasks.redact import masked_content
from funkflow.tasks.storage import files
from funkflow.tasks.training.score import Errors


def work(execution: Execution) -> RunResult:
    """Run the stages of an execution."""
    return _Run(execution).run()


class _Run:
    """The stages of one attempt, in order."""

    def __init__(self, execution: Execution) -> None:
        self.execution, self.settings = execution, execution.settings
        self._reaches = execution.request.reaches
        self.attempt = Attempt(execution)
        self.result, self.store = execution.result, execution.store

    def run(self) -> RunResult:
        return self.attempt.run(self._stages_and_kernels)

    def _stages_and_kernels(self, context: Context) -> None:
        if not self.attempt.memory.is_worker:
            return self._stages(context)
        with compile_ahead(self.settings.train, self._reaches("train"), self._reaches("ranking")):
            return self._stages(context)

    def _stages(self, context: Context) -> None:
        result, paths = self.result, self.result.paths
        settings, truth = raw_data(context, self.execution)
        if not self._reaches("ingest"):
            return
        dataset = ingest(context, settings.ingest, settings.split.file, events=may_have_counts(settings))
        paths["dataset"] = dataset.folder
        settings = self._suited(context, settings, dataset)
        if users := settings.recommend.users:  # refuse an unknown user before training
            users_by_part(users, dataset.id_place("user"), len(dataset.parts))
        if not self._reaches("split"):
            return
        held_out, start = self._split(context, settings, dataset)
        result.split, paths["split"] = held_out.split, held_out.folder
        if not self._reaches("grid"):
            return
        data = self._blocks(context, settings, dataset, held_out)
        if not self._reaches("train"):
            return
        training, baselines = self._train(context, data, start)
        if not self._reaches("evaluate"):
            return
        alpha = self._own_numbers(data).get("alpha", 0.0)
        training = fold_given(context, data, training, settings.train, alpha)
        evaluation = self._evaluate(context, data, training, baselines, truth=truth)
        if not self._reaches("export"):
            if self._reaches("ranking"):  # by itself, for a comparison
                self._rank(context, data, training, self._export(context, data, training, start))
            return
        paths["model"] = self._export(context, data, training, start)
        calibrate_intervals(context, data, training, paths["model"], evaluation)
        ranked = self._rank(context, data, training, paths["model"]) if settings.train.goal == "ranking" else None
        candidate = Candidate(str(result.run_id), paths["model"], data, result.evaluation, ranked)
        result.gate = gate(
            context, candidate, run_in_use(self.store.root, settings.train.goal), settings.gate, settings.split
        )
        self._serve(context, settings, data, training)
        if refusal := result.gate.get("refusal"):
            raise refused(str(result.run_id), refusal)

    def _blocks(self, context: Context, settings: Settings, dataset: Dataset, held_out: Split) -> TrainingData:
        """Return what training reads: its ratings as blocks, with what else is known of their pairs."""
        self.times = settings.train.effects_of_time(dataset.timestamps, held_out.training_ratings)
        blocks = grid(
            context, dataset, held_out, settings.grid, settings.train.weighs_missing_cells, days=self.times != "none",
            known=KnownPairs.of(context, dataset, settings.ingest),
        )  # fmt: skip
        self.result.paths["grid"] = blocks.folder
        if blocks.known and blocks.known.of_validation:
            held_out = replace(held_out, split=f"{held_out.split}, its pairs known")
            self.result.split = held_out.split
        return TrainingData(dataset, held_out, blocks)

    def _train(self, context: Context, data: TrainingData, start: RunStart) -> tuple[Training, dict[str, Errors]]:
        """Train by the method of the settings; return the training, and the errors of the baselines."""
        result, chosen, scale = self.result, self.settings.train, data.dataset.bounds
        result.transform = self.settings.ingest.transform
        run_folder = self._begin(data, start)
        baselines = Baselines({})
        if not chosen.weighs_missing_cells:  # else scores are no ratings, and have no RMSE
            baselines = baseline(context, data.split, data.grid, scale, self.attempt.streamed)
        warm = WarmStart(start.model, data.dataset) if start.model else None
        job = TrainingJob(
            context, data.grid, scale, chosen, run_folder=run_folder, streamed=self.attempt.streamed, warm=warm,
            ranked=sample_rule(data.dataset, self.settings), placed=baselines.placed,
            features=feature_places(data.dataset), times=self.times,
        )  # fmt: skip
        training: Training = ALL_METHODS[chosen.trained_as].run_function()(job)
        training = with_new_rows(context, data, training, chosen, job.features)
        result.rank, result.epochs, result.best_epoch = training.rank(chosen.rank), training.epochs, training.best_epoch
        result.counted = training.counted
        result.goal = chosen.goal
        slices = {"validation": data.split.split, "slice": "a slice of the training ratings"}
        if training.ranked:
            result.epoch_chosen_on = f"{slices[chosen.stop_on]}, by NDCG@{training.ranked.places}"
        elif chosen.stops_by == "rmse":
            result.epoch_chosen_on = slices[chosen.stop_on]
        return training, baselines.errors

    def _export(self, context: Context, data: TrainingData, training: Training, start: RunStart) -> str:
        return export(context, data, training, training.rank(self.settings.train.rank), self._about(data, start))

    def _about(self, data: TrainingData, start: RunStart) -> About:
        """Return the facts of the run for model.json."""
        result, alpha = self.result, self._own_numbers(data).get("alpha")
        about = {
            "run_id": result.run_id,
            "dataset": data.dataset.id,
            "split": result.split,
            "rmse": result.rmse,
            "mae": result.mae,
            "epochs": result.epochs,
            "best_epoch": result.best_epoch,
            "epoch_chosen_on": result.epoch_chosen_on,
            "biases": self.settings.train.biases,
            **({"goal": "ranking"} if self.settings.train.goal == "ranking" else {}),
            **({"counts": True} if data.dataset.counts else {}),
            **({"alpha": alpha} if alpha else {}),
            **masked_content(start.content(data.split.id)),
            "id_types": data.dataset.id_types,
            "counted": result.counted,
            **({"transform": result.transform} if result.transform != "none" else {}),
            "settings": masked_content(with_absolute_paths(self.settings).model_dump(mode="json")),
        }
        return cast(About, about)

    def _evaluate(
        self, context: Context, data: TrainingData, training: Training, baselines: dict[str, Errors], truth: str
    ) -> Evaluation | None:
        """Measure the errors of a model that predicts ratings, and warn in one line if it is not useful."""
        result, chosen = self.result, self.settings.train
        if chosen.weighs_missing_cells:
            return None
        reached = evaluate(context, data, training, rank=training.rank(chosen.rank), baselines=baselines, truth=truth)
        if reached is not None:
            result.evaluation = reached.content()
            result.rmse, result.mae = reached.model.rmse, reached.model.mae
        if self.settings.train.goal == "ratings" and (short := shortfall(result.evaluation)):
            self._call_useless(context, short, data)
        return reached

    def _rank(self, context: Context, data: TrainingData, training: Training, model: str) -> RankingResult:
        """Measure the ranking, copy it to the result, and warn if a model for recommendations is not useful."""
        result, chosen = self.result, self.settings
        result.ranking = ranking(context, data.dataset, data.split, model, chosen.ranking, training.run_folder)
        if chosen.train.goal == "ranking" and (short := ranking_shortfall(result.ranking)):
            self._call_useless(context, short, data)
        return result.ranking

    def _call_useless(self, context: Context, short: str, data: TrainingData) -> None:
        self.result.warning = f"the model is not useful: {short}; {remedy(self.settings, data.dataset, data.grid)}"
        context.notify(Noticed(self.result.warning, warning=True))

    def _serve(self, context: Context, settings: Settings, data: TrainingData, training: Training) -> None:
        """Measure, report and use the exported model; one that its gate refused is only measured and reported."""
        result, model = self.result, self.result.paths["model"]
        passes = result.gate.get("passed", True)
        if self._reaches("spectrum"):
            spectrum(context, model, result.paths["grid"])
        if self._reaches("ranking") and settings.train.goal == "ratings":
            self._rank(context, data, training, model)
        if passes and self._reaches("recommend") and settings.recommend.count:
            result.paths["recommendations"] = recommend(
                context, data.dataset, data.split, model, settings=settings.recommend, run_folder=training.run_folder
            )
        if passes and self._reaches("recommend") and settings.recommend.similar:
            result.paths["similar"] = similar(context, model, settings.recommend.similar, training.run_folder)
        if passes and self._reaches("predict") and settings.predict.pairs:
            self._predict(context, settings, training.run_folder)
        if self._reaches("report") and settings.report.write:
            summary = self.attempt.summary()
            result.paths["report"] = report(context, data, training, model, settings=settings.report, run=summary)

    def _suited(self, context: Context, settings: Settings, dataset: Dataset) -> Settings:
        """Return settings that suit what the ratings are, which the files tell."""
        if not dataset.counts:
            return settings
        suited = on_counts(settings)
        if suited is not settings:
            context.notify(Noticed(FOR_A_RANKING))
            self.settings = self.attempt.settings = suited
        return suited

    def _split(self, context: Context, settings: Settings, dataset: Dataset) -> tuple[Split, RunStart]:
        """Hold ratings out, without those that the start model was trained on."""
        slice_fraction = settings.train.slice_fraction if settings.train.stop_on == "slice" else 0.0
        held_out = split(context, dataset, settings.split, settings.ingest, slice_fraction)
        start = RunStart.of(
            self.store.root, settings, dataset, held_out, slice_fraction=slice_fraction, notify=context.notify
        )
        if start.model is not None:
            held_out = unseen(
                context, dataset, held_out, start.model, settings=settings.split, slice_fraction=slice_fraction
            )
        return held_out, start

    def _predict(self, context: Context, settings: Settings, run_folder: str) -> None:
        chosen, paths = settings.predict, self.result.paths
        named = settings.ingest.columns
        columns = (named.user, named.item, named.timestamp)
        pairs = PairsFile(chosen.pairs, columns, settings.ingest.quoting, chosen.intervals)
        out = files.join(run_folder, "predictions")
        paths["predictions"] = predict(context, paths["model"], pairs, chosen.batch_pairs, folder=out, ours=True)

    def _begin(self, data: TrainingData, start: RunStart) -> str:
        """Compute the run's id from all that its result depends on, open its record, and return its folder."""
        chosen = self.settings.train
        steps = step_sizes(data.grid, chosen)
        run_id = start.run_id(data.grid.id, chosen, asdict(steps), self._own_numbers(data))
        return self.attempt.begin(run_id, data, steps if ALL_METHODS[chosen.trained_as].counts_epochs else None)

    def _own_numbers(self, data: TrainingData) -> dict[str, Any]:
        """Return the numbers of the method's own rule, and of the sample whose rankings decide."""
        chosen, rule = self.settings.train, sample_rule(data.dataset, self.settings)
        own = ALL_METHODS[chosen.trained_as].own_numbers(data.grid, data.dataset.bounds, chosen)
        return {**own, **({"ranked": asdict(rule)} if rule else {})}
