"""docs/adding-a-method.md: the method that the page adds goes through a whole run, and its model is what it claims.

Covers: the two blocks of the page, the values of train.method, the plan, and the model.
Does not cover: the methods that are there (test_train.py and others).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ungated import UNGATED

CHECKOUT = Path(__file__).parents[2]
FILE, ENTRY = re.findall(r"```python\n(.*?)```", (CHECKOUT / "docs/adding-a-method.md").read_text("utf-8"), re.DOTALL)

SCRIPT = f"""
import importlib.util, json, sys
from funkflow.pipeline.settings.methods import METHODS, Method

entry = {ENTRY.strip()}
METHODS[entry.name] = entry
name = entry.run.partition(":")[0]
spec = importlib.util.spec_from_file_location(name, sys.argv[1] + "/page.py")
sys.modules[name] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

import funkflow
from funkflow.pipeline.planning.plan import plan_of
from funkflow.pipeline.settings.train import TrainSettings

if __name__ == "__main__":
    words = ["synth.fraction=0.02", "train.method=additive", "train.rank=2", {UNGATED!r},
             "root=" + sys.argv[1] + "/root"]
    result = funkflow.run("demo", words)
    model = funkflow.Model.load(result.paths["model"])
    print(json.dumps({{
        "rmse": result.rmse, "of_biases": result.evaluation["biases"]["rmse"],
        "factors": model.user_factors.shape[1],
        "biases": float(abs(model.user_biases).max()), "listed": TrainSettings.model_fields["method"].description,
        "plan": plan_of(funkflow.Settings.load("demo", words)).limit,
    }}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a script with the page's two blocks in their places prints."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.py").write_text(FILE, encoding="utf-8")
    (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(folder / "script.py"), str(folder)], capture_output=True, text=True, check=False,
        cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return printed


def test_its_model_predicts_as_the_bias_baseline_does(found: dict[str, object]) -> None:
    assert found["rmse"] == pytest.approx(found["of_biases"], rel=1e-6)
    assert (found["factors"], found["biases"]) == (2, 0.0)


def test_settings_and_plan_know_it(found: dict[str, object]) -> None:
    assert "additive: the damped biases as two factors" in str(found["listed"])
    assert found["plan"] == "at most 100 epochs"
