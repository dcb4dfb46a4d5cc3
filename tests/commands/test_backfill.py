"""Past dates are run oldest first, each a child process; the first that fails ends it, or is noted and passed over.

Covers: pipeline/running/schedule/backfill.py and the words of `funkflow backfill`, with a stand-in for the run.
Does not cover: runs that are up to date (test_flow.py), the child processes themselves (test_schedule.py).
"""

from __future__ import annotations

import os
import signal
from datetime import date
from pathlib import Path

import pytest
from stand_in import SAYING_ITS_WORDS, funkflow, noted, stand_in

from funkflow.pipeline.running.schedule.backfill import days, run_dates, worst

DATES = list(days(date(2026, 2, 27), date(2026, 3, 2)))


def went(tmp_path: Path, codes: list[int], keep_going: bool = False) -> tuple[list[str], int, str]:
    told: list[str] = []
    code = run_dates(DATES, stand_in(tmp_path / "notes", 0, codes), told.append, keep_going)
    return [note["date"] for note in noted(tmp_path / "notes") if "date" in note], code, told[-1]


def test_dates_come_oldest_first(tmp_path: Path) -> None:
    dates, code, said = went(tmp_path, [0])
    assert dates == ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]
    assert (code, said) == (0, "2026-02-27 to 2026-03-02: 4 done or up to date")


def test_the_first_that_fails_ends_it(tmp_path: Path) -> None:
    dates, code, said = went(tmp_path, [0, 3])
    assert (dates, code) == (["2026-02-27", "2026-02-28"], 3)
    assert said == (
        "2026-02-27 to 2026-03-02: 1 done or up to date, 2026-02-28 ended with 3 (bad input data), "
        "2 not begun, from 2026-03-01 on"
    )


def test_keep_going_ends_with_the_worst(tmp_path: Path) -> None:
    dates, code, said = went(tmp_path, [5, 1, 0, 75], keep_going=True)
    assert (len(dates), code) == (4, 1)
    assert "1 done or up to date, 2026-02-27 ended with 5 (model refused by its gate), 2026-02-28 ended with 1" in said


def test_a_signal_ends_it_with_its_own_code(tmp_path: Path) -> None:
    def notify(line: str) -> None:
        if "2026-02-27: ended" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    code = run_dates(DATES, stand_in(tmp_path / "notes", 0, [0]), notify, keep_going=True)
    assert code == 128 + signal.SIGTERM
    assert [note["date"] for note in noted(tmp_path / "notes") if "date" in note] == ["2026-02-27"]


def test_each_date_gets_the_goal() -> None:
    dates = ("--from", "2026-02-28", "--to", "2026-03-01")
    done = funkflow("backfill", "demo", *dates, "--goal", "ranking", code=SAYING_ITS_WORDS)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("run ")]
    assert said == [f"run demo --goal ranking {day}" for day in ("2026-02-28", "2026-03-01")]


@pytest.mark.parametrize(
    ("codes", "the_worst"), [([], 0), ([0, 75], 75), ([5, 75], 5), ([3, 4], 4), ([2, 1, 4], 1), ([1, 137], 137)]
)
def test_worst(codes: list[int], the_worst: int) -> None:
    assert worst(codes) == the_worst


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "2026-13-01", "--to", "2026-01-02"], "--from '2026-13-01': not a date; write it as 2026-01-31"),
        (["--from", "2026-01-03", "--to", "2026-01-02"], "--to 2026-01-02 comes before --from 2026-01-03"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str) -> None:
    done = funkflow("backfill", "demo", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
