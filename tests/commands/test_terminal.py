"""How a run looks to somebody watching: the view of a terminal at several widths, plain lines, and JSON lines.

Covers: pipeline/progress/terminal.py and pipeline/progress/lines.py, with events that are given and with real commands
in a real pty.
Does not cover: what a finished command prints (test_cli.py), the live page (test_live.py).
"""

from __future__ import annotations

import io
import json
import os
import pty
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from program import funkflow
from rich.console import Console
from ungated import UNGATED

from funkflow.pipeline.progress.events import (
    BaselinesMeasured,
    CheckpointWritten,
    EpochFinished,
    Event,
    MemoryMeasured,
    RunBegan,
    StageAdvanced,
    StageFinished,
    StageStarted,
)
from funkflow.pipeline.progress.lines import Lines
from funkflow.pipeline.progress.terminal import LiveView

CHECKOUT = Path(__file__).parents[2]
TINY = ("--set", "synth.fraction=0.02", "--set", UNGATED)
TRAINING: tuple[tuple[float, Event], ...] = (
    (0, RunBegan("a1", "b2", "c3", "sgd", 8, 4, 1000, 200, 50_000, 100, 0.1, 0.04, 700 * 2**20)),
    (0, BaselinesMeasured("hash 10 %", 1.1173, 0.9114)),
    (10, StageStarted("train", 100)),
    (12, StageAdvanced("train", 1, 100, "epoch")),
    (12, EpochFinished(1, 100, 0.95, 0.91, 40e6, True)),
    (14, StageAdvanced("train", 2, 100, "epoch")),
    (14, EpochFinished(2, 100, 0.90, 0.86, 42e6, True)),
    (15, CheckpointWritten(2, 0.1)),
    (15, MemoryMeasured(650 * 2**20)),
    (16, StageAdvanced("train", 3, 100, "epoch")),
    (16, EpochFinished(3, 100, 0.89, 0.87, 43e6, False)),
)


class Screen:
    """A console of some width, and a clock that stands where the last event put it."""

    def __init__(self, width: int) -> None:
        self.console = Console(file=io.StringIO(), width=width, force_terminal=False)
        self.now = 0.0

    def notify(self, shown: Lines, events: Sequence[tuple[float, Event]]) -> None:
        for self.now, event in events:
            shown(event)

    @property
    def lines(self) -> list[str]:
        assert isinstance(self.console.file, io.StringIO)
        return self.console.file.getvalue().splitlines()


def view_of(width: int, events: Sequence[tuple[float, Event]]) -> list[str]:
    screen = Screen(width)
    view = LiveView(screen.console, lambda: screen.now)
    screen.notify(view, events)
    said = len(screen.lines)
    screen.console.print(view)
    return screen.lines[said:]


def test_the_view_says_how_far_training_is_and_what_it_reached() -> None:
    bar, *reached = view_of(120, TRAINING)
    assert bar.split()[0] == "train"
    assert "3 of at most 100" in bar
    assert "00:06 · at most 03:14 left" in bar  # two seconds an epoch
    assert [line.strip() for line in reached] == [
        "validation RMSE 0.8700, best 0.8600 at 2; training RMSE 0.8900",
        "to beat: bias baseline 0.9114, mean 1.1173",
        "43.0 M ratings/s · memory 650 of 700 MiB predicted · checkpoint at 2",
    ]


@pytest.mark.parametrize("width", [30, 40, 56, 80, 90, 200])
def test_nothing_wraps_in_a_narrow_terminal(width: int) -> None:
    lines = view_of(width, TRAINING)
    assert len(lines) == 4
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("train")
    assert "3 of" in lines[0]


def test_a_stage_counts_its_tasks_or_those_of_what_it_does_now() -> None:
    whole = view_of(100, [(0, StageStarted("grid", 4)), (3, StageAdvanced("grid", 1, 2, "scatter")),
                          (6, StageAdvanced("grid", 1, 2, "build-block"))])  # fmt: skip
    assert "2 of 4" in whole[0]
    assert "00:06 · 00:06 left" in whole[0]
    part = view_of(100, [(0, StageStarted("ingest")), (4, StageAdvanced("ingest", 1, 3, "parse"))])
    assert "1 of 3" in part[0]
    assert "00:04 · 00:08 left" in part[0]
    unknown = view_of(100, [(0, StageStarted("ingest"))])
    assert unknown[0].split()[0] == "ingest"
    assert view_of(100, [(0, StageStarted("ingest")), (4, StageFinished("ingest", 4.0, "all"))]) == []


def test_without_a_terminal_a_stage_that_takes_long_says_where_it_is() -> None:
    screen = Screen(100)
    screen.notify(
        Lines(screen.console, lambda: screen.now),
        [(0, StageStarted("ingest")), (4, StageAdvanced("ingest", 1, 9, "parse")),
         (6, StageAdvanced("ingest", 2, 9, "parse")), (9, StageAdvanced("ingest", 3, 9, "parse")),
         (18, StageFinished("ingest", 18.0, "[bold] is no markup here"))],
    )  # fmt: skip
    assert screen.lines == ["ingest     parse 2 of 9, 00:21 left", "ingest     [bold] is no markup here  18.0 s"]


def in_a_terminal(words: Sequence[str], **environment: str) -> str:
    """Return all that a command wrote to its terminal; it must end well."""
    child, terminal = pty.fork()
    if child == 0:
        usual = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        chosen = {**usual, "TERM": "xterm-256color", **environment}
        os.chdir(CHECKOUT)
        os.execve(sys.executable, [sys.executable, "-m", "funkflow", *words], chosen)
    written = b""
    try:
        while data := os.read(terminal, 65_536):
            written += data
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, written.decode()
    return written.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*\b(?:3[0-7]|9[0-7]|38;[0-9;]+)m")


def test_a_terminal_has_a_view_in_colour_that_is_gone_at_the_end(tmp_path: Path) -> None:
    written = in_a_terminal(["run", "demo", *TINY, "--set", "train.epochs=4", "--root", str(tmp_path)])
    assert COLOUR.search(written)
    assert "epoch   1  training RMSE" not in written
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")  # the cursor is back
    assert "validation: probe.txt" in written


@pytest.mark.long
def test_no_color_is_respected_and_a_dumb_terminal_has_plain_lines(tmp_path: Path) -> None:
    words = ["synth", "demo", *TINY, "--root"]
    plain = in_a_terminal([*words, str(tmp_path / "plain")], NO_COLOR="1")
    assert "\x1b[?25l" in plain  # the view, without colours
    assert not COLOUR.search(plain)
    dumb = in_a_terminal([*words, str(tmp_path / "dumb")], TERM="dumb")
    assert "\x1b" not in dumb
    assert "synth " in dumb


def test_json_lines_are_those_of_the_metrics_and_stdout_stays_free(tmp_path: Path) -> None:
    done = funkflow("run", "demo", *TINY, "--set", "train.epochs=3", "--root", str(tmp_path), "--json",
                    "--log-format", "json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"time", "event"} <= line.keys() for line in lines)
    result = json.loads(done.stdout)
    kept = [json.loads(line) for line in Path(result["paths"]["run"], "metrics.jsonl").read_text().splitlines()]
    epochs = [_without_time(line) for line in lines if line["event"] == "EpochFinished"]
    assert epochs == [_without_time(line) for line in kept if line["event"] == "EpochFinished"]
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    assert lines[-1]["event"] == "RunEnded"


def _without_time(line: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in line.items() if name != "time"}


@pytest.mark.parametrize("option", [True, False], ids=["option", "environment"])
def test_an_error_is_a_json_line_too(option: bool) -> None:
    words, environment = (["--log-format=json"], {}) if option else ([], {"FUNKFLOW_LOG_FORMAT": "json"})
    done = funkflow("run", "nosuch", *words, **environment)
    (line,) = (json.loads(line) for line in done.stderr.splitlines())
    assert (done.returncode, line["event"], line["exit_code"]) == (2, "Failed", 2)
    assert "no preset is called 'nosuch'" in line["message"]


def test_a_form_that_there_is_not_is_refused() -> None:
    done = funkflow("runs", "--log-format", "xml")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "'xml' is not one of 'text', 'json'" in done.stderr
