"""What cannot be shown ends no command: characters that an encoding lacks, and readers that went away.

Covers: standard output and error of real processes, started as users have them.
Does not cover: a full disk behind a stream, which stays an error.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from factorised import model_of, saved_in_parts
from program import CHECKOUT, funkflow, funkflow_anew

SAYS = "from funkflow.pipeline.progress.streams import make_output_safe\nmake_output_safe()\n"
FEW = ("--set=train.rank=2", "--set=train.epochs=2", "--set=ranking.count=0", "--set=report.write=false")


def process(words: list[str], output: int, **environment: str) -> subprocess.Popen[bytes]:
    """Start Python with both its streams at one place."""
    variables = {**os.environ, "PYTHONPATH": str(CHECKOUT), **environment}
    return subprocess.Popen([sys.executable, *words], stdout=output, stderr=output, env=variables)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", rb"Am\xe9lie \u03a3 \udce9"),
        ("latin-1", "Amélie ".encode("latin-1") + rb"\u03a3 \udce9"),
        ("utf-8", "Amélie Σ ".encode() + rb"\udce9"),
        ("ascii:replace", b"Am?lie ? ?"),
    ],
)
def test_what_an_encoding_lacks_is_escaped(encoding: str, shown: bytes) -> None:
    script = f"{SAYS}print('Am\\xe9lie \\u03a3 \\udce9')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env={
        **os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONIOENCODING": encoding})  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, shown)


def test_words_go_on_where_nobody_reads_them(tmp_path: Path) -> None:
    script = f"{SAYS}import pathlib, sys\nfor _ in range(9999): print('x' * 99); print('y', file=sys.stderr)\n"
    reading, writing = os.pipe()
    os.close(reading)
    ended = process(["-c", f"{script}pathlib.Path(r'{tmp_path}', 'end').touch()"], writing).wait(60)
    os.close(writing)
    assert (ended, (tmp_path / "end").exists()) == (0, True)


def test_a_terminal_that_was_closed_ends_nothing(tmp_path: Path) -> None:
    script = (
        f"{SAYS}import pathlib, sys, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nprint('here', flush=True)"
    )
    script += f"\nsys.stdin.readline()\nprint('x', flush=True)\npathlib.Path(r'{tmp_path}', 'end').touch()"
    ours, theirs = pty.openpty()
    variables = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=theirs, env=variables)
    os.close(theirs)
    assert b"here" in os.read(ours, 100)
    os.close(ours)
    child.communicate(b"\n", timeout=60)
    assert (child.returncode, (tmp_path / "end").exists()) == (0, True)


def ratings_in(folder: Path) -> str:
    rows = (f"Zoë {user},Amélie {item},{1 + user * item % 5}" for user in range(20) for item in range(user % 2, 20, 2))
    (folder / "r.csv").write_text("\n".join(("user,item,rating", *rows)), encoding="utf-8")
    return str(folder / "r.csv")


def states(root: Path) -> list[str]:
    listed = funkflow("runs", f"--root={root}", "--json")
    return [record["state"] for record in json.loads(listed.stdout)["records"]]


@pytest.mark.long
def test_a_run_ends_well_where_its_titles_cannot_be_shown(tmp_path: Path) -> None:
    words = ["recommend", f"--ratings={ratings_in(tmp_path)}", f"--root={tmp_path / 'root'}", *FEW, "--user=Zoë 1"]
    done = funkflow_anew(*words, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"for user Zo\xeb 1" in done.stdout
    assert r"Am\xe9lie" in done.stdout
    assert states(tmp_path / "root") == ["done"]


def test_json_is_json_in_any_encoding(tmp_path: Path) -> None:
    model = model_of(np.random.default_rng(0), users=3, items=2, text_ids=True)
    model.user_ids[:] = ["Zoë", "Σ", "x"]
    saved_in_parts(model, str(tmp_path), 1)
    words = ["reconstruct", f"--model={tmp_path}", "--user=Zoë"]
    done = funkflow_anew(*words, "--json", PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout)["users"] == ["Zoë"]


@pytest.mark.long
def test_a_run_that_nobody_watches_ends_well(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = ["ingest", f"--ratings={ratings_in(tmp_path)}", f"--root={tmp_path / 'root'}", "--json"]
    ended = process(["-m", "funkflow", *words], writing).wait(240)
    os.close(writing)
    assert (ended, states(tmp_path / "root")) == (0, ["done"])
