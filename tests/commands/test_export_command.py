"""The command `export`: a stage of a run, and a saved model as a file for another program.

Covers: the options of `export` in pipeline/commands/stages.py, and what docs/export.md shows.
Does not cover: the files (tests/unit/test_model_files.py), the stage itself (test_flow.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from program import SMALL, funkflow
from root_in_use import root as root
from stand_in import funkflow as started

from funkflow import Model


def test_the_model_in_use_is_written_as_one_file(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.npz"
    done = funkflow("export", "--model", "current", "--root", str(root), "--form", "npz", "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    model = Model.load(told["model"])
    with np.load(out) as found:
        np.testing.assert_array_equal(found["item_factors"], model.item_factors)
    assert (told["file"], told["users"], told["run_id"]) == (str(out), len(model.user_ids), model.about["run_id"])


def test_settings_lead_to_a_model_too(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    words = ("demo", "--root", str(root), *SMALL, "--form", "safetensors", "--out", str(out))
    done = funkflow("export", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}: ")
    assert " users x " in done.stdout
    assert out.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "m"], "--form and --out go together"),
        (["demo", "--form", "npz"], "--form and --out go together"),
        (["demo", "--form", "npz", "--out", "x", "--force"], "are for a run alone"),
        (["--model", "nowhere", "--form", "npz", "--out", "x"], "nowhere: there is no model here"),
        (["demo", "--model", "m", "--form", "npz", "--out", "x"], "--model takes the place of CONF"),
    ],
)
def test_mistakes_are_one_line(words: list[str], said: str) -> None:
    done = funkflow("export", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_onnx_the_remedy_is_named() -> None:
    code = "import sys; sys.modules['onnx'] = None; from funkflow.pipeline.cli import run_program; run_program()"
    done = started("export", "--model", "nowhere", "--form", "onnx", "--out", "x", code=code)
    assert done.returncode == 2
    assert done.stderr == "funkflow: --form onnx needs the package onnx: pip install 'funkflow[onnx]'\n"
