"""The whole run on one screen: which stage follows which, and what each hands to the next.

Covers: the order of stages, what a run's id is made of, its record, and its result.
Does not cover: what a stage does (stages/), the cluster, the store and the rest that all stages lean on (runtime/).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.plan import plan_of
from pipeline.runtime.budget import Size, available_memory_bytes, predict_bytes, refuse_what_cannot_fit
from pipeline.runtime.cluster import cores, open_client, refuse_unguarded_call
from pipeline.runtime.context import Context
from pipeline.runtime.events import Event, Listener, Noticed, StageFinished, broadcast
from pipeline.runtime.lock import hold_root
from pipeline.runtime.monitor import MemoryMonitor
from pipeline.runtime.record import MetricsFile, Record
from pipeline.runtime.store import Store, content_id
from pipeline.settings import Settings
from pipeline.stages.evaluate import evaluate
from pipeline.stages.export import export
from pipeline.stages.grid import grid
from pipeline.stages.ingest import ingest
from pipeline.stages.predict import predict
from pipeline.stages.split import split
from pipeline.stages.synthesise import synthesise
from pipeline.stages.train import train
from tasks import files
from tasks.errors import FunkflowError, SettingsError

STAGES = ("synth", "ingest", "split", "grid", "train", "evaluate", "export", "predict")


@dataclass
class RunResult:
    """What a run came to. RMSE and MAE are in rating units, on the ratings that `split` names.

    `evaluation` has RMSE and MAE of the mean, the biases alone, the model and, for synthetic data, the planted truth.
    `seconds`, `memory_bytes` (peak of all processes on this machine) and `paths` go by stage and by what lies there.
    What was not reached stays None or empty.
    """

    run_id: str | None = None
    split: str | None = None
    rmse: float | None = None
    mae: float | None = None
    rank: int | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    epoch_chosen_on: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    memory_bytes: dict[str, int] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    predicted_memory_bytes: int = 0
    evaluation: dict[str, Any] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def run(
    settings: Settings | str,
    overrides: Sequence[str] = (),
    *,
    until: str = "predict",
    fresh: bool = False,
    listeners: Sequence[Listener] = (),
) -> RunResult:
    """Take raw ratings to a validated model, doing only what is not there already.

    Parameters
    ----------
    settings : the settings, or the name of a preset or the path of a TOML file.
    overrides : `section.key=value` words, where `settings` is a name or path.
    until : the last stage to run, one of `STAGES`.
    fresh : forget the run's checkpoints and model and train anew.
    listeners : called with every event, in order (runtime/events.py).

    Raises
    ------
    FunkflowError
        With one line that says what, where, which value and what to do; its `exit_code` is the command's.
    """
    refuse_unguarded_call()
    if isinstance(settings, str):
        settings = Settings.load(settings, overrides)
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
    with open_client(settings.cluster) as client:
        context = Context(client, Store(settings.root), broadcast(list(listeners)), uuid.uuid4().hex[:8])
        return predict(context, model_folder, pairs, settings.predict.batch_pairs, out)


class _Run:
    """One attempt at a run: the settings and services that its steps share."""

    def __init__(self, settings: Settings, last: int, fresh: bool, listeners: Sequence[Listener]) -> None:
        self.settings, self.last, self.fresh = settings, last, fresh
        self.result, self.metrics = RunResult(), MetricsFile()
        self.store = Store(settings.root)
        self.tell = broadcast([self._measure, self.metrics, *listeners])
        self.record: Record | None = None

    def run(self) -> RunResult:
        with ExitStack() as stack:
            stack.enter_context(hold_root(self.settings.root))
            monitor = self.monitor = stack.enter_context(MemoryMonitor())
            started = time.monotonic()
            if not self.settings.cluster.scheduler:
                plan_of(self.settings).refuse()
            try:
                client = stack.enter_context(open_client(self.settings.cluster))
                self.result.seconds["cluster"] = time.monotonic() - started
                self._stages(Context(client, self.store, self.tell, uuid.uuid4().hex[:8]))
            except BaseException as error:
                self._close_record(error)
                raise
            finally:
                self.result.seconds["total"] = time.monotonic() - started
                self.result.peak_memory_bytes = monitor.peak_bytes
            self._close_record(None)
        return self.result

    def _reaches(self, stage: str) -> bool:
        return STAGES.index(stage) <= self.last

    def _stages(self, context: Context) -> None:
        settings, result, paths = self.settings, self.result, self.result.paths
        truth = ""
        if settings.synth:
            raw = synthesise(context, settings.synth)
            paths["raw"], truth = raw["folder"], files.join(raw["folder"], "truth")
            settings = _on_synthetic(settings, raw["folder"])
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
        training = train(context, blocks, scale, settings.train, run_folder)
        result.rank, result.epochs, result.best_epoch = settings.train.rank, training["epochs"], training["best_epoch"]
        result.epoch_chosen_on = {"validation": held_out["split"], "slice": "a slice of the training ratings"}.get(
            settings.train.stop_on
        )
        if not self._reaches("evaluate"):
            return
        result.evaluation = evaluate(
            context, dataset, held_out, blocks, training, scale, run_folder, settings.train.rank, truth
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
            out = files.join(run_folder, "predictions")
            paths["predictions"] = predict(
                context, paths["model"], settings.predict.pairs, settings.predict.batch_pairs, out
            )

    def _begin(self, dataset: dict[str, Any], held_out: dict[str, Any], blocks: dict[str, Any]) -> str:
        """Name the run by what its result depends on, refuse it if it cannot fit, and open its record."""
        train_settings = self.settings.train.model_dump(exclude={"checkpoint_epochs"})
        run_id = self.result.run_id = content_id(grid=blocks["id"], train=train_settings)
        run_folder = self.result.paths["run"] = self.store.run(run_id)
        size = Size(blocks["ratings"], blocks["users"], blocks["items"], raw_bytes=0)
        self._refuse(size, blocks["shards"])
        if self.fresh:
            files.remove_tree(run_folder)
        self.record = Record(
            run_folder, run_id, self.settings, dataset=dataset["id"], split=held_out["id"], grid=blocks["id"]
        )
        self.metrics.open(run_folder)
        return run_folder

    def _refuse(self, size: Size, shards: int) -> None:
        cluster, ingest_settings = self.settings.cluster, self.settings.ingest
        if cluster.scheduler:
            return
        threads = cluster.threads or max(1, cores() // cluster.workers)
        prediction = predict_bytes(
            size,
            self.settings.train.rank,
            shards,
            cluster.workers,
            threads,
            ingest_settings.chunk_bytes,
            ingest_settings.partition_ratings,
        )
        self.result.predicted_memory_bytes = prediction.training_bytes
        refuse_what_cannot_fit(prediction, cluster.memory or available_memory_bytes(), self.settings.root)

    def _measure(self, event: Event) -> None:
        if isinstance(event, StageFinished):
            self.result.seconds[event.stage] = round(event.seconds, 3)
            self.result.memory_bytes[event.stage] = self.monitor.take_peak()

    def _close_record(self, error: BaseException | None) -> None:
        if self.record is None:
            return
        if error is None:
            self.record.close("done", 0, result=self.result.to_dict())
            if "model" in self.result.paths:
                files.write_json(
                    files.join(self.settings.root, "current.json"),
                    {"run_id": self.result.run_id, "model": self.result.paths["model"]},
                )
        elif isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.tell(Noticed("interrupted; the same command goes on from the last checkpoint", warning=True))
            self.record.close("interrupted", 130)
        else:
            code = error.exit_code if isinstance(error, FunkflowError) else 1
            self.record.close("failed", code, error=str(error).split("\n")[0])


def _on_synthetic(settings: Settings, folder: str) -> Settings:
    """Point ingest at the synthetic set and the split at its probe file, unless the settings say otherwise."""
    content = settings.model_dump()
    if not settings.ingest.ratings:
        content["ingest"]["ratings"] = (folder,)
    if settings.split.kind == "file" and settings.split.file == "probe.txt":
        content["split"]["file"] = files.join(folder, "probe.txt")
    return Settings.model_validate(content)
