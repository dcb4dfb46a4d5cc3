"""The benchmark of draws beside myFM at its smallest, so that it cannot rot.

Covers: a run of ours with each feature, the split that myFM is given, and a Python without myFM as a failure of its
own.
Does not cover: myFM itself, any speed, or matrices and table (tests/unit/test_who_and_when.py).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.process import run_module
from bench.who_and_when import __main__ as command

SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "u.data"
FEW = ["--rank", "2", *(word for each in ("chains=1", "draws=2") for word in ("--set", f"train.bayes.{each}"))]


@pytest.mark.long
def test_ours_runs_where_myfm_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "bench"
    words = [str(SAMPLE), "--folder", str(folder), "--parts", "when", "--draws", "2", *FEW]
    code = command.main([*words, "--peer-python", sys.executable])
    training, validation = (np.load(folder / f"{name}.npy") for name in ("training", "validation"))
    lines = len(SAMPLE.read_text(encoding="utf-8").splitlines())
    assert len(training) + len(validation) == lines
    pairs = {tuple(each) for part in (training, validation) for each in part[["user", "item"]].tolist()}
    assert len(pairs) == lines
    assert len(np.unique(training["day"])) > 1
    (row,) = json.loads((folder / "who-and-when.json").read_text(encoding="utf-8"))["rows"]
    assert row["ours"]["rmse"] > 0
    assert len(row["ours"]["trace"]) == row["ours"]["more"]["sweeps"]
    assert code == bool(row["myfm"]["failed"])
    assert row["myfm"]["failed"] in ("", "not installed: No module named 'myfm'")
    assert "| and the day |" in capsys.readouterr().out


def test_peer_answers_for_help() -> None:
    failed = run_module("bench.peers.myfm_gibbs", "--help", limit_seconds=60).failed
    assert failed == "its last line is no JSON" or failed.startswith("not installed")


def test_unknown_part_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(SAMPLE), "--parts", "where", "--folder", str(tmp_path / "bench")]) == 2
    assert "there is no part 'where'" in capsys.readouterr().err
    assert not (tmp_path / "bench").exists()
