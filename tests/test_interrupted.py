"""A client killed by `kill -9` in mid-run: the same command goes on from the last checkpoint, to the same bits.

Covers: the whole command in processes of its own, killed at a named event.
Does not cover: killed workers (test_train.py).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
EPOCHS, EVERY, KILLED_AT = 9, 3, 8

PROGRAM = """
import os, signal, sys
from pipeline import Settings, run
from pipeline.runtime.events import EpochFinished

def kill(event):
    if isinstance(event, EpochFinished) and event.epoch == {killed_at}:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    overrides = [
        "synth.fraction=0.03",
        "grid.shards=4",
        "train.rank=5",
        "train.epochs={epochs}",
        "train.patience={epochs}",
        "train.checkpoint_epochs={every}",
        "root=" + sys.argv[1],
    ]
    settings = Settings.load("demo", overrides)
    result = run(settings, listeners=[kill])
    print(result.paths["model"])
"""


def run_program(root: Path, killed_at: int) -> subprocess.CompletedProcess[str]:
    program = root.parent / f"program-{killed_at}.py"
    program.write_text(PROGRAM.format(killed_at=killed_at, epochs=EPOCHS, every=EVERY))
    return subprocess.run(
        [sys.executable, str(program), str(root)], capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip


def factors(root: Path) -> dict[str, bytes]:
    (model,) = root.glob("runs/*/model")
    return {path.relative_to(model).as_posix(): path.read_bytes() for path in model.rglob("part.*.parquet")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("undisturbed") / "root"
    done = run_program(root, killed_at=0)
    assert done.returncode == 0, done.stderr
    return factors(root)


def test_a_killed_client_resumes_to_the_same_bits(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    root = tmp_path / "root"
    killed = run_program(root, KILLED_AT)
    assert killed.returncode == -signal.SIGKILL
    assert not list(root.glob("runs/*/model"))
    resumed = run_program(root, killed_at=0)
    assert resumed.returncode == 0, resumed.stderr
    assert factors(root) == undisturbed
    assert len(undisturbed) == 8
    (metrics,) = root.glob("runs/*/metrics.jsonl")
    events = [json.loads(line) for line in metrics.read_text().splitlines()]
    epochs = [event["epoch"] for event in events if event["event"] == "EpochFinished"]
    again = len(epochs) - len(set(epochs))
    assert set(epochs) == set(range(1, EPOCHS + 1))
    assert 0 < again <= EVERY
    (record,) = root.glob("runs/*/record.json")
    assert json.loads(record.read_text())["attempt"] == 2


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    """Worker processes import the script: without the guard each would start a run of its own."""
    program = tmp_path / "unguarded.py"
    program.write_text(f"from pipeline import run\nrun('demo', ['root={tmp_path}/root', 'synth.fraction=0.02'])\n")
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert done.returncode == 1
    assert 'put the call under: if __name__ == "__main__":' in done.stderr
    assert "the workers on this machine did not start" in done.stderr.splitlines()[-1]
