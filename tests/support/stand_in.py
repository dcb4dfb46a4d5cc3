"""A stand-in for scheduled runs, which notes when it began and ended, and ends as it is told; and the command in UTC.

Covers: what schedules start in tests. Does not cover: what is tested with it (test_schedule.py, test_backfill.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
EVERY_SECOND = "* * * * * *"
STAND_IN = """
import json, os, signal, sys, time
notes, seconds, codes = sys.argv[1], float(sys.argv[2]), json.loads(sys.argv[3])
def note(**facts):
    with open(notes, "a") as file:
        file.write(json.dumps({"process": os.getpid(), "time": time.time(), **facts}) + "\\n")
def stop(number, _):
    note(signal=number)
    if seconds < 100:
        sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
began = sum('"date"' in line for line in open(notes)) if os.path.exists(notes) else 0
note(date=sys.argv[4])
end = time.monotonic() + seconds
while time.monotonic() < end:
    time.sleep(min(0.05, max(0, end - time.monotonic())))
code = codes[min(began, len(codes) - 1)]
note(code=code)
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
"""Words: file for notes, seconds to take (from 100 on it is deaf to signals), exit codes in turn, date."""

SAYING_ITS_WORDS = """
import sys
from funkflow.pipeline.cli import run_program
from funkflow.pipeline.commands import schedule
says = "import sys; print('run', *sys.argv[1:], flush=True)"
schedule.run_words = lambda passed, day: [sys.executable, "-c", says, *passed, day.isoformat()]
run_program()
"""
"""The program, whose scheduled runs only print the words that they get, and their date."""


def stand_in(notes: Path | str, seconds: float, codes: list[int]) -> Callable[[date], list[str]]:
    return lambda day: [sys.executable, "-c", STAND_IN, str(notes), str(seconds), json.dumps(codes), day.isoformat()]


def noted(notes: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


def funkflow(
    *words: str, code: str = "from funkflow.pipeline.cli import run_program; run_program()"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "TZ": "UTC"},
    )  # fmt: skip
