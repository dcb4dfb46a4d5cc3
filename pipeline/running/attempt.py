"""One attempt at a run: the cluster, the limits and the record around its stages.

Covers: opening and closing everything, and refusing what cannot fit.
Does not cover: the lock and the ledger (execution.py), the order of stages and the run's id (pipeline/flow.py).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from shlex import quote
from typing import Any

from distributed import Client

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.errors import as_readable_errors
from funkflow.pipeline.cluster.lost_workers import LossListener
from funkflow.pipeline.cluster.memory_monitor import MemoryMonitor
from funkflow.pipeline.cluster.open import open_client, where_to_run
from funkflow.pipeline.cluster.paused_workers import no_endless_pause
from funkflow.pipeline.cluster.run_memory import RunMemory
from funkflow.pipeline.cluster.workers import foreign_allowance, refuse_blind_workers, warn_of_uncached_kernels
from funkflow.pipeline.planning.budget import Allowance, Prediction
from funkflow.pipeline.planning.plan import allowance_of_run, plan_of, predict_for, size_of_grid
from funkflow.pipeline.progress.events import (
    EpochFinished,
    Event,
    Listener,
    MemoryMeasured,
    Noticed,
    Postponed,
    RunBegan,
    RunEnded,
    StageFinished,
    broadcast,
)
from funkflow.pipeline.progress.live.sending import Sender
from funkflow.pipeline.progress.metrics_file import MetricsFile
from funkflow.pipeline.progress.outcome import DONE, INTERRUPTED, REFUSED, outcome_of
from funkflow.pipeline.results.report.fact_parts import verdict_facts
from funkflow.pipeline.results.report.facts import RunSummary
from funkflow.pipeline.root.code_version import code_version, versions
from funkflow.pipeline.root.manifests import TrainingData
from funkflow.pipeline.root.model_in_use import put_to_use
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.root.run_record import Record
from funkflow.pipeline.root.store import in_seconds
from funkflow.pipeline.running.execution import Execution
from funkflow.pipeline.settings.effective import with_absolute_paths
from funkflow.pipeline.settings.methods import MEMBERS
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.sweeps import sweeps_of
from funkflow.tasks.errors import FunkflowError
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.redact import masked, masked_content
from funkflow.tasks.storage import files

_GROWTH = 1.01
"""The next event about memory comes once it has grown by this factor."""


class Attempt:
    """The services that the stages of one attempt share."""

    def __init__(self, execution: Execution) -> None:
        self.execution, self.settings, self.request = execution, execution.settings, execution.request
        self.result, self.store, self.metrics = execution.result, execution.store, MetricsFile()
        self.losses = LossListener(lambda event: self.notify(event), self._restart_of)
        self.sender, self.postponed = Sender(execution.entry.id), Postponed(lambda event: self.notify(event))
        # The live page gets an event before the disk does, so that it shows the end of a run on a full disk.
        heard: list[Listener] = [self.losses, self._measure, self.sender, self.metrics, execution.hear]
        self.notify = broadcast([*heard, self.postponed, *execution.listeners])
        self.name = uuid.uuid4().hex[:8]
        self.notified_peak_bytes, self.shards, self.ingest_needs = 0, 0, (0, 0)
        self.record: Record | None = None
        self.allowance: Allowance | None = None
        self.prediction: Prediction | None = None

    def run(self, stages: Callable[[Context], None]) -> RunResult:
        """Open the cluster, run the stages, and record the end."""
        with ExitStack() as stack:
            stack.enter_context(as_readable_errors(self.settings.root))
            self.memory = RunMemory(stack.enter_context(MemoryMonitor()))
            started, self.started = time.monotonic(), self.request.began
            cluster, given = self.settings.cluster, self.execution.client
            is_ours = given is None and where_to_run(cluster)[0] == "local"
            try:
                self.allowance = allowance_of_run(self.settings) if is_ours else None
                self.memory.is_worker = bool(self.allowance and self.allowance.one_process)
                with as_readable_errors(self.settings.root, self._memory_of_a_worker, self._is_short_of_memory):
                    client = stack.enter_context(open_client(cluster, self.postponed.say, self.memory.is_worker, given))
                    stack.enter_context(self.losses.listening(client))
                    stack.enter_context(no_endless_pause(client))
                    stack.enter_context(self.sender.watched(client, self.notify))
                    self.result.seconds["cluster"] = time.monotonic() - started
                    self.allowance = self.allowance or foreign_allowance(client, self.store.root)
                    if not is_ours:
                        self.memory.ask(client)
                    warn_of_uncached_kernels(client, self.notify)
                    stages(self._context(client))
                    if self.losses.lost:
                        self.store.sweep()
                    self._sum_up()
                    self._end_well()
            except BaseException as error:
                self._sum_up()
                with suppress(OSError, FunkflowError):  # a full disk must not hide the first error
                    self.execution.still_held()  # else another process owns the record by now
                    self._end_badly(error)
                raise
        return self.result

    def begin(self, run_id: str, data: TrainingData, steps: StepSizes | None) -> str:
        """Predict the memory of training, open the run's record, notify of the run, and return its folder.

        `steps` : of stochastic descent; None for other methods. A request to train from scratch removes the files of
        the run.
        """
        self.result.run_id, grid = run_id, data.grid
        run_folder = self.result.paths["run"] = self.store.run(run_id)
        if self.allowance is not None:
            self.prediction = predict_for(self.settings, size_of_grid(grid), grid.shards, self.allowance)
            ingest_bytes, ingest_worker_bytes = self.ingest_needs
            kept_bytes = self.prediction.kept_bytes if ingest_bytes else 0
            needed = [ingest_bytes, self.prediction.training_bytes + kept_bytes]
            of_a_worker = [ingest_worker_bytes, self.prediction.training_worker_bytes]
            if self.request.reaches("evaluate"):
                needed.append(self.prediction.scoring_bytes)
                of_a_worker.append(self.prediction.scoring_worker_bytes)
            self.result.predicted_memory_bytes = self.allowance.as_measured(max(needed))
            self.result.predicted_worker_memory_bytes = max(of_a_worker)
        if self.request.fresh or self.request.force:
            for name in files.names(run_folder):
                if name != "model":  # it may be in use; export replaces its files by new ones with the same bits
                    files.remove_tree(files.join(run_folder, name))
        self.record = Record(run_folder, run_id, with_absolute_paths(self.settings), **data.ids)
        self.execution.begun(run_id, data.dataset.id)
        self.metrics.open(run_folder)
        train, self.shards = self.settings.train, grid.shards
        units = {"batch": train.batch.steps, "funk": train.rank, "bayes": sweeps_of(grid, train)[1]}
        most = {**units, MEMBERS.name: train.members}.get(train.trained_as, train.epochs)
        self.notify(
            RunBegan(
                run_id=run_id, execution=self.execution.entry.id, attempt=self.name, method=train.method,
                rank=train.rank, shards=grid.shards, users=grid.users, items=grid.items, ratings=grid.ratings,
                epochs=most, step=steps.step if steps else None, l2=steps.l2 if steps else None,
                predicted_bytes=self.result.predicted_memory_bytes,
            )
        )  # fmt: skip
        return run_folder

    @property
    def streamed(self) -> bool:
        """Whether training reads blocks as it needs them; without a limit of workers, the settings decide."""
        return self.prediction.streamed if self.prediction else self.settings.cluster.blocks == "streamed"

    def _context(self, client: Client) -> Context:
        """Return the context of the stages. Remove the scratch of killed runs, as no other run holds the root."""
        refuse_blind_workers(client, self.store.root)
        files.remove_tree(self.store.scratch(""))
        if "://" not in self.settings.root:
            self.store.sweep()
        return Context(
            client, self.store, self.notify, self.name, self._check_fits,
            lambda: self.prediction is not None and self.prediction.recommend_in_parts,
            force=self.request.force, fresh=self.request.fresh,
        )  # fmt: skip

    def _check_fits(self, stage: str) -> None:
        """Refuse a stage that has work to do and cannot fit; accept all if workers have no limit."""
        if self.allowance is None:
            return
        if stage == "synth":
            plan = plan_of(self.settings, self.allowance)
            if self.request.reaches("ingest"):
                self.allowance.refuse_what_cannot_fit(
                    plan.prediction, self.request.reaches("train"), plan.size.raw_bytes
                )
            else:
                self.allowance.refuse_disk(plan.size.raw_bytes)
        elif stage == "ingest":
            prediction = plan_of(self.settings, self.allowance).prediction
            self.allowance.refuse_what_cannot_fit(prediction, self.request.reaches("train"))
            # Processes mostly keep the memory of ingest.
            self.ingest_needs = prediction.ingest_bytes, prediction.ingest_worker_bytes
        elif self.prediction is not None and stage in ("evaluate", "spectrum", "gate", "report"):
            self.allowance.refuse_scoring(self.prediction)
        elif self.prediction is not None and stage in ("ranking", "recommend"):
            self.allowance.refuse_recommending(self.prediction.recommend_bytes, self.prediction.recommend_worker_bytes)
        elif self.prediction is not None:
            self.allowance.refuse_training(self.prediction)
            if self.request.reaches("evaluate"):  # now, and not after all the work
                self.allowance.refuse_scoring(self.prediction)
            self.allowance.refuse_disk(self.prediction.run_disk_bytes)

    def _memory_of_a_worker(self) -> str:
        """Describe the memory of a dead worker: its prediction and its peak."""
        if self.allowance is None:
            return ""
        prediction = self.prediction or plan_of(self.settings, self.allowance).prediction
        return self.allowance.describe_worker(prediction.worker_bytes, self.memory.worker_peak_bytes)

    def _is_short_of_memory(self) -> bool:
        """Return whether a worker of our own used about all of its memory."""
        allowance = self.allowance
        return allowance is not None and not allowance.foreign and allowance.is_full(self.memory.worker_peak_bytes)

    def _restart_of(self, stage: str) -> str:
        """Return where the work of a lost worker begins again."""
        epoch = checkpoint.newest_epoch(self.result.paths["run"]) if stage == "train" else None
        if epoch is not None:
            return f"the checkpoint of epoch {epoch}"
        return "the beginning of training" if stage == "train" else f"the files that {stage or 'it'} reads"

    def _measure(self, event: Event) -> None:
        if not isinstance(event, Noticed | RunEnded):
            self.execution.still_held()
        if isinstance(event, StageFinished):
            self.result.seconds[event.stage] = round(event.seconds, 3)
            self.result.memory_bytes[event.stage] = self.memory.take_stage()
        if isinstance(event, EpochFinished | StageFinished):
            self._notify_of_memory()

    def summary(self) -> RunSummary:
        """Return what the report needs to know of the run so far."""
        result, train = self.result, self.settings.train
        content = masked_content(with_absolute_paths(self.settings).model_dump(mode="json"))
        return {
            "run": {
                "run_id": str(result.run_id), "execution": self.execution.entry.id,
                "ended": in_seconds(), "seconds": time.monotonic() - self.started,
                "method": train.trained_as, "rank": train.rank, "shards": self.shards, "versions": versions(),
                "code_version": code_version(), "settings": content,
                "repeat": f"funkflow run {quote(masked(files.join(str(result.paths['run']), 'settings.toml')))}",
            },
            "verdict": verdict_facts(result),
            "memory": {
                "peak_bytes": self.memory.peak_bytes, "predicted_bytes": result.predicted_memory_bytes or None,
                "worker_bytes": self.memory.worker_peak_bytes,
                "predicted_worker_bytes": result.predicted_worker_memory_bytes or None,
                "by_stage": [{"stage": name, "bytes": peak} for name, peak in result.memory_bytes.items()],
            },
            "stages": [{"stage": name, "seconds": seconds} for name, seconds in result.seconds.items()],
        }  # fmt: skip

    def _notify_of_memory(self) -> None:
        self.memory.look()
        if self.memory.peak_bytes > self.notified_peak_bytes * _GROWTH:
            self.notified_peak_bytes = self.memory.peak_bytes
            self.notify(MemoryMeasured(self.notified_peak_bytes))

    def _sum_up(self) -> None:
        self.result.seconds["total"] = time.monotonic() - self.started
        self.result.peak_memory_bytes = self.memory.peak_bytes
        self.result.worker_memory_bytes = self.memory.worker_peak_bytes

    def _end_well(self) -> None:
        """Promote the model, write that the run is done, and notify of it."""
        if "model" in self.result.paths:
            self._put_to_use(str(self.result.run_id))
        if self.record is not None:
            self.record.close(DONE, 0, result=self.result.to_dict())
        self.notify(self._ended(DONE))

    def _end_badly(self, error: BaseException) -> None:
        """Write the end of the run, and notify of it even if nothing can be written."""
        state, code, message = outcome_of(error)
        facts: dict[str, Any] = {} if message is None else {"error": message}
        if state == REFUSED:
            facts["result"] = self.result.to_dict()
        with ExitStack() as last:
            last.callback(self.notify, self._ended(state, message))
            if state == INTERRUPTED:
                words = f"interrupted; the same command resumes from {self._describe_resumption()}"
                last.callback(self.notify, Noticed(words, warning=True))
            if self.record is not None:
                self.record.close(state, code, **facts)

    def _ended(self, state: str, message: str | None = None) -> RunEnded:
        return RunEnded(self.result.run_id, state, self.result.rmse, time.monotonic() - self.started, message)

    def _put_to_use(self, run_id: str) -> None:
        """Promote the run's model; notify if a rollback took it back."""
        if put_to_use(self.store.root, run_id).run_id != run_id:
            self.notify(
                Noticed(
                    f"{run_id} was rolled back by hand, so it is not promoted; to promote it: funkflow promote {run_id}"
                )
            )

    def _describe_resumption(self) -> str:
        checkpoints = files.names(files.join(self.result.paths.get("run", ""), "checkpoints")) if self.record else []
        return (
            "the last checkpoint" if any(name.endswith(".json") for name in checkpoints) else "the last finished stage"
        )
