"""The command: `python -m chaos --minutes 5 --seed 0`. Strikes runs, prints what was survived, fails on any difference.

`python -m chaos soak --runs 50 --seed 0` strikes scheduled runs instead (soak.py), and
`python -m chaos promotions --moves 30 --seed 0` moves the model in use below a server (promotions.py).

Covers: options, how long, the table and the exit code.
Does not cover: drawing and trying strikes (schedule.py, trial.py).
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chaos import promotions, soak
from chaos.hosts import may_make_hosts
from chaos.kinds import KINDS, Kind
from chaos.room import Room
from chaos.schedule import at_every_stage, schedule
from chaos.small_disk import may_mount
from chaos.strikes import MOMENTS
from chaos.trial import Trial, seconds_to_removal, trial, trials


def main(words: Sequence[str] | None = None) -> int:
    """Strike for as long as the words say; return 1 if anything was not as it must be."""
    given = list(sys.argv[1:] if words is None else words)
    if given[:1] == ["soak"]:
        return soak.main(given[1:], _tell)
    if given[:1] == ["promotions"]:
        return promotions.main(given[1:], _tell)
    chosen = _parser().parse_args(given)
    usual = [name for name, kind in KINDS.items() if not kind.takes_minutes]
    kinds = [each.strip() for each in chosen.kinds.split(";") if each.strip()] or usual
    if unknown := [each for each in kinds if each not in KINDS]:
        print(f"chaos: there is no fault {unknown[0]!r}; there are {', '.join(KINDS)}", file=sys.stderr)
        return 2
    kinds = _possible(kinds)
    struck: Counter[tuple[str, str]] = Counter()
    complaints: list[str] = []
    with tempfile.TemporaryDirectory(prefix="funkflow-chaos-", dir=chosen.folder or None) as folder:
        room = Room(Path(folder), anew=chosen.anew)
        _tell(f"the undisturbed run: {len(room.undisturbed)} files and figures to compare")
        for number, tried in enumerate(_every(room, kinds) if chosen.every else _drawn(room, kinds, chosen)):
            name = tried.kind
            struck.update((each.kind, each.stage) for each in tried.struck)
            missed = [f"{name} did not strike at {each.stage}" for each in tried.missed if chosen.every]
            wrong = [f"{number}: {each}" for each in (*tried.complaints, *missed)]
            _tell_of(number, KINDS[name], name, tried, wrong)
            complaints += wrong
    drawn = "each once in every stage" if chosen.every else f"seed {chosen.seed}"
    Console(width=None if sys.stdout.isatty() else 120).print(_table(kinds, struck, len(complaints), drawn))
    return 1 if complaints else 0


def _every(room: Room, kinds: Sequence[str]) -> Iterator[Trial]:
    for kind in kinds:
        yield from trials(room, at_every_stage(kind))


def _drawn(room: Room, kinds: Sequence[str], chosen: argparse.Namespace) -> Iterator[Trial]:
    end = time.monotonic() + 60 * chosen.minutes
    for number, strikes in enumerate(schedule(chosen.seed, kinds)):
        if time.monotonic() >= end:
            return
        yield trial(room, f"{number:03d}", strikes)


def _possible(kinds: list[str]) -> list[str]:
    """Return the kinds that can be struck on this machine, and say what cannot."""
    if not may_mount():
        kinds = [each for each in kinds if not KINDS[each].on_small_disk]
        _tell("this machine lets us mount no small disk: nothing is struck that needs one")
    if not may_make_hosts():
        kinds = [each for each in kinds if not KINDS[each].hosts]
        _tell("this machine lets us make no network namespaces: no network is cut")
    return kinds


def _tell_of(number: int, kind: Kind, name: str, tried: Trial, wrong: Sequence[str]) -> None:
    _tell(f"{number}: {name} at {', '.join(each.stage for each in tried.struck) or 'no moment'}")
    if kind.in_store:
        _tell(f"{number}: {sum(len(each.of('failed')) for each in tried.attempts)} requests failed")
    if kind.removes:
        _tell(f"{number}: dropped after {', '.join(map(str, seconds_to_removal(tried.attempts[0])))} s")
    for each in wrong:
        _tell(f"NOT AS IT MUST BE: {each}")


def _table(kinds: Sequence[str], struck: Counter[tuple[str, str]], complaints: int, drawn: str) -> Table:
    table = Table(title=f"faults that struck, by kind and stage ({drawn}); {complaints} complaints")
    table.add_column("fault")
    for stage in MOMENTS:
        table.add_column(stage, justify="right")
    table.add_column("all", justify="right")
    for kind in kinds:
        counts = [struck[kind, stage] for stage in MOMENTS]
        table.add_row(kind, *(str(count or "") for count in counts), str(sum(counts)))
    table.add_row("all", *(str(sum(struck[kind, stage] for kind in kinds)) for stage in MOMENTS), str(struck.total()))
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Strike runs with faults; compare their bits.")
    parser.add_argument("--minutes", type=float, default=5.0, help="no new run is begun after that long")
    parser.add_argument("--seed", type=int, default=0, help="of the schedule")
    parser.add_argument("--every", action="store_true", help="instead: each fault once in every stage, however long")
    parser.add_argument("--kinds", default="", help=f"some of: {'; '.join(KINDS)}")
    parser.add_argument(
        "--anew", action="store_true", help="start every process as users do; else forks, 3 times as fast"
    )
    parser.add_argument("--folder", default="", help="where the runs keep their files; default: the system's place")
    return parser


def _tell(line: str) -> None:
    print(f"chaos: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended, too
    sys.exit(main())
