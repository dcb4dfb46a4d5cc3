"""`python -m chaos soak --runs 50 --seed 0`: many scheduled runs, one after another, under kills and collisions.

Covers: the real scheduler with seconds between its moments, ratings that grow, and what strikes: kill -9 of a run, of a
worker, of the scheduler itself (which is started anew), a second scheduler, and runs by hand; what was counted.
Does not cover: faults within a run (trial.py), what must hold afterwards (soak_checks.py).
"""

from __future__ import annotations

import argparse
import queue
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from chaos.soak_checks import TRY_AGAIN_LATER, Known, complaints, counts, record_of, records
from chaos.soak_scene import Said, Scene
from chaos.soak_watch import PointerWatch

_STUCK_SECONDS = 400
_LEFT_SECONDS = 60
_QUIET = "nothing"


class Soak:
    """One soak: what was struck, which runs were started, and what was wrong."""

    def __init__(self, folder: Path, seed: int, notify: Callable[[str], None]) -> None:
        self.scene, self.notify = Scene(folder), notify
        self.rng = np.random.default_rng(seed)
        self.runs: dict[int, Known] = {}
        self.struck: Counter[str] = Counter()
        self.codes: Counter[int] = Counter()
        self.newest: dict[int, int] = {}
        """By scheduler, the process of the run that it started last."""
        self.interrupted: set[int] = set()
        """Runs that schedulers which were told to end passed that on to."""
        self.complaints: list[str] = []
        self.scheduled = 0
        self.scheduler = self.scene.scheduler()
        self.second: subprocess.Popen[str] | None = None
        self.by_hand: list[subprocess.Popen[str]] = []
        self.strikes: dict[str, Callable[[int], bool]] = {
            "run killed": self._kill_run,
            "worker killed": self._kill_worker,
            "scheduler killed": self._kill_scheduler,
            "second scheduler": self._second_scheduler,
            "run by hand": self._run_by_hand,
            _QUIET: lambda _: True,
        }

    def run(self, runs: int, kinds: Sequence[str], longest_seconds: float, minutes: float = 600.0) -> None:
        """Let that many runs begin, and strike each at a random moment by one of the kinds in a random order.

        One that ends before its moment, as those do that find the root locked, leaves its kind to the next.
        minutes : no other run is waited for after that long.
        """
        order: list[str] = []
        end = time.monotonic() + 60 * minutes
        with PointerWatch(self.scene.root) as self.watch:
            while self.begun < runs and not self.complaints and time.monotonic() < end:
                run = self._next_run()
                if run is None:
                    continue
                order = order or self.rng.permutation(kinds).tolist()
                if self._strike(order[-1], run, self.rng.uniform(0, longest_seconds)):
                    order.pop()
            self._end()
        found = records(self.scene.root)
        for run in self.interrupted:
            self.runs[run] = replace(self.runs[run], early=record_of(found, self.runs[run]) is None)
        self.complaints += [*self.watch.complaints, *complaints(self.scene.root, found, list(self.runs.values()))]
        self.states = counts(found)

    @property
    def begun(self) -> int:
        """How many scheduled runs there were that did not find the root locked, as far as was heard."""
        return self.scheduled - self.codes[TRY_AGAIN_LATER]

    def _next_run(self) -> int | None:
        """Wait for the next run that a scheduler starts; None if something else happened first."""
        heard = self._hear(_STUCK_SECONDS)
        if heard is None:
            self.complaints.append(f"nothing was started for {_STUCK_SECONDS} s: {self.scene.lines[-5:]}")
        return heard.number if heard and heard.what == "started" else None

    def _hear(self, seconds: float) -> Said | None:
        """Wait for a line of a scheduler, and note it."""
        try:
            said = self.scene.said.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return None
        if said.what == "started":
            self.scheduled += 1
            self.runs[said.number] = Known(said.number, said.time)  # it may be heard long after it came
            self.newest[said.scheduler] = said.number
        else:
            self.codes[said.number] += 1
            if said.number == 128 + signal.SIGTERM:
                self.interrupted.add(self.newest[said.scheduler])
            if said.number == 0:
                self.scene.grow()  # something new for the next one
        return said

    def _strike(self, kind: str, run: int, seconds: float) -> bool:
        """Strike a run that long after its start; False if it has ended by then."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._hear(min(left, 1.0))
            if not psutil.pid_exists(run):
                return False
        did = self.strikes[kind](run)
        self.struck[kind if did else f"{kind}: too late or too early"] += 1
        self.notify(f"{self.begun}: {kind}{'' if did else ': nothing to strike'}, {seconds:.1f} s after the start")
        return True

    def _kill_run(self, run: int) -> bool:
        early = record_of(records(self.scene.root), self.runs[run]) is None
        if not _kill(run):
            return False
        self.runs[run] = replace(self.runs[run], killed=time.time(), early=early)
        return True

    def _kill_worker(self, run: int) -> bool:
        workers = self.scene.workers(run)
        return bool(workers) and _kill(workers[self.rng.integers(len(workers))].pid)

    def _kill_scheduler(self, _: int) -> bool:
        self.scheduler.kill()
        self.scheduler.wait()
        self.scheduler = self.scene.scheduler()
        return True

    def _second_scheduler(self, _: int) -> bool:
        """Start one; the next time, end it as a supervisor would, with whatever it has at work."""
        if self.second is None:
            self.second = self.scene.scheduler()
        else:
            self.second.send_signal(signal.SIGTERM)
            self.second.wait(timeout=_LEFT_SECONDS)
            self.second = None
        return True

    def _run_by_hand(self, _: int) -> bool:
        process = self.scene.run_by_hand()
        self.by_hand.append(process)
        self.runs[process.pid] = Known(process.pid, time.time())
        return True

    def _end(self) -> None:
        """End the schedulers in good order, have one more run find what died, and see that nothing is left."""
        for scheduler in filter(None, (self.scheduler, self.second)):
            scheduler.send_signal(signal.SIGTERM)
        for process in filter(None, (self.scheduler, self.second, *self.by_hand)):
            code = process.wait(timeout=_STUCK_SECONDS)
            if code == -signal.SIGTERM and process not in self.by_hand and not self._last_words(process):
                continue  # a scheduler so young that Python had not come to its handler of signals yet
            if code not in ((0, TRY_AGAIN_LATER) if process in self.by_hand else (143,)):
                self.complaints.append(f"process {process.pid} ended with {code}: {self._last_words(process)}")
        self.complaints += [f"left at work: {each}" for each in self.scene.left_after(_LEFT_SECONDS)]
        last = self.scene.run_by_hand()
        self.runs[last.pid] = Known(last.pid, time.time())
        if code := last.wait(timeout=_STUCK_SECONDS):
            self.complaints.append(f"the last run ended with {code}: {self._last_words(last)}")
        self.scene.left_after(_LEFT_SECONDS)
        while self._hear(0) is not None:
            pass
        unexpected = {code: count for code, count in self.codes.items() if code not in (0, TRY_AGAIN_LATER, 137, 143)}
        if unexpected:
            self.complaints.append(f"runs ended with {unexpected}: {self.scene.lines[-20:]}")

    def _last_words(self, process: subprocess.Popen[str]) -> list[str]:
        return [line for line in self.scene.lines if line.startswith(f"{process.pid}:")][-5:]

    def summary(self) -> list[str]:
        """Return what was counted, a line each."""
        early = sum(run.early for run in self.runs.values())
        return [
            f"{self.scheduled} scheduled runs, {self.begun} of them not locked out; {len(self.by_hand) + 1} by hand",
            f"{self.scene.grown} files of ratings",
            f"struck: {_said(self.struck)}",
            f"exit codes that schedulers heard: {_said(self.codes)}",
            f"records: {_said(self.states)}; ended by signals before they had begun: {early}",
            f"current.json: looked at {self.watch.looks} times, moved {self.watch.moves} times, never at half a model"
            if not self.watch.complaints
            else f"current.json: {self.watch.complaints[0]}",
            f"{len(self.complaints)} complaints",
        ]


def main(words: Sequence[str], notify: Callable[[str], None]) -> int:
    """Soak as the words say; return 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m chaos soak", description="Many scheduled runs, under kills.")
    parser.add_argument("--runs", type=int, default=50, help="how many are to begin, started by schedulers")
    parser.add_argument("--minutes", type=float, default=600.0, help="no other run is waited for after that long")
    parser.add_argument("--seed", type=int, default=0, help="of what is struck, and when")
    parser.add_argument("--seconds", type=float, default=9.0, help="after its start a run is struck at the latest")
    parser.add_argument("--folder", default="", help="where all files go; default: the system's place")
    chosen = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="funkflow-soak-", dir=chosen.folder or None) as folder:
        soak = Soak(Path(folder), chosen.seed, notify)
        try:
            soak.run(chosen.runs, list(soak.strikes), chosen.seconds, chosen.minutes)
        finally:
            for process in soak.scene.at_work():
                with suppress(psutil.Error):
                    process.kill()
    for line in (*soak.complaints, *soak.summary()):
        notify(line)
    return 1 if soak.complaints else 0


def _kill(process: int) -> bool:
    try:
        psutil.Process(process).kill()
    except psutil.NoSuchProcess:
        return False
    return True


def _said(counted: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counted.items(), key=str)) or "nothing"
