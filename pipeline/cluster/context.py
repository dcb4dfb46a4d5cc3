"""The context of a stage: cluster, store and listener.

Covers: the context, running a batch of independent tasks with progress, and releasing memory that workers keep between
tasks.
Does not cover: opening the cluster (open.py) or the epoch graphs of training (pipeline/training/methods/sgd_graph.py).
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
_TOGETHER = 500
"""Most tasks in a message to the scheduler. Tasks that come together cost it half as much as one by one."""


@dataclass(frozen=True)
class Context:
    """The context of every stage. `attempt` is part of every task key, so that two attempts never share a task.

    `check_fits` : a stage calls it with its name before its first task; raises CannotFit. `reads_model_in_parts` :
    whether tasks that choose items for users read the model in parts, as all of it does not fit a worker.
    `force` : every stage replaces existing results; `fresh` : only the stages from training on.
    """

    client: Client
    store: Store
    notify: Listener
    attempt: str
    check_fits: Callable[[str], None] = lambda _stage: None
    reads_model_in_parts: Callable[[], bool] = lambda: False
    force: bool = False
    fresh: bool = False

    @property
    def trains_anew(self) -> bool:
        """Whether training ignores earlier results."""
        return self.force or self.fresh

    def existing(self, kind: type[M], folder: str) -> M | None:
        """Return the manifest of an existing result; None if there is none, or `force` replaces it."""
        return None if self.force else kind.published(folder)


def run_all(
    context: Context, stage: str, doing: str, function: Callable[..., T], jobs: Iterable[Sequence[Any]]
) -> list[T]:
    """Run `function(*job)` for every job on the cluster and return the results in the order of the jobs.

    The first failure cancels the rest, and its exception is raised here. Dask repeats a task whose worker is lost, so
    `function` must give the same files and value when repeated.
    """
    batch, given = next(_BATCHES), list(jobs)
    if not given:
        return []
    by_number: dict[int, Future[T]] = {}
    for length in sorted(set(map(len, given))):  # a message has jobs with as many arguments
        numbers = [number for number, job in enumerate(given) if len(job) == length]
        keys = [f"{doing}-{context.attempt}-{batch}-{number}" for number in numbers]
        arguments = zip(*(given[number] for number in numbers), strict=True)
        mapped = context.client.map(function, *arguments, key=keys, pure=False, batch_size=_TOGETHER)
        by_number |= dict(zip(numbers, mapped, strict=True))
    futures = [by_number[number] for number in range(len(given))]
    try:
        for done, future in enumerate(as_completed(futures, loop=context.client.loop), start=1):
            if future.status == "error":
                future.result()
            context.notify(StageAdvanced(stage, done, len(futures), doing))
        results: list[T] = context.client.gather(futures)
        return results
    finally:
        context.client.cancel(futures)


def submit_shared(context: Context, doing: str, function: Callable[..., T], *arguments: Any) -> Future[T]:
    """Submit one task and return its future for other tasks to share; a batch that uses it fails if the task fails."""
    key = f"{doing}-{context.attempt}-{next(_BATCHES)}"
    return context.client.submit(function, *arguments, key=key, pure=False)


@contextmanager
def spare_memory(context: Context) -> Iterator[None]:
    """Let workers keep spare memory for shards in the body, and release it at the end, even after an error.

    The predictions for later stages do not include it, and a cluster may outlive a failed run.
    """
    try:
        yield
    finally:
        with suppress(OSError, ValueError, RuntimeError):  # a lost cluster must not hide the first error
            context.client.run(forget_spare, on_error="ignore")
