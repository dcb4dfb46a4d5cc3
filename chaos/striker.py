"""What watches a run from within its scheduler and strikes: Dask loads it as a preload (`chaos.striker`).

Covers: seeing the moment, striking once at each, and noting what was struck, who was lost and which tasks ran.
Does not cover: what a fault does (deeds.py). Nothing waits for time: a strike falls into the transition of a task.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import Any

from distributed import Scheduler, Worker, WorkerPlugin
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol.pickle import dumps

from chaos import journal
from chaos.deeds import BY_WORKER, DEEDS, eat_memory, hold_interpreter
from chaos.strikes import PLAN_VARIABLE, Plan, Strike


class Witness(WorkerPlugin):
    """On every worker: says which process it is, and does what only the worker itself can do.

    It does so to every task of a strike's from the one on that the scheduler struck: a task that is given to another
    worker strikes that one, too.
    """

    name = "chaos-witness"

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.mine = [strike for strike in plan.strikes if strike.kind in BY_WORKER]
        self.compiled = False

    def setup(self, worker: Worker) -> None:
        self.worker = worker
        journal.note(self.plan.journal, "worker", address=worker.address, process=os.getpid())

    def transition(self, key: Any, *states: str, **_: Any) -> None:
        if states[1] != "executing":
            return
        for strike in self.mine:
            if re.match(strike.pattern, str(key)) and self._has_struck(strike):
                self._eat() if strike.kind == "out of memory" else self._compile()

    def _has_struck(self, strike: Strike) -> bool:
        return any(
            (note["event"], note.get("kind"), note.get("stage")) == ("struck", strike.kind, strike.stage)
            for note in journal.read(self.plan.journal)
        )

    def _eat(self) -> None:
        limit = self.worker.memory_manager.memory_limit or 0
        journal.note(self.plan.journal, "eating", address=self.worker.address, process=os.getpid(), limit=limit)
        eat_memory(limit)

    def _compile(self) -> None:
        if self.compiled:
            return
        self.compiled = True
        journal.note(self.plan.journal, "compiling", address=self.worker.address, process=os.getpid())
        hold_interpreter()
        journal.note(self.plan.journal, "compiled", address=self.worker.address, process=os.getpid())


class Striker(SchedulerPlugin):
    """On the scheduler: strikes each strike of the plan once."""

    name = "chaos-striker"

    def __init__(self, plan: Plan, scheduler: Scheduler) -> None:
        self.plan, self.scheduler = plan, scheduler
        self.waiting = list(plan.strikes)
        self.counts: Counter[Strike] = Counter()

    def transition(self, key: Any, start: str, finish: str, *_: Any, worker: str = "", **__: Any) -> None:
        if finish == "processing":
            task = self.scheduler.tasks.get(key)
            on = task.processing_on if task else None
            self._strike("start", str(key), on.address if on else "")
        elif (start, finish) == ("processing", "memory"):
            journal.note(self.plan.journal, "ran", key=str(key))
            self._strike("end", str(key), worker)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:  # noqa: ARG002
        journal.note(self.plan.journal, "removed", address=worker)

    def _strike(self, at: str, key: str, address: str) -> None:
        for strike in [each for each in self.waiting if each.at == at and re.match(each.pattern, key)]:
            number = self.counts[strike]
            self.counts[strike] += 1
            if number == strike.number:
                self.waiting.remove(strike)
                DEEDS[strike.kind](self.plan, self.scheduler, strike, key, address)


async def dask_setup(scheduler: Scheduler) -> None:
    """Join a scheduler that is about to start, before it has any worker."""
    plan = Plan.read(os.environ[PLAN_VARIABLE])
    journal.note(plan.journal, "scheduler", address=scheduler.address, process=os.getpid())
    await scheduler.register_worker_plugin(None, dumps(Witness(plan)), Witness.name, idempotent=True)
    scheduler.add_plugin(Striker(plan, scheduler))
