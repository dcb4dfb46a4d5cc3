"""A room to strike runs in: the ratings, what an undisturbed run makes of them, and attempts under a plan of strikes.

Covers: starting the command as users do, in a process of its own, ending what it leaves, damage and healing between
attempts. Does not cover: which strikes, and whether a run ended as it must (trial.py).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from chaos import journal
from chaos.deeds import BALLAST
from chaos.failing_store import Failing
from chaos.forked import run
from chaos.hosts import HERE, Host
from chaos.object_store import ObjectStore
from chaos.own_cluster import own_cluster
from chaos.published import Bits, bits
from chaos.ratings import write_ratings, write_settings
from chaos.strikes import PLAN_VARIABLE, Plan, Strike

CHECKOUT = Path(__file__).parent.parent
LIMIT_SECONDS = 240
"""An attempt that takes longer hangs."""
GONE_SECONDS = 30
"""Workers leave by themselves when their client is gone."""


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended, and what its processes noted."""

    exit_code: int
    said: str
    notes: list[dict[str, Any]]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.notes if each["event"] == event]

    @property
    def last_line(self) -> str:
        return (self.said.strip().splitlines() or [""])[-1]


@dataclass
class Place:
    """Where one run under faults keeps its files, and its settings.

    `store` : where it really keeps them, if there is one; `folder` then has copies, made after each attempt.
    """

    folder: Path
    root: Path
    settings: Path
    store: ObjectStore | None = None
    bucket: str = ""
    attempts: int = 0

    def named(self, path: Path) -> str:
        """Return what the command calls a path below the folder: of a store, its URL."""
        return f"{self.bucket}/{path.relative_to(self.folder)}" if self.store else str(path)

    def fetch(self) -> None:
        """Copy what is in the store."""
        if self.store:
            for path in (self.root, self.reconstruction):
                shutil.rmtree(path, ignore_errors=True)
            self.store.fetch(self.bucket, self.folder)

    @property
    def reconstruction(self) -> Path:
        return self.root.parent / "reconstruction"

    @property
    def checkpoints(self) -> Path:
        (run,) = (self.root / "runs").iterdir()
        return run / "checkpoints"


@dataclass
class Room:
    """A folder for everything.

    `environment` : added to that of each attempt; `anew` : whether every process imports what it needs by itself.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    anew: bool = False

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ratings = self.folder / "ratings.csv"
        write_ratings(self.ratings)

    @cached_property
    def undisturbed(self) -> Bits:
        """What a run without any fault makes, reconstruction included."""
        place = self.place("undisturbed")
        for command in ("run", "reconstruct"):
            attempt = self.attempt(place, command)
            if attempt.exit_code != 0:
                raise RuntimeError(f"the undisturbed {command} ended with {attempt.exit_code}: {attempt.said}")
        return bits(place.root, place.reconstruction)

    def place(
        self, name: str, root: Path | None = None, prepared: bool = False, store: ObjectStore | None = None
    ) -> Place:
        """Return a place for a new run; `prepared` : with all in it that training starts from."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        bucket = store.new_root().rpartition("/")[0] if store else ""
        place = Place(folder, root or folder / "root", folder / "settings.toml", store, bucket)
        write_settings(place.settings, place.named(place.root), self.ratings)
        if prepared and self.undisturbed:
            shutil.copytree(
                self.folder / "undisturbed" / "root",
                place.root,
                ignore=shutil.ignore_patterns("runs", "baseline", ".lock"),
            )
        return place

    def attempt(
        self, place: Place, command: str, strikes: Sequence[Strike] = (), words: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        scheduler: bool = False, places: Sequence[Host] = (),
    ) -> Attempt:  # fmt: skip
        """Run `funkflow COMMAND` under strikes to its end, and end what it left running.

        scheduler : with a scheduler and workers that are processes of their own; `places` : on these hosts.
        """
        place.attempts += 1
        notes = str(place.folder / f"journal-{place.attempts:02d}.jsonl")
        plan = place.folder / f"plan-{place.attempts:02d}.json"
        line = self.command_line(place, command, words)
        cut, heal = ({host.address: getattr(host, what) for host in places} for what in ("cut", "heal"))
        Plan(notes, str(place.root), line, strikes, cut, heal, self.anew).write(str(plan))
        variables = {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            PLAN_VARIABLE: str(plan),
            "DASK_DISTRIBUTED__SCHEDULER__PRELOAD": "['chaos.striker']",
            **self.environment,
            **(place.store.environment if place.store else {}),
            **(environment or {}),
        }
        with place.store.interfered_with(Failing(_seed_of(place), notes)) if place.store and strikes else nullcontext():
            ended = self._somewhere(place, line, variables, notes, places or ((HERE,) * 3 if scheduler else ()))
        place.fetch()
        return ended

    def _somewhere(
        self, place: Place, line: list[str], variables: Mapping[str, str], notes: str, places: Sequence[Host]
    ) -> Attempt:
        if not places:
            return self._attempt(line, variables, notes)
        variables = {"DASK_CONFIG": str(CHECKOUT / "conf" / "dask.yaml"), **variables}
        with own_cluster(place.folder, variables, places, self.anew) as address:
            line = [*line, f"--set=cluster.scheduler='{address}'"]
            return self._attempt(line, variables, notes, places[0])

    def _attempt(self, line: list[str], variables: Mapping[str, str], notes: str, where: Host | None = None) -> Attempt:
        """Run the command to its end; `where` : of a cluster of somebody else's, the host that the command runs on."""
        try:
            done = run(line, variables, LIMIT_SECONDS, network=where.network if where else "", anew=self.anew)
            exit_code, said = done.returncode, done.stderr
        except subprocess.TimeoutExpired as late:
            errors = (late.stderr or b"").decode(errors="replace")
            exit_code, said = -signal.SIGKILL, f"{errors}\nhangs: did not end within {LIMIT_SECONDS} s"
        finally:
            stubborn = _end(journal.read(notes), ours=where is None)
        if stubborn:
            said += f"\nleft running: {stubborn}"
        return Attempt(exit_code, said, journal.read(notes))

    def command_line(self, place: Place, command: str, words: Sequence[str] = ()) -> list[str]:
        begin = ["funkflow", command]
        if command != "reconstruct":
            return [*begin, str(place.settings), *words]
        (model,) = map(place.named, place.root.glob("runs/*/model"))
        sets = [f"--set=cluster.{each}" for each in ("workers=2", "threads=1", "memory='6 GiB'")]
        return [*begin, "--model", model, "--rank", "4", "--out", place.named(place.reconstruction), *sets, *words]

    def heal(self, place: Place) -> None:
        """Free the disk."""
        (place.root / BALLAST).unlink(missing_ok=True)

    def damage(self, place: Place, how: str) -> Path:
        """Spoil the newest checkpoint: "flip" a bit of a shard, "tear" it, or tear its "manifest"; return the file."""
        newest = max(place.checkpoints.glob("epoch-*.json"))
        victim = newest if how == "manifest" else place.checkpoints / f"shards-{newest.stem[-5:]}" / "user-00002.npy"
        _spoil(victim, how)
        return victim

    def damage_trained(self, place: Place) -> Path:
        """Flip a bit of a shard that training left as its result; return the file."""
        trained = json.loads((place.checkpoints.parent / "training" / "manifest.json").read_text())
        victim = place.checkpoints / str(trained["shards"]["users"][2]["path"])
        _spoil(victim, "flip")
        return victim


def _spoil(victim: Path, how: str) -> None:
    content = bytearray(victim.read_bytes())
    if how == "flip":
        content[len(content) // 2] ^= 1
    else:
        del content[len(content) // 2 :]
    victim.write_bytes(content)


def _seed_of(place: Place) -> int:
    return zlib.crc32(f"{place.folder.name} {place.attempts}".encode())


def _end(notes: list[dict[str, Any]], ours: bool) -> list[int]:
    """Wait for an attempt's own processes to leave, and kill what stays or is frozen; return what had to be killed."""
    if not ours:
        return []
    frozen = [
        note["process"] for note in notes if note["event"] == "struck" and note["kind"].startswith("worker frozen")
    ]
    left = [_alive(note["process"]) for note in notes if note["event"] in ("worker", "scheduler")]
    there = [each for each in left if each is not None]
    for process in there:
        if process.pid in frozen:
            process.send_signal(signal.SIGKILL)
    _, stubborn = psutil.wait_procs(there, timeout=GONE_SECONDS)
    for process in stubborn:
        process.kill()
    return [process.pid for process in stubborn if process.pid not in frozen]


def _alive(number: int) -> psutil.Process | None:
    try:
        process = psutil.Process(number)
        return process if "python" in process.name() or "dask" in process.name() else None
    except psutil.NoSuchProcess:
        return None
