"""Strike a run and see that it ends as it must: completed, or with one clear line and resumed, to the same bits.

Covers: attempts one after another, what each must have noted, said and left, and the comparison of bits.
Does not cover: which strikes (schedule.py, tests), starting processes (room.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from chaos.hosts import hosts
from chaos.kinds import KINDS, STORE_FAILS, Kind
from chaos.object_store import serving
from chaos.published import bits, broken, leftovers
from chaos.ratings import CHECKPOINT_EPOCHS
from chaos.room import Attempt, Place, Room
from chaos.small_disk import small_disk
from chaos.strikes import Strike

DAMAGES = ("flip", "tear", "manifest")


@dataclass(frozen=True)
class Trial:
    """What came of strikes: those that struck, those whose moment never came, and all that was not as it must be."""

    struck: list[Strike]
    missed: list[Strike]
    complaints: list[str]
    attempts: list[Attempt]

    @property
    def kind(self) -> str:
        return (*self.struck, *self.missed)[0].kind


def trial(room: Room, name: str, strikes: Sequence[Strike]) -> Trial:
    """Try strikes of one kind, in the order of the stages, on one run, on a small disk if the kind needs it.

    name : of the folder in the room that keeps the run.
    """
    prepared = not {each.stage for each in strikes} & {"ingest", "split", "grid"}
    if KINDS[strikes[0].kind].in_store:
        with serving() as store:
            return _trial(room, room.place(name, prepared=False, store=store), strikes)
    if not KINDS[strikes[0].kind].on_small_disk:
        return _trial(room, room.place(name, prepared=prepared), strikes)
    with small_disk(room.folder / f"{name}-disk") as disk:
        return _trial(room, room.place(name, disk / "root", prepared), strikes)


def trials(room: Room, sets: Sequence[Sequence[Strike]]) -> Iterator[Trial]:
    """Try several sets, each on a run of its own; those of a kind that mostly waits at the same time."""
    many = len(sets) if room.undisturbed and all(KINDS[each[0].kind].waits for each in sets) else 1
    with ThreadPoolExecutor(many) as threads:
        yield from threads.map(
            lambda each: trial(room, f"{each[0].kind}-{each[0].stage}".replace(" ", "-"), each), sets
        )


def _trial(room: Room, place: Place, strikes: Sequence[Strike]) -> Trial:
    """Strike, and let the run end.

    Strikes that a run endures fall into one attempt; after one that ends an attempt, the same command is given again.
    """
    attempts: list[Attempt] = []
    complaints: list[str] = []
    struck: list[Strike] = []
    kind = KINDS[strikes[0].kind]
    reconstructs = any(each.stage == "reconstruct" for each in strikes)
    for command in ("run", "reconstruct") if reconstructs else ("run",):
        mine = [each for each in strikes if (each.stage == "reconstruct") == (command == "reconstruct")]
        for together in [mine] if kind.exit_code == 0 and mine else [[each] for each in mine]:
            attempt = _struck_attempt(room, place, command, kind, together)
            attempts.append(attempt)
            hit = [each for each in together if _notes_of(attempt, each)]
            struck += hit
            complaints += _complaints(attempt, kind, hit)
            complaints += broken(place.root)
            room.heal(place)
            if hit and hit[0].kind in _DAMAGED:
                complaints += _DAMAGED[hit[0].kind](room, place, hit[0], attempts)
        if not mine or attempts[-1].exit_code != 0:
            attempts.append(room.attempt(place, command))
        last = attempts[-1]
        if last.exit_code != 0:
            complaints.append(f"{command}, resumed, ended with {last.exit_code}: {last.last_line}")
            break
    else:
        complaints += [*broken(place.root), *(f"left over: {path}" for path in leftovers(place.root))]
        found = bits(place.root, place.reconstruction if reconstructs else None)
        differing = sorted(name for name, value in found.items() if room.undisturbed.get(name) != value)
        missing = set(room.undisturbed) - set(found) if reconstructs else set()
        complaints += [f"{name} differs from the undisturbed run's" for name in (*differing, *sorted(missing))]
    return Trial(struck, [each for each in strikes if each not in struck], complaints, attempts)


def _struck_attempt(room: Room, place: Place, command: str, kind: Kind, strikes: list[Strike]) -> Attempt:
    with hosts(kind.hosts) if kind.hosts else nullcontext(()) as places:
        return room.attempt(place, command, strikes, kind.words, kind.environment, kind.own_scheduler, places)


def _notes_of(attempt: Attempt, strike: Strike) -> list[dict[str, Any]]:
    """Return the notes that prove that this strike struck.

    Memory was eaten only where a worker says so, and a store failed a stage only where its server says so.
    """
    if strike.kind == "out of memory" and not attempt.of("eating"):
        return []
    return [
        note
        for note in attempt.of("struck")
        if (note["kind"], note["stage"]) == (strike.kind, strike.stage)
        and re.match(strike.pattern, note["key"])
        and (strike.kind != STORE_FAILS or failed_from(attempt, note["time"]))
    ]


def failed_from(attempt: Attempt, begin: float) -> list[dict[str, Any]]:
    """Return the requests that failed from a strike on and before the next one, which is of another stage."""
    end = min((note["time"] for note in attempt.of("struck") if note["time"] > begin), default=math.inf)
    return [note for note in attempt.of("failed") if begin <= note["time"] < end]


def _complaints(attempt: Attempt, kind: Kind, struck: list[Strike]) -> Iterator[str]:
    if not struck:
        if attempt.exit_code != 0:
            yield f"ended with {attempt.exit_code} though nothing struck: {attempt.last_line}"
        return
    where = ", ".join(f"{each.kind} at {each.stage}" for each in struck)
    if attempt.exit_code != kind.exit_code:
        yield f"{where}: ended with {attempt.exit_code} instead of {kind.exit_code}: {attempt.last_line}"
    said = attempt.said if kind.exit_code == 0 else attempt.last_line
    if not re.search(kind.says, said):
        yield f"{where}: does not say {kind.says!r}, but: {said[-300:]}"
    for sign in ("Traceback", "left running", "hangs"):
        if sign in attempt.said:
            yield f"{where}: {sign}: {attempt.said[-2000:]}"
    for note in attempt.of("struck"):
        if note["kind"] == "second run on one root" and (
            note["exit_code"] != 75 or "is at work in this folder" not in note["said"]
        ):
            yield f"{where}: the second run ended with {note['exit_code']}: {note['said']}"
    yield from _too_much_again(attempt)
    # Workers of a run's own are removed at its end, which nobody minds.
    removals = seconds_to_removal(attempt, math.inf if kind.removes else attempt.of("ran")[-1]["time"])
    if kind.removes is not None and bool(removals) != kind.removes:
        yield f"{where}: dropped after {removals} s"


def seconds_to_removal(attempt: Attempt, until: float = math.inf) -> list[float]:
    """Return how long after each strike the worker that was struck left the scheduler, as far as it did by then."""
    removed = {note["address"]: note["time"] for note in reversed(attempt.of("removed")) if note["time"] < until}
    struck = [(note["time"], removed.get(note.get("address"))) for note in attempt.of("struck")]
    return [round(end - start, 1) for start, end in struck if end is not None]


def _too_much_again(attempt: Attempt) -> Iterator[str]:
    """Say which tasks of training ran again though their epoch lies before the last checkpoint."""
    checkpoint, ran = 0, set()
    for note in attempt.of("ran"):
        key = str(note["key"])
        if found := re.match(r"load-items-[0-9a-f]{8}-(\d{4})-", key):
            checkpoint = max(checkpoint, int(found[1]))
        if found := re.match(r"(?:descend|items|score)-[0-9a-f]{8}-(\d{4})-", key):
            if key in ran and int(found[1]) <= checkpoint:
                yield f"{key} ran again after the checkpoint of epoch {checkpoint}"
            if key in ran and int(found[1]) > checkpoint + CHECKPOINT_EPOCHS:
                yield f"{key} ran again, more than {CHECKPOINT_EPOCHS} epochs after the checkpoint of {checkpoint}"
            ran.add(key)


def _after_damage(room: Room, place: Place, strike: Strike, attempts: list[Attempt]) -> Iterator[str]:
    """Spoil the newest checkpoint and go on: it must be noticed, said, and gone back behind."""
    how = DAMAGES[strike.number % len(DAMAGES)]
    victim = room.damage(place, how)
    resumed = room.attempt(place, "run")
    attempts.append(resumed)
    if not re.search(rf"is damaged, so the one before is used: \S*{victim.name}", resumed.said):
        yield f"checkpoint damaged ({how} {victim.name}): is not said, but: {resumed.said[-500:]}"


def _after_damage_when_trained(room: Room, place: Place, strike: Strike, attempts: list[Attempt]) -> Iterator[str]:
    """Spoil what training left: the same command must end with the file's name, and go on once it is deleted."""
    victim = room.damage_trained(place)
    refused = room.attempt(place, "run")
    attempts.append(refused)
    line = f"{victim}: .* do not match checksum .*; the file is damaged, delete it and run again"
    if refused.exit_code != 1 or not re.search(line, refused.last_line):
        yield f"finished shard damaged: ended with {refused.exit_code} instead of 1: {refused.said[-500:]}"
    victim.unlink()


_DAMAGED = {"checkpoint damaged": _after_damage, "finished shard damaged": _after_damage_when_trained}
"""What is done once the client is dead, and how it must be taken."""
