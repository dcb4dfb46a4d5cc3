"""One execution: hold the root, answer from a receipt or run the stages, and record the end.

Covers: the order of these steps, and the entry in the ledger. This file imports neither Dask nor numba, so that an
execution with nothing to do ends before these would be loaded.
Does not cover: receipts (receipts.py), hooks (hooks.py), logs in MLflow (tracking.py), the cluster (attempt.py), the
stages (pipeline/flow.py).
"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from funkflow.pipeline.progress import outcome
from funkflow.pipeline.progress.events import Event, Listener, Noticed, StageFinished, broadcast
from funkflow.pipeline.root import ledger
from funkflow.pipeline.root.disk_errors import as_disk_errors
from funkflow.pipeline.root.lock import Waiting, hold_root
from funkflow.pipeline.root.model_in_use import read_current
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.root.temporary import temporary_files
from funkflow.pipeline.running import receipts
from funkflow.pipeline.running.hooks import tell_hook
from funkflow.pipeline.running.tracking import log_run, refuse_missing_mlflow
from funkflow.pipeline.settings.effective import missing_path, on_date
from funkflow.pipeline.settings.request import Request
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import DamagedFile, FunkflowError, RootIsHeld
from funkflow.tasks.redact import masked
from funkflow.tasks.storage.paths import absolute

if TYPE_CHECKING:
    from distributed import Client

    from funkflow.pipeline.running.memory_inputs import MemoryInputs


@dataclass
class Execution:
    """An execution: `settings` with all dates filled in, and its result so far.

    `still_held` raises TryAgainLater once another process holds the root. `inputs` : set before the first is read.
    `client` : of the user's, for all tasks. `tables` : ratings in memory, which become files once the root is held.
    """

    settings: Settings
    request: Request
    store: Store
    listeners: Sequence[Listener]
    entry: ledger.LedgerEntry
    result: RunResult = field(default_factory=RunResult)
    still_held: Callable[[], None] = lambda: None
    inputs: receipts.InputsRead | None = None
    client: Client | None = None
    tables: MemoryInputs | None = None
    stages: list[tuple[str, str]] = field(default_factory=list)

    def read_inputs(self, settings: Settings) -> None:
        """Record the files before they are read; `settings` : with the synthetic set among the ratings."""
        self.inputs = receipts.InputsRead(settings, self.request)

    def begun(self, run_id: str, dataset: str) -> None:
        """Write the ids of the run and of its dataset to the ledger."""
        self.entry.begun(run_id, dataset)

    def hear(self, event: Event) -> None:
        """Keep the summary of each stage."""
        if isinstance(event, StageFinished):
            self.stages.append((event.stage, event.summary))


def execute(
    settings: Settings,
    request: Request,
    listeners: Sequence[Listener],
    work: Callable[[Execution], RunResult],
    *,
    client: Client | None = None,
    tables: MemoryInputs | None = None,
) -> RunResult:
    """Hold the root, answer from the receipt or do the `work`, and record the end.

    Raises
    ------
    RootIsHeld
        Another process holds it for longer than the request waits.
    FunkflowError
        The error of the work.
    """
    if request.reaches("train"):
        settings.train.refuse_idle_settings()
        settings.refuse_missing_draws()
    refuse_missing_mlflow(settings.track, request)
    root = settings.root
    store = Store(absolute(root))
    entry = ledger.LedgerEntry(ledger.Ledger(store.root), settings.model_dump(mode="json"), request.date, request.until)
    notify = broadcast(list(listeners))
    waiting = Waiting(request.wait_seconds, lambda words: notify(Noticed(words)), entry.id)
    execution = Execution(settings, request, store, listeners, entry, client=client, tables=tables)
    try:
        _hold_and_record(execution, waiting, notify, work)
    finally:
        log_run(settings.track, entry.content, notify)
        tell_hook(settings.hooks, entry.content, notify)  # the root is free again: a hook may put the model to use
    return execution.result


def _hold_and_record(
    execution: Execution, waiting: Waiting, notify: Listener, work: Callable[[Execution], RunResult]
) -> None:
    """Hold the root, answer or work, and record the end."""
    root, entry = execution.settings.root, execution.entry
    with ExitStack() as stack:
        stack.enter_context(as_disk_errors(root))
        try:
            held = execution.still_held = stack.enter_context(hold_root(root, waiting=waiting))
        except RootIsHeld as error:
            with suppress(OSError, FunkflowError):  # the store may be read-only
                entry.close_locked(error)
            raise
        stack.enter_context(temporary_files(root))
        try:
            if execution.tables is not None:
                execution.settings = execution.tables.written(execution.settings, execution.store)
                entry.describe(execution.settings.model_dump(mode="json"))
            entry.open(held.left_by.get("record", ""))
            entry.close(_answer_or_work(execution, notify, work), 0, result=execution.result)
        except BaseException as error:
            with suppress(OSError, FunkflowError):  # a full disk must not hide the first error
                entry.close_on(error, execution.result)
            raise


def _answer_or_work(execution: Execution, notify: Listener, work: Callable[[Execution], RunResult]) -> str:
    """Answer from the receipt, or do the work; return the outcome."""
    request, store = execution.request, execution.store
    if request.if_new and (path := missing_path(execution.settings, request)):
        notify(Noticed(f"nothing new: {masked(path)} does not exist yet"))
        return outcome.NOTHING_NEW
    execution.settings = on_date(execution.settings, request)
    inputs_url = receipts.inputs_url(store, execution.settings, request)
    url = receipts.receipt_url(store, execution.settings, request)
    known = None
    if not (request.fresh or request.force):
        known = receipts.answer(url, store, execution.settings, request)
    if known is not None and _has_model_in_use(store, known.result, notify):
        execution.result = known.result
        execution.result.seconds["total"] = time.monotonic() - request.began
        for stage, summary in known.stages:
            notify(StageFinished(stage, 0.0, summary, reused=True))
        notify(Noticed(_up_to_date(known, request)))
        return outcome.UP_TO_DATE
    if request.if_new:
        count = receipts.inputs_if_nothing_came(inputs_url, store, execution.settings, request)
        if count is not None:
            notify(Noticed(f"nothing new: {count:,} input files, unchanged since these settings read them"))
            return outcome.NOTHING_NEW
    execution.result = work(execution)
    if execution.inputs is not None:
        with suppress(OSError, FunkflowError):  # without a receipt, the next execution only runs all stages
            receipts.write_inputs(inputs_url, execution.inputs)
            for each in {url, receipts.receipt_url(store, execution.settings, request.down_to("export"))}:
                receipts.write_receipt(each, store, execution.result, execution.stages, execution.inputs)
    return outcome.DONE


def _has_model_in_use(store: Store, result: RunResult, notify: Listener) -> bool:
    """Return whether a model is in use; notify if it is that of another run, which may be somebody's choice."""
    if "model" not in result.paths:
        return True
    try:
        current = read_current(store.root)
    except DamagedFile:
        return False
    use = current.used_for(result.goal) if current else None
    if use and use.run_id != result.run_id:
        notify(Noticed(f"the model in use comes from run {use.run_id}, not from this one (current.json)"))
    return use is not None


def _up_to_date(known: receipts.Receipt, request: Request) -> str:
    what = (
        f"run {posixpath.basename(known.result.run_id)}" if known.result.run_id else f"all stages up to {request.until}"
    )
    return (
        f"up to date: {what}; unchanged: settings, code, {known.inputs:,} input files (path, size, time), "
        f"{known.outputs:,} result files (size, manifest)"
    )
