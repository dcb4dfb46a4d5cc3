"""The command: `python -m bench tiny|small|full`. One table on standard output, and the same as JSON.

Covers: options, and the order of the sections. Does not cover: what they measure (sections/), or the table (table.py).
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench import table
from bench.context import Bench
from bench.data import ROOT, no_data, prepare
from bench.forms import FORMS, form_of
from bench.machine import machine, versions
from bench.measure import Row
from bench.ours import Failed
from bench.peers.roster import NOT_AT, PEERS
from bench.sections import growth, jobs, kernel, overhead, quality, ranking, start

SECTIONS: dict[str, Callable[[Bench], list[Row]]] = {
    "kernel": kernel.rows,
    "dask": overhead.rows,
    "quality": quality.rows,
    "jobs": jobs.rows,
    "growth": growth.rows,
    "ranking": ranking.rows,
    "start": start.rows,
}
OTHER_DATA = {"ranking", "start"}
"""Sections that measure on sets of their own, so that alone they need no synthetic one."""


def main(words: Sequence[str] | None = None) -> int:
    """Measure what the words ask for, print the table and write the JSON; return the exit code."""
    chosen = _parser().parse_args(words)
    form = form_of(chosen.form, chosen.fraction)
    named = [name for name in chosen.peers.split(",") if name] if chosen.peers is not None else None
    peers = tuple(name for name in PEERS if name not in NOT_AT.get(chosen.form, ())) if named is None else tuple(named)
    sections = chosen.only.split(",") if chosen.only else list(SECTIONS)
    unknown = [*(name for name in peers if name not in PEERS), *(name for name in sections if name not in SECTIONS)]
    if unknown:
        return _refuse(f"there is no {unknown[0]!r}; peers are {', '.join(PEERS)}; sections are {', '.join(SECTIONS)}")
    began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    here = machine()
    try:
        data = no_data(form) if OTHER_DATA.issuperset(sections) else prepare(form, raw=chosen.raw)
    except Failed as error:
        return _refuse(str(error))
    bench = Bench(form, data, peers, chosen.limit or form.limit_seconds, _tell)
    rows = [row for section in sections for row in SECTIONS[section](bench)]
    content = table.report(form.name, data, rows, here, versions(), started, time.monotonic() - began)
    out = Path(chosen.out or ROOT / f"{form.name}.json")
    table.write(out, content)
    Console(width=None if sys.stdout.isatty() else 180).print(table.table(form.name, data, rows))
    print(out)
    return 1 if chosen.strict and any(row.failed for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure ours beside other programs.")
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("--peers", help=f"some of {','.join(PEERS)}, with commas; empty: none")
    parser.add_argument("--only", help=f"some of {','.join(SECTIONS)}, with commas")
    parser.add_argument("--out", default="", help="JSON file to write; default data/bench/FORM.json")
    parser.add_argument("--fraction", type=float, default=0, help="of the set's shape, instead of the form's")
    parser.add_argument("--raw", default="", help="folder of raw text that `funkflow synth` made for this form before")
    parser.add_argument("--limit", type=float, default=0, help="seconds that a peer may take at a time")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if anything is reported as failed")
    return parser


def _tell(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def _refuse(message: str) -> int:
    print(f"bench: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is being measured is ended, too
    sys.exit(main())
