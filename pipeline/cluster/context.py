"""What a stage is given besides its settings: the cluster, the store and somebody to tell.

Covers: the context, running a batch of independent tasks to their end, in order, with progress, and letting go of
memory that workers keep between tasks.
Does not cover: opening the cluster (open.py) or the epoch graphs of training (pipeline/training/sgd_graph.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from distributed import Client, Future, as_completed

from funkflow.pipeline.progress.events import Listener, StageAdvanced
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.root.typed_json import Manifest
from funkflow.tasks.kernels.buffers import forget_spare

T = TypeVar("T")
M = TypeVar("M", bound=Manifest)
_BATCHES = itertools.count()


@dataclass(frozen=True)
class Context:
    """Handed to every stage. `attempt` is part of every task key, so that two attempts never share a task.

    `afford` : called with a stage's name before its first task, once it has work to do; raises CannotFit.
    `force` : whether every stage makes its results anew, in place of those that are there; `fresh` : whether those from
    training on do.
    """

    client: Client
    store: Store
    tell: Listener
    attempt: str
    afford: Callable[[str], None] = lambda _stage: None
    force: bool = False
    fresh: bool = False

    @property
    def trains_anew(self) -> bool:
        """Whether what was trained before counts no more."""
        return self.force or self.fresh

    def found(self, kind: type[M], folder: str) -> M | None:
        """Return the manifest of what a stage has made already; None if it has to be made, now or anew."""
        return None if self.force else kind.published(folder)


def run_all(
    context: Context, stage: str, doing: str, function: Callable[..., T], jobs: Iterable[Sequence[Any]]
) -> list[T]:
    """Run `function(*job)` for every job on the cluster and return the results in the order of the jobs.

    The first failure cancels the rest and is raised here as it was raised on the worker. A task
    whose worker is lost is run again by Dask itself, so `function` must give the same files and value when repeated.
    """
    batch = next(_BATCHES)
    futures = [
        context.client.submit(function, *job, key=f"{doing}-{context.attempt}-{batch}-{number}", pure=False)
        for number, job in enumerate(jobs)
    ]
    try:
        for done, future in enumerate(as_completed(futures, loop=context.client.loop), start=1):
            if future.status == "error":
                future.result()
            context.tell(StageAdvanced(stage, done, len(futures), doing))
        return [future.result() for future in futures]
    finally:
        context.client.cancel(futures)


def submit_shared(context: Context, doing: str, function: Callable[..., T], *given: Any) -> Future[T]:
    """Return the result of one task as a future for others to share: once on a worker, and gone with the last of them.

    A batch that is given it fails as that task does.
    """
    key = f"{doing}-{context.attempt}-{next(_BATCHES)}"
    return context.client.submit(function, *given, key=key, pure=False)


@contextmanager
def memory_let_go(context: Context) -> Iterator[None]:
    """Let workers keep memory of shards for one another in the body, and hand it back when that ends, however it does.

    Later stages were not predicted to need it, and on a cluster that outlives a failed run nobody else would.
    """
    try:
        yield
    finally:
        with suppress(OSError, ValueError, RuntimeError):  # a cluster that is gone has no memory; no reason to hide why
            context.client.run(forget_spare, on_error="ignore")
