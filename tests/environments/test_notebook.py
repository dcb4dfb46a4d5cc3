"""What a notebook shows: a run in a real kernel, results as HTML, and plots as Bokeh figures.

Covers: pipeline/progress/notebook.py, `_repr_html_` of results, pipeline/results/plots.py against what the run left,
and that none of it is loaded where nobody asks for it.
Does not cover: the report (test_report.py), terminals (test_terminal.py).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from bokeh.models.sources import ColumnDataSource
from bokeh.plotting import figure
from nbclient import NotebookClient
from ungated import UNGATED_SECTION

from funkflow import Model, RunResult, run
from funkflow.pipeline.progress.events import (
    BaselinesMeasured,
    EpochFinished,
    Event,
    StageAdvanced,
    StageFinished,
    StageStarted,
)
from funkflow.pipeline.progress.notebook import NotebookView
from funkflow.pipeline.results import plots
from funkflow.tasks.errors import BadInput, SettingsError

CHECKOUT = Path(__file__).parents[2]
SETTINGS = {"synth": {"shape": "demo", "fraction": 0.02}, "train": {"rank": 4, "epochs": 3}, "gate": UNGATED_SECTION}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run({**SETTINGS, "root": str(tmp_path_factory.mktemp("plotted"))})


@pytest.fixture(scope="module")
def told(result: RunResult) -> dict[str, list[dict[str, Any]]]:
    """What the run's metrics have, by kind of event."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in Path(result.paths["run"], "metrics.jsonl").read_text().splitlines():
        found.setdefault(json.loads(line)["event"], []).append(json.loads(line))
    return found


@pytest.mark.long
def test_the_page_about_notebooks_runs_and_progress_is_shown_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    page = (CHECKOUT / "docs" / "notebook.md").read_text(encoding="utf-8")
    cells = [
        *re.findall(r"```python\n(.*?)```", page, re.DOTALL),
        'run("demo", ["synth.fraction=0.1"], progress=False)',
    ]
    form: Any = nbformat.v4
    notebook = form.new_notebook(cells=[form.new_code_cell(each) for each in cells])
    place = {"metadata": {"path": str(tmp_path)}}  # where the default root is made
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=place).execute()
    shown, about_model, about_svd, plotted, quiet = (cell.outputs for cell in notebook.cells)
    (view,) = [each for each in shown if each.output_type == "display_data"]  # brought up to date, not added to
    html = view.data["text/html"]
    assert "funkflow: done" in html
    assert all(f">{stage}</th>" in html for stage in ("ingest", "train", "evaluate", "report"))
    assert "<progress" not in html  # nothing is at work any more
    (result,) = [each for each in shown if each.output_type == "execute_result"]
    assert "validation: probe.txt" in result.data["text/html"]
    assert "on probe.txt" in about_model[0].data["text/html"]
    assert "singular value" in about_svd[0].data["text/html"]
    assert any("application/vnd.bokehjs_exec.v0+json" in each.get("data", {}) for each in plotted)
    assert [each for each in quiet if each.output_type == "display_data"] == []


class Output:
    """What IPython's displays do, and a clock that stands where the test put it."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.now = 0.0

    def update(self, shown: Any) -> None:
        self.shown.append(shown._repr_html_())

    def make(self, shown: Any) -> Output:
        self.update(shown)
        return self


def test_the_view_says_what_is_at_work_calmly_and_as_words() -> None:
    output = Output()
    events: list[tuple[float, Event]] = [
        (0.0, StageStarted("ingest")),
        (0.1, StageFinished("ingest", 0.1, "<b>9 ratings</b>")),
        (0.2, BaselinesMeasured("hash 10 %", 1.1173, 0.9114)),
        (1.0, StageStarted("train", 10)),
        *((1.0 + n, event) for n in (1, 2, 3) for event in (
            EpochFinished(n, 10, 0.9, 0.9 - n / 100, 4e7, True), StageAdvanced("train", n, 10, "epoch"))),
    ]  # fmt: skip
    with NotebookView(output.make, lambda: output.now) as view:
        for output.now, event in events:
            view(event)
        drawn = len(output.shown)
        for _ in range(50):
            view(StageAdvanced("train", 3, 10, "epoch"))
        assert len(output.shown) == drawn  # no time has gone by
    html = output.shown[-1]
    assert "&lt;b&gt;9 ratings&lt;/b&gt; (0.1 s)" in html
    bar = '<progress aria-label="train" value="3" max="10"></progress>'
    assert f"{bar} 3 of at most 10 · 00:03 · at most 00:07 left" in html
    assert "validation RMSE 0.8700, the best so far; training RMSE 0.9000" in html
    assert "to beat: bias baseline 0.9114, mean 1.1173" in html


def test_results_as_html_have_the_figures_and_stay_words(result: RunResult) -> None:
    html = result._repr_html_()
    assert f"{result.rmse:.4f}" in html
    assert f"{result.evaluation['biases']['rmse']:.4f}" in html
    assert str(result.run_id) in html
    model = Model.load(result.paths["model"])
    assert f"{result.rmse:.4f} on {result.split}" in model._repr_html_()
    values = model.svd().s
    assert f"{values[0]:.6g}" in model.svd()._repr_html_()
    evil = "<script>alert(1)</script>"
    spoilt = RunResult(run_id=evil, split=evil, evaluation=result.evaluation, paths={"root": f"s3://a:secret@b/{evil}"})
    assert "<script>" not in spoilt._repr_html_()
    assert "secret" not in spoilt._repr_html_()
    assert RunResult()._repr_html_().startswith("<table>")


def drawn(plot: figure) -> dict[str, dict[str, Any]]:
    """Return the data of a figure's named curves."""
    sources: Any = plot.select({"type": ColumnDataSource})
    legend: Any = plot.below[-1]
    assert plot.xaxis[0].axis_label
    assert plot.yaxis[0].axis_label
    assert legend.items  # below, not over the data
    return {each.name: each.data for each in sources if each.name}


def test_plots_hold_what_the_run_left(result: RunResult, told: dict[str, list[dict[str, Any]]]) -> None:
    epochs = told["EpochFinished"]
    for asked in (result, result.paths["run"], Path(result.paths["run"])):
        curves = drawn(plots.learning_curve(asked))
        assert curves["training"]["x"] == [each["epoch"] for each in epochs] == [1, 2, 3]
        assert curves["training"]["y"] == [each["training_rmse"] for each in epochs]
        assert curves["validation"]["y"] == [each["stopping_rmse"] for each in epochs]
    (both,) = drawn(plots.compare([result])).values()
    assert both["y"] == [each["stopping_rmse"] for each in epochs]
    by_rank = drawn(plots.rmse_by_rank(result))["validation"]
    assert by_rank["x"] == [1, 2, 3, 4]
    assert by_rank["y"][-1] == pytest.approx(result.rmse, rel=1e-5)
    values = drawn(plots.spectrum(Model.load(result.paths["model"])))["U Vᵀ"]
    assert values["y"] == pytest.approx(Model.load(result.paths["model"]).svd().s)
    assert values["energy"][-1] == pytest.approx(1.0)
    assert np.all(np.diff(values["energy"]) > 0)


def test_what_cannot_be_plotted_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"metrics.jsonl: no such file; name the folder of a run"):
        plots.learning_curve(tmp_path)
    with pytest.raises(BadInput, match=r"did not come to training"):
        plots.rmse_by_rank(RunResult())
    with pytest.raises(BadInput, match=r"spectrum.parquet: no such file"):
        plots.rmse_by_rank(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"event": "StageStarted"}\n')
    with pytest.raises(BadInput, match="has no epochs"):
        plots.learning_curve(tmp_path)
    with pytest.raises(SettingsError, match="name a run at least"):
        plots.compare([])


def test_a_model_loads_neither_dask_nor_bokeh_nor_ipython(result: RunResult) -> None:
    code = (
        "import sys; from funkflow import Model; Model.load(sys.argv[1])._repr_html_(); "
        "print([name for name in ('distributed', 'dask', 'bokeh', 'IPython') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, result.paths["model"]], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
