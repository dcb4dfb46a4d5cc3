"""Epochs replayed task by task: the graph of a training epoch with predicted costs.

Covers: which task waits for which, on which worker it runs, what travels when, and that the scheduler, the client and
each worker's network are one server each.
Does not cover: the costs (pipeline/planning/task_costs.py), checkpoints, or how Dask chooses among workers: each task
runs where pipeline/training/methods/sgd_graph.py would have it.

Events are taken in the order of their time. A worker has some slots and, of the tasks that it may begin, begins the one
of highest priority; a task's inputs travel as soon as it is assigned, one after another into each worker. A task is
assigned once the scheduler, which has one thread, has heard of the last of its inputs. Where one task goes through
several epochs (tasks/training/sgd_epochs.py), these are replayed as one, with all that they cost.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from dataclasses import dataclass, field

from funkflow.pipeline.planning.constants import Constants
from funkflow.pipeline.planning.task_costs import Costs, Job
from funkflow.tasks.grid.visit_order import strata_of_shares

IN_FLIGHT = 2
"""Epochs submitted before the first of them is judged (pipeline/training/methods/sgd.py)."""

Key = tuple[str, int, int, int]
"""A task: what it does, its epoch, its stratum, its share."""


@dataclass
class Task:
    """`needs` : tasks whose results it takes; `large` : those of them that are item shards, which travel."""

    key: Key
    worker: int
    seconds: float
    needs: tuple[Key, ...]
    large: tuple[Key, ...] = ()
    priority: tuple[int, ...] = ()


@dataclass(frozen=True)
class Simulated:
    """What came of it.

    `epoch_ends` : when each epoch was judged, in seconds; `order` : the tasks as they began; `moves` : which item
    shares travelled, by the task that made each and the number of the worker that fetched it; `epochs_a_task` :
    how many epochs were replayed as one.
    """

    epoch_ends: tuple[float, ...]
    order: tuple[Key, ...]
    moves: tuple[tuple[Key, int], ...]
    epochs_a_task: int

    @property
    def epoch_seconds(self) -> float:
        """Of an epoch in the middle of training: from the end of the first to that of the last but one, in the mean.

        After the last epoch nobody is kept waiting, so it is shorter.
        """
        return (self.epoch_ends[-2] - self.epoch_ends[0]) / (len(self.epoch_ends) - 2) / self.epochs_a_task


def epoch_tasks(job: Job, costs: Costs, seed: int, epoch: int, holders: list[Key]) -> list[Task]:
    """Return an epoch's tasks in the order of `submit_epoch`.

    `holders` : for each share of items, the task that made it last, ("start", …) at first; brought up to date.
    """
    shares, workers, times = job.shares, job.workers, job.epochs_a_task
    users = [holders_of_users(epoch, share) for share in range(shares)]
    made: list[Task] = []
    for number, stratum in enumerate(strata_of_shares(seed, epoch, job.shards, shares)):
        for share, partner in enumerate(stratum.partners):
            key, met = ("descend", epoch, number, share), holders[partner]
            needs = tuple(dict.fromkeys((users[share], met)))
            travels = (met,) if shares > 1 else ()
            made.append(Task(key, share % workers, times * (costs.copy + costs.descend), needs, travels))
            users[share] = holders[partner] = key
            if shares > 1:
                holders[partner] = ("items", epoch, number, share)
                made.append(Task(holders[partner], share % workers, 0.0, (key,)))
    for share in range(shares):
        needed = tuple(holders) if job.matrix.held_out else ()
        needs = tuple(dict.fromkeys((users[share], *needed)))
        large = needed if shares > 1 else ()
        made.append(Task(("score", epoch, 0, share), share % workers, times * costs.score, needs, large))
    for place, task in enumerate(made):
        task.priority = (epoch, place)
    return made


def holders_of_users(epoch: int, share: int) -> Key:
    """Return the task that leaves a share of users at the end of the epoch before."""
    return ("users", epoch - 1, 0, share)


@dataclass
class _Worker:
    slots: int
    waiting: list[tuple[tuple[int, ...], Key]] = field(default_factory=list)
    link_free: float = 0.0
    held: dict[Key, float] = field(default_factory=dict)


class _Replay:
    """The state of all servers while events are taken in turn."""

    def __init__(self, job: Job, constants: Constants, costs: Costs, seed: int, epochs: int) -> None:
        self.job, self.constants, self.costs, self.seed, self.epochs = job, constants, costs, seed, epochs
        self.workers = [_Worker(job.slots) for _ in range(job.workers)]
        self.tasks: dict[Key, Task] = {}
        self.missing: dict[Key, int] = {}
        self.followers: defaultdict[Key, list[Key]] = defaultdict(list)
        self.done: set[Key] = set()
        self.events: list[tuple[float, int, str, Key | int]] = []
        self.ticket = itertools.count()
        self.scheduler_free = self.client_free = 0.0
        self.moves: list[tuple[Key, int]] = []
        self.unscored: dict[int, int] = {}
        self.ends: list[float] = []
        self.order: list[Key] = []
        self.holders: list[Key] = [("start", 0, 0, share) for share in range(job.shares)]
        self.users_of: dict[Key, Key] = {}

    def run(self) -> Simulated:
        for epoch in range(1, min(IN_FLIGHT, self.epochs) + 1):
            self._push(0.0, "build", epoch)
        while self.events:
            now, _, what, subject = heapq.heappop(self.events)
            if isinstance(subject, int):
                {"build": self._build, "submit": self._submit}[what](now, subject)
            else:
                {"heard": self._heard, "ready": self._ready, "finished": self._finished}[what](now, subject)
        return Simulated(tuple(self.ends), tuple(self.order), tuple(self.moves), self.job.epochs_a_task)

    def _push(self, time: float, what: str, subject: Key | int) -> None:
        heapq.heappush(self.events, (time, next(self.ticket), what, subject))

    def _build(self, now: float, epoch: int) -> None:
        """The client builds an epoch's graph, then it is submitted."""
        building = self.job.client_seconds(self.constants) * self.job.epochs_a_task
        self.client_free = max(now, self.client_free) + building
        self._push(self.client_free, "submit", epoch)

    def _submit(self, now: float, epoch: int) -> None:
        """The scheduler knows an epoch's tasks from here on, and assigns those that wait for nothing."""
        self.unscored[epoch] = self.job.shares
        made = epoch_tasks(self.job, self.costs, self.seed, epoch, self.holders)
        for task in made:
            self.tasks[task.key] = task
            needs = {self.users_of.get(need, need) for need in task.needs}
            open_needs = [need for need in needs if need[1] > 0 and need not in self.done]
            self.missing[task.key] = len(open_needs)
            for need in open_needs:
                self.followers[need].append(task.key)
            if not open_needs:
                self._assign(now, task)
        last = {task.key[3]: task.key for task in made if task.key[0] == "descend"}
        self.users_of = {holders_of_users(epoch + 1, share): key for share, key in last.items()}

    def _assign(self, now: float, task: Task) -> None:
        """Fetch what is not there yet, one after another; the task may begin when all of it is."""
        worker, there = self.workers[task.worker], now + self.constants.hop_seconds
        for key in task.large:
            source = self.tasks[key].worker if key in self.tasks else key[3] % self.job.workers
            if source == task.worker:
                continue
            if key not in worker.held:
                worker.link_free = max(now, worker.link_free) + self.costs.transfer
                worker.held[key] = worker.link_free
                self.moves.append((key, task.worker))
            there = max(there, worker.held[key] + self.constants.hop_seconds)
        self._push(there, "ready", task.key)

    def _ready(self, now: float, key: Key) -> None:
        task = self.tasks[key]
        heapq.heappush(self.workers[task.worker].waiting, (task.priority, key))
        self._begin(now, task.worker)

    def _begin(self, now: float, number: int) -> None:
        worker = self.workers[number]
        while worker.slots and worker.waiting:
            _, key = heapq.heappop(worker.waiting)
            worker.slots -= 1
            self.order.append(key)
            self._push(now + self.tasks[key].seconds, "finished", key)

    def _finished(self, now: float, key: Key) -> None:
        """The worker goes on, and tells the scheduler, which hears one after another."""
        number = self.tasks[key].worker
        self.workers[number].slots += 1
        self._begin(now, number)
        self.scheduler_free = max(now, self.scheduler_free) + self.constants.scheduler_seconds_per_task
        self._push(self.scheduler_free, "heard", key)

    def _heard(self, now: float, key: Key) -> None:
        self.done.add(key)
        for follower in self.followers.pop(key, []):
            self.missing[follower] -= 1
            if not self.missing[follower]:
                self._assign(now, self.tasks[follower])
        if key[0] == "score":
            self.unscored[key[1]] -= 1
            if not self.unscored[key[1]]:
                self._judged(now, key[1])

    def _judged(self, now: float, epoch: int) -> None:
        self.ends.append(now)
        if epoch + IN_FLIGHT <= self.epochs:
            self._push(now, "build", epoch + IN_FLIGHT)


def simulate(job: Job, constants: Constants, seed: int = 0, epochs: int = 4) -> Simulated:
    """Replay so many epochs, or tasks of several of them, and return when each ended."""
    return _Replay(job, constants, Costs.of(job, constants), seed, epochs).run()
