"""The whole run on one screen: which stage follows which, and what each hands to the next.

Covers: the order of stages, what a run's id is made of, its record, and its result.
Does not cover: what a stage does (stages/), the cluster, the store and the rest that all stages lean on (runtime/).
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import Any

from distributed import Client

from pipeline.plan import local_allowance, plan_of, predict_for, size_of_grid
from pipeline.runtime.budget import Allowance, Prediction
from pipeline.runtime.cluster import open_client, refuse_unguarded_call, scheduler_address
from pipeline.runtime.context import Context
from pipeline.runtime.events import Event, Listener, Noticed, StageFinished, broadcast
from pipeline.runtime.failures import as_readable_errors
from pipeline.runtime.lock import hold_root
from pipeline.runtime.monitor import MemoryMonitor
from pipeline.runtime.record import MetricsFile, Record
from pipeline.runtime.result import RunResult
from pipeline.runtime.store import Store, content_id
from pipeline.settings import Settings
from pipeline.stages.evaluate import evaluate
from pipeline.stages.export import export
from pipeline.stages.grid import grid
from pipeline.stages.ingest import ingest
from pipeline.stages.predict import predict
from pipeline.stages.split import split
from pipeline.stages.synthesise import synthesise
from pipeline.stages.train import step_sizes, train
from tasks import files
from tasks.errors import FunkflowError, SettingsError
from tasks.kernels import ALGORITHM_VERSION
from tasks.sources import refuse_missing

STAGES = ("synth", "ingest", "split", "grid", "train", "evaluate", "export", "predict")


def run(
    settings: Settings | str | os.PathLike[str] | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    until: str = "predict",
    fresh: bool = False,
    listeners: Sequence[Listener] = (),
) -> RunResult:
    """Take raw ratings to a validated model, doing only what is not there already.

    Parameters
    ----------
    settings : the settings, as such or as nested mapping, or the name of a preset or the path of a TOML file.
    overrides : `section.key=value` words.
    until : the last stage to run, one of `STAGES`.
    fresh : forget the run's checkpoints and model and train anew.
    listeners : called with every event, in order (runtime/events.py).

    Raises
    ------
    FunkflowError
        With one line that says what, where, which value and what to do; its `exit_code` is the command's.
    """
    refuse_unguarded_call()
    if isinstance(settings, (str, os.PathLike)):
        settings = Settings.load(os.fspath(settings), overrides)
    elif isinstance(settings, Mapping):
        settings = Settings.build(settings, overrides)
    elif overrides:
        settings = Settings.build(settings.model_dump(exclude_unset=True), overrides)
    if until not in STAGES:
        raise SettingsError(f"there is no stage {until!r}; stages are {', '.join(STAGES)}")
    return _Run(settings, STAGES.index(until), fresh, listeners).run()


def predict_with(
    settings: Settings, model_folder: str, pairs: str, out: str, listeners: Sequence[Listener] = ()
) -> str:
    """Predict the pairs of a file with a saved model; return the folder of the predictions.

    Parameters
    ----------
    settings : where to run and how many pairs a task takes.
    """
    with as_readable_errors(out), open_client(settings.cluster) as client:
        context = Context(client, Store(out), broadcast(list(listeners)), uuid.uuid4().hex[:8])
        columns = (settings.ingest.columns.user, settings.ingest.columns.item)
        return predict(context, model_folder, pairs, columns, settings.predict.batch_pairs, out, ours=False)


class _Run:
    """One attempt at a run: the settings and services that its steps share."""

    def __init__(self, settings: Settings, last: int, fresh: bool, listeners: Sequence[Listener]) -> None:
        self.settings, self.last, self.fresh = settings, last, fresh
        self.result, self.metrics = RunResult(), MetricsFile()
        self.store = Store(settings.root if "://" in settings.root else os.path.abspath(settings.root))
        self.tell = broadcast([self._measure, self.metrics, *listeners])
        self.record: Record | None = None
        self.allowance: Allowance | None = None
        self.prediction: Prediction | None = None

    def run(self) -> RunResult:
        with ExitStack() as stack:
            stack.enter_context(as_readable_errors(self.settings.root))
            stack.enter_context(hold_root(self.settings.root))
            monitor = self.monitor = stack.enter_context(MemoryMonitor())
            started = time.monotonic()
            self.allowance = None if scheduler_address(self.settings.cluster) else local_allowance(self.settings)
            try:
                with as_readable_errors(self.settings.root):
                    client = stack.enter_context(open_client(self.settings.cluster))
                    self.result.seconds["cluster"] = time.monotonic() - started
                    self._stages(self._context(client))
            except BaseException as error:
                with suppress(OSError, FunkflowError):  # a full disk must not hide what went wrong first
                    self._close_record(error)
                raise
            finally:
                self.result.seconds["total"] = time.monotonic() - started
                self.result.peak_memory_bytes = monitor.peak_bytes
            self._close_record(None)
        return self.result

    def _context(self, client: Client) -> Context:
        """Return what the stages are given. Scratch that a killed run left goes: nobody else is at work here now."""
        if "://" not in self.settings.root:
            files.remove_tree(self.store.scratch(""))
        threads = self.settings.cluster.block_threads
        return Context(client, self.store, self.tell, uuid.uuid4().hex[:8], self._afford, threads)

    def _afford(self, stage: str) -> None:
        """Refuse what cannot fit when a stage turns out to have work to do; a cluster that is not ours is not known."""
        if self.allowance is None:
            return
        if stage == "ingest":
            plan = plan_of(self.settings, self.allowance)
            self.allowance.refuse_what_cannot_fit(plan.prediction, self._reaches("train"))
        elif self.prediction is not None:
            needed, worker = self.prediction.training_bytes, self.prediction.training_worker_bytes
            self.allowance.refuse_memory(needed, worker, stage)
            self.allowance.refuse_disk(self.prediction.run_disk_bytes)

    def _reaches(self, stage: str) -> bool:
        return STAGES.index(stage) <= self.last

    def _stages(self, context: Context) -> None:
        result, paths = self.result, self.result.paths
        settings, truth = self._raw(context)
        if not self._reaches("ingest"):
            return
        dataset = ingest(context, settings.ingest, settings.split.file)
        paths["dataset"] = self.store.dataset(dataset["id"])
        if not self._reaches("split"):
            return
        slice_fraction = settings.train.slice_fraction if settings.train.stop_on == "slice" else 0.0
        held_out = split(context, dataset, settings.split, settings.ingest, slice_fraction)
        result.split, paths["split"] = held_out["split"], self.store.split(held_out["id"])
        if not self._reaches("grid"):
            return
        blocks = grid(context, dataset, held_out, settings.grid)
        paths["grid"] = self.store.grid(blocks["id"])
        if not self._reaches("train"):
            return
        run_folder = self._begin(dataset, held_out, blocks)
        scale = tuple(dataset["scale"] or (dataset["rating_minimum"], dataset["rating_maximum"]))
        training = train(context, blocks, scale, settings.train, run_folder, self._streamed())
        result.rank, result.epochs, result.best_epoch = settings.train.rank, training["epochs"], training["best_epoch"]
        result.epoch_chosen_on = {"validation": held_out["split"], "slice": "a slice of the training ratings"}.get(
            settings.train.stop_on
        )
        if not self._reaches("evaluate"):
            return
        result.evaluation = evaluate(
            context,
            dataset,
            held_out,
            blocks,
            training,
            scale,
            run_folder,
            settings.train.rank,
            truth,
            self._streamed(),
        )
        if result.evaluation:
            result.rmse, result.mae = result.evaluation["model"]["rmse"], result.evaluation["model"]["mae"]
        if not self._reaches("export"):
            return
        about = {
            "run_id": result.run_id,
            "dataset": dataset["id"],
            "split": result.split,
            "rmse": result.rmse,
            "mae": result.mae,
            "epochs": result.epochs,
            "best_epoch": result.best_epoch,
            "epoch_chosen_on": result.epoch_chosen_on,
            "biases": settings.train.biases,
            "id_types": {side: dataset[f"{side}_id_type"] for side in ("user", "item")},
            "settings": self.settings.model_dump(mode="json"),
        }
        paths["model"] = export(context, dataset, training, scale, settings.train.rank, about, run_folder)
        if self._reaches("predict") and settings.predict.pairs:
            self._predict(context, settings, run_folder)

    def _raw(self, context: Context) -> tuple[Settings, str]:
        """Make the synthetic set if one is asked for; return the settings that point to it, and its planted truth."""
        settings, truth = self.settings, ""
        if not settings.synth and not self._reaches("ingest"):
            raise SettingsError("there is no [synth] section, so nothing to make; try funkflow synth demo")
        if settings.synth:
            raw = synthesise(context, settings.synth)
            self.result.paths["raw"], truth = raw["folder"], files.join(raw["folder"], "truth")
            settings = _on_synthetic(settings, raw["folder"])
        if settings.split.kind == "file" and self._reaches("ingest"):
            refuse_missing(settings.split.file, "split.file (--validation)", settings.ingest.ratings)
        if settings.predict.pairs and self._reaches("predict"):
            refuse_missing(settings.predict.pairs, "predict.pairs (--pairs)")
        return settings, truth

    def _predict(self, context: Context, settings: Settings, run_folder: str) -> None:
        chosen, paths = settings.predict, self.result.paths
        columns = (settings.ingest.columns.user, settings.ingest.columns.item)
        out = files.join(run_folder, "predictions")
        paths["predictions"] = predict(
            context, paths["model"], chosen.pairs, columns, chosen.batch_pairs, out, ours=True
        )

    def _begin(self, dataset: dict[str, Any], held_out: dict[str, Any], blocks: dict[str, Any]) -> str:
        """Name the run by what its result depends on, predict what it needs, and open its record."""
        chosen = self.settings.train
        run_id = self.result.run_id = content_id(
            grid=blocks["id"],
            train=chosen.model_dump(exclude={"checkpoint_epochs"}),
            steps=asdict(step_sizes(blocks, chosen)),
            algorithm=ALGORITHM_VERSION,
        )
        run_folder = self.result.paths["run"] = self.store.run(run_id)
        if self.allowance is not None:
            self.prediction = predict_for(self.settings, size_of_grid(blocks), blocks["shards"], self.allowance)
            self.result.predicted_memory_bytes = self.prediction.training_bytes
        if self.fresh:
            files.remove_tree(run_folder)
        self.record = Record(
            run_folder, run_id, self.settings, dataset=dataset["id"], split=held_out["id"], grid=blocks["id"]
        )
        self.metrics.open(run_folder)
        return run_folder

    def _streamed(self) -> bool:
        """Whether training reads blocks as it needs them; of a cluster that is not ours only the settings can tell."""
        return self.prediction.streamed if self.prediction else self.settings.cluster.blocks == "streamed"

    def _measure(self, event: Event) -> None:
        if isinstance(event, StageFinished):
            self.result.seconds[event.stage] = round(event.seconds, 3)
            self.result.memory_bytes[event.stage] = self.monitor.take_peak()

    def _close_record(self, error: BaseException | None) -> None:
        interrupted = isinstance(error, (KeyboardInterrupt, SystemExit))
        if interrupted:
            self.tell(Noticed(f"interrupted; the same command goes on from {self._what_is_kept()}", warning=True))
        if self.record is None:
            return
        if error is None:
            self.record.close("done", 0, result=self.result.to_dict())
            if "model" in self.result.paths:
                pointer = {"run_id": self.result.run_id, "model": f"runs/{self.result.run_id}/model"}
                files.write_json(files.join(self.settings.root, "current.json"), pointer)
        elif interrupted:
            self.record.close("interrupted", error.code if isinstance(error, SystemExit) else 130)
        else:
            code = error.exit_code if isinstance(error, FunkflowError) else 1
            message = f"{type(error).__name__}: {error}".split("\n")[0]
            self.metrics(Noticed(f"failed: {message}", warning=True))
            self.record.close("failed", code, error=message)

    def _what_is_kept(self) -> str:
        checkpoints = files.names(files.join(self.result.paths.get("run", ""), "checkpoints")) if self.record else []
        return (
            "the last checkpoint" if any(name.endswith(".json") for name in checkpoints) else "the last finished stage"
        )


def _on_synthetic(settings: Settings, folder: str) -> Settings:
    """Point ingest at the synthetic set and the split at its probe file, unless the settings say otherwise."""
    content = settings.model_dump()
    if not settings.ingest.ratings:
        content["ingest"]["ratings"] = (folder,)
    if settings.split.kind == "file" and settings.split.file == "probe.txt":
        content["split"]["file"] = files.join(folder, "probe.txt")
    return Settings.model_validate(content)
