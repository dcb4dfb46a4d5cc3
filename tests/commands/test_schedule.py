"""The built-in scheduler with real child processes: no overlap, missed moments made one, retries, signals.

Covers: pipeline/running/schedule/daemon.py, pipeline/running/schedule/child.py, and the words of `funkflow schedule`. A
stand-in for the run writes down when it began and ended, and ends as it is told.
Does not cover: which moments an expression means (test_cron.py), real runs struck by kills (test_soak.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
from stand_in import CHECKOUT, EVERY_SECOND, SAYING_ITS_WORDS, funkflow, noted, stand_in

from funkflow.pipeline.running.schedule.child import run_words
from funkflow.pipeline.running.schedule.cron import Cron
from funkflow.pipeline.running.schedule.daemon import Daemon, Retry
from funkflow.tasks.errors import SettingsError

OUTER = """
import sys
from stand_in import EVERY_SECOND, stand_in
from funkflow.pipeline.running.schedule.cron import Cron
from funkflow.pipeline.running.schedule.daemon import Daemon
tell = lambda line: print(line, flush=True)
sys.exit(Daemon(Cron(EVERY_SECOND, "UTC"), stand_in(sys.argv[1], float(sys.argv[2]), [0]), tell).run())
"""
"""A scheduler in a process of its own, to be sent signals."""


def ran(
    tmp_path: Path, codes: list[int], seconds: float = 0.0, runs: int = 1, retry: Retry | None = None
) -> tuple[list[str], list[dict[str, Any]], int]:
    """Run a scheduler until that many runs have ended; return what it told, what the runs noted, and its exit code."""
    told: list[str] = []

    def notify(line: str) -> None:
        told.append(line)
        if sum("ended with" in each for each in told) == runs and "ended with" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    daemon = Daemon(Cron(EVERY_SECOND, "UTC"), stand_in(tmp_path / "notes", seconds, codes), notify, retry or Retry(0))
    code = daemon.run()
    return told, noted(tmp_path / "notes"), code


@pytest.mark.alone  # moments a second apart
def test_runs_one_after_another_and_says_so(tmp_path: Path) -> None:
    told, notes, code = ran(tmp_path, [0], runs=2)
    assert code == 128 + signal.SIGTERM
    assert [note["code"] for note in notes if "code" in note] == [0, 0]
    assert told[0].count("+00:00") == 3
    assert f"started: process {notes[0]['process']}, attempt 1 of 1" in told[1]
    assert "ended with 0 (done or up to date) after " in told[2]
    assert told[-2].endswith("last exit codes: 0 0")
    assert told[-1] == "stopped; no run is left at work"


@pytest.mark.alone  # moments a second apart
def test_a_run_that_lasts_is_said_and_what_comes_due_is_one(tmp_path: Path) -> None:
    """More than one moment comes: not one run for each, and the next begins when one has ended."""
    told, notes, _ = ran(tmp_path, [0], seconds=1.3, runs=2)
    begun, ended = ([note["time"] for note in notes if what in note] for what in ("date", "code"))
    assert len(begun) == len(ended) == 2
    assert ended[0] < begun[1]
    assert sum("is still at work" in line for line in told) == 2
    assert begun[1] - ended[0] < 1.0  # not a whole moment later


@pytest.mark.alone  # moments a second apart
def test_retries_with_back_off_until_it_is_done(tmp_path: Path) -> None:
    retry = Retry(retries=3, back_off_seconds=0.01, longest_seconds=0.02)
    told, notes, _ = ran(tmp_path, [75, 1, -signal.SIGKILL, 0], runs=4, retry=retry)
    assert [note["code"] for note in notes if "code" in note] == [75, 1, -9, 0]
    ends = [line for line in told if "ended with" in line]
    assert "75 (try again later)" in ends[0]
    assert "again in 0.01 s" in ends[0]
    assert "again in 0.02 s" in ends[1]
    assert "137 (killed)" in ends[2]
    assert "attempt 4 of 4" in [line for line in told if ", started: " in line][-1]
    assert ends[3].endswith("last exit codes: 75 1 137 0")


@pytest.mark.parametrize("code", [0, 2, 3, 4, 5, 130, 143])
def test_what_cannot_help_is_not_tried_again(code: int) -> None:
    assert Retry().pause_seconds(code, 1) is None


def test_pauses_double_up_to_a_limit_and_end() -> None:
    retry = Retry(retries=4, back_off_seconds=10, longest_seconds=50)
    assert [retry.pause_seconds(75, attempt) for attempt in (1, 2, 3, 4, 5)] == [10, 20, 40, 50, None]
    with pytest.raises(SettingsError, match="--back-off -1: must be 0 or more"):
        Retry(back_off_seconds=-1)


def test_once_ends_with_the_code_of_the_last_attempt_and_catches_up(tmp_path: Path) -> None:
    """The moment that is past is a day or more ago: nothing is waited for."""
    told: list[str] = []
    command = stand_in(tmp_path / "notes", 0, [1, 3])
    cron = Cron("0 0 1 1 *", "UTC")
    code = Daemon(cron, command, told.append, Retry(3, 0.0), once=True, catch_up=True).run()
    assert code == 3
    dates = [note["date"] for note in noted(tmp_path / "notes") if "date" in note]
    assert dates == [f"{dates[0][:4]}-01-01"] * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_once_and_waited_for(tmp_path: Path, number: signal.Signals) -> None:
    with outer(tmp_path, 60) as process:
        process.send_signal(number)
        said = process.communicate(timeout=30)[0]
    (begun, heard) = noted(tmp_path / "notes")
    assert heard["signal"] == number
    assert process.returncode == 128 + number
    assert f"ended with {128 + number}" in said
    assert not psutil.pid_exists(begun["process"])


def test_a_second_signal_kills(tmp_path: Path) -> None:
    with outer(tmp_path, 100) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        while not any("signal" in note for note in noted(tmp_path / "notes")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[0]
    assert process.returncode == 128 + signal.SIGTERM
    assert "ended with 137 (killed)" in said
    assert not psutil.pid_exists(noted(tmp_path / "notes")[0]["process"])


def outer(tmp_path: Path, seconds: float) -> subprocess.Popen[str]:
    """Start a scheduler, and return when its run has written its first note, so that it hears signals."""
    path = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests" / "support")])
    process = subprocess.Popen(
        [sys.executable, "-c", OUTER, str(tmp_path / "notes"), str(seconds)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    while not noted(tmp_path / "notes"):
        assert process.poll() is None
        time.sleep(0.02)
    return process


def test_what_goes_wrong_within_is_not_swallowed() -> None:
    def command(_: date) -> list[str]:
        raise RuntimeError("no command line")

    with pytest.raises(RuntimeError, match="no command line"):
        Daemon(Cron(EVERY_SECOND, "UTC"), command, lambda _: None).run()


def test_a_command_that_cannot_be_started_is_a_failed_run(tmp_path: Path) -> None:
    told: list[str] = []
    missing = str(tmp_path / "nothing")
    assert Daemon(Cron(EVERY_SECOND, "UTC"), lambda _: [missing], told.append, Retry(0), once=True).run() == 1
    assert any("cannot be started: " in line and missing in line for line in told)


def test_words_of_a_run() -> None:
    words = run_words(["my.toml", "--root", "x"], date(2026, 1, 31))
    assert words == [sys.executable, "-m", "funkflow", "run", "my.toml", "--root", "x", "--date", "2026-01-31"]


def test_each_run_gets_the_goal() -> None:
    """The moment that is past is a day or more ago: nothing is waited for."""
    moment = ("--cron", "0 0 1 1 *", "--timezone", "UTC", "--catch-up", "--once")
    done = funkflow("schedule", "demo", *moment, "--goal", "both", "--set", "train.rank=8", code=SAYING_ITS_WORDS)
    assert done.returncode == 0, done.stderr
    (said,) = (line for line in done.stdout.splitlines() if line.startswith("run "))
    assert said.rpartition(" ")[0] == "run demo --goal both --set train.rank=8"


def test_next_prints_the_moments_to_come_and_ends() -> None:
    done = funkflow("schedule", "demo", "--cron", "0 3 29 2 *", "--timezone", "Europe/Paris", "--next", "2")
    assert done.returncode == 0, done.stderr
    assert [line[4:] for line in done.stdout.splitlines()] == ["-02-29 03:00:00+01:00"] * 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["demo", "--cron", "0 3 * * MUN"], "the day-of-week 'MUN' is wrong"),
        (["demo", "--cron", "@daily", "--timezone", "Europe/Pari"], "the nearest is 'Europe/Paris'"),
        (["dmo", "--cron", "@daily"], "no preset is called 'dmo'"),
        (["demo", "--cron", "@daily", "--retries", "-1"], "--retries -1: must be 0 or more"),
        (["demo", "--cron", "@daily", "--goal", "both", "--set", "train.biases=true"], "no room for train.biases"),
        (["demo"], "Missing option '--cron'"),
    ],
)
def test_mistakes_are_one_line_at_once(words: list[str], message: str) -> None:
    done = funkflow("schedule", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("package", ["cronsim", "tzlocal"])
def test_a_missing_extra_is_one_line(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from funkflow.pipeline.cli import run_program; run_program()"
    done = funkflow("schedule", "demo", "--cron", "@daily", code=code)
    assert done.returncode == 2
    assert done.stderr == (
        f"funkflow: funkflow schedule needs the package {package}: pip install 'funkflow[schedule]'\n"
    )
