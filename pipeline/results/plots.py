"""Plots of runs and models as Bokeh figures, for notebooks and pages of one's own.

Covers: learning curves, of one run or several; RMSE by rank; singular values.
Does not cover: the live page (pipeline/progress/live/), the report (report/), which draws its own without a script.

Lines differ in dashes and markers, not in colour alone (pipeline/progress/colours.py).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.models.annotations import Legend, LegendItem, Span
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tools import HoverTool
from bokeh.plotting import figure

from funkflow.pipeline.progress.colours import GREY, SEVERAL, colour_at
from funkflow.pipeline.progress.events import BaselinesMeasured, EpochFinished, event_of
from funkflow.pipeline.progress.metrics_file import epochs_of, events_of
from funkflow.pipeline.results.report.drawing import MARKS
from funkflow.pipeline.root.result import RunResult
from funkflow.tasks.digits import rounded
from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.model.model import Model
from funkflow.tasks.storage import files

_DASHES = ("solid", "dashed", "dotdash", "dotted")
Run = RunResult | str | os.PathLike[str]
"""A result of `run`, or the folder of a run."""


def learning_curve(run: Run) -> figure:
    """Return RMSE by epoch on training and held-out ratings, beside that of the bias baseline.

    Where an NDCG decided, it is the curve, of held-out ratings alone.

    Parameters
    ----------
    run : the result of a run, or its folder.

    Raises
    ------
    BadInput
        There is no such run, or it has no epochs.
    """
    events = _events_of_run(run)
    epochs = _curve_epochs(events, run)
    numbers = sorted(epochs)
    if ndcgs := [(ndcg, n) for n in numbers if (ndcg := epochs[n].stopping_ndcg) is not None]:
        return _ndcg_curve(ndcgs, epochs[numbers[0]].places)
    plot = _plot("RMSE by epoch", "epoch", "RMSE, rating units", [("epoch", "@x"), ("RMSE", "@y{0.0000}")])
    drawn = [_line(plot, 0, "training", numbers, [epochs[n].training_rmse for n in numbers])]
    held_out = [epochs[n].stopping_rmse for n in numbers]
    if any(value is not None for value in held_out):
        drawn.append(_line(plot, 1, "validation", numbers, held_out))
        rmse, best = min((rmse, n) for n, rmse in zip(numbers, held_out, strict=True) if rmse is not None)
        drawn.append(_best(plot, best, rmse))
    for event in events:
        named = event["event"] == BaselinesMeasured.__name__
        if named and isinstance(measured := event_of(event), BaselinesMeasured):
            biases = measured.biases_rmse
            plot.add_layout(Span(location=biases, dimension="width", line_color=GREY, line_dash="dashed"))
            line: Any = plot.line([numbers[0]] * 2, [biases] * 2, color=GREY, line_dash="dashed", name="biases")
            drawn.append(LegendItem(label=f"bias baseline {rounded(biases)} on {measured.split}", renderers=[line]))
            break
    _legend(plot, drawn)
    return plot


def _ndcg_curve(ndcgs: Sequence[tuple[float, int]], places: int) -> figure:
    """Return the curve of (NDCG, epoch)."""
    at = f"NDCG@{places}"
    plot = _plot(f"{at} by epoch", "epoch", at, [("epoch", "@x"), (at, "@y{0.0000}")])
    value, best = max(ndcgs, key=lambda each: (each[0], -each[1]))
    line = _line(plot, 1, "validation", [n for _, n in ndcgs], [ndcg for ndcg, _ in ndcgs])
    _legend(plot, [line, _best(plot, best, value)])
    return plot


def _best(plot: figure, epoch: int, value: float) -> LegendItem:
    mark: Any = plot.scatter([epoch], [value], size=13, marker="star", color="black", name="best")
    return LegendItem(label=f"best: epoch {epoch}", renderers=[mark])


def compare(runs: Sequence[Run]) -> figure:
    """Return the curves of several runs: on held-out ratings if there are any, else on training ratings.

    They are of NDCG if it decided in all of them, else of RMSE.

    Parameters
    ----------
    runs : results of runs, or their folders.
    """
    if not runs:
        raise SettingsError("compare: name a run at least")
    of_runs = [_curve_epochs(_events_of_run(run), run) for run in runs]
    ranked = all(each.stopping_ndcg is not None for epochs in of_runs for each in epochs.values())
    measure, words = ("NDCG", "NDCG") if ranked else ("RMSE", "RMSE, rating units")
    plot = _plot(f"{measure} by epoch", "epoch", words, [("epoch", "@x"), (measure, "@y{0.0000}")])
    drawn = []
    for number, (run, epochs) in enumerate(zip(runs, of_runs, strict=True)):
        stopping = {n: each.stopping_ndcg if ranked else each.stopping_rmse for n, each in epochs.items()}
        training = all(value is None for value in stopping.values())
        values = {n: each.training_rmse for n, each in epochs.items()} if training else stopping
        name = f"{os.path.basename(_run_folder(run))[:8]}, {'training' if training else 'validation'}"
        drawn.append(_line(plot, number, name, sorted(values), [values[n] for n in sorted(values)]))
    _legend(plot, drawn)
    return plot


def rmse_by_rank(run: Run) -> figure:
    """Return the validation RMSE with only the strongest factors, for each number of them.

    Parameters
    ----------
    run : the result of a run, or its folder.

    Raises
    ------
    BadInput
        The run has no spectrum, or no validation ratings.
    """
    url = files.join(_run_folder(run), "model", "spectrum.parquet")
    if files.bytes_if_there(url) is None:
        raise BadInput(f"{url}: no such file; funkflow spectrum makes it")
    table = files.read_table(url)
    if "rmse" not in table.column_names or table["rmse"].null_count:
        raise BadInput(f"{url}: this run held nothing out to measure an RMSE on")
    plot = _plot("RMSE with the strongest factors only", "factors", "validation RMSE, rating units",
                 [("factors", "@x"), ("RMSE", "@y{0.0000}")])  # fmt: skip
    _legend(plot, [_line(plot, 0, "validation", table["rank"].to_pylist(), table["rmse"].to_pylist())])
    return plot


def spectrum(model: Model, fold_biases: bool = False) -> figure:
    """Return the singular values of a model, on a logarithmic scale.

    Parameters
    ----------
    model : the model.
    fold_biases : the model with mean and biases as two more ranks, instead of U Vᵀ.
    """
    values = model.svd(fold_biases=fold_biases).s
    energy = (values**2).cumsum() / (values**2).sum()
    tips = [("number", "@x"), ("value", "@y"), ("energy up to here", "@energy{0.0%}")]
    plot = _plot("Singular values", "number", "singular value", tips, y_axis_type="log")
    numbers = list(range(1, len(values) + 1))
    named = "µ + b + U Vᵀ" if fold_biases else "U Vᵀ"
    _legend(plot, [_line(plot, 0, named, numbers, values.tolist(), energy=energy.tolist())])
    return plot


def _plot(title: str, x: str, y: str, tips: list[tuple[str, str]], **more: Any) -> figure:
    hover = HoverTool(tooltips=tips)
    return figure(
        title=title, x_axis_label=x, y_axis_label=y, height=360, width=720,
        tools=[hover, "pan", "box_zoom", "wheel_zoom", "reset", "save"], **more,
    )  # fmt: skip


def _line(
    plot: figure, number: int, name: str, xs: Sequence[float], ys: Sequence[float | None], **more: Any
) -> LegendItem:
    values = [math.nan if value is None else value for value in ys]
    source = ColumnDataSource({"x": list(xs), "y": values, **more}, name=name)
    colour, dash = colour_at(number), _DASHES[number // len(SEVERAL) % len(_DASHES)]
    line: Any = plot.line("x", "y", source=source, color=colour, line_width=2, line_dash=dash)
    dots: Any = plot.scatter("x", "y", source=source, color=colour, size=6, marker=MARKS[number % len(MARKS)])
    return LegendItem(label=name, renderers=[line, dots])


def _legend(plot: figure, items: list[LegendItem]) -> None:
    plot.add_layout(Legend(items=items, orientation="horizontal", click_policy="hide", ncols=3), "below")


def _run_folder(run: Run) -> str:
    if isinstance(run, RunResult):
        if "run" not in run.paths:
            raise BadInput("this result is of an execution that did not come to training, so there is nothing to plot")
        return run.paths["run"]
    return os.fspath(run).rstrip("/")


def _events_of_run(run: Run) -> list[dict[str, object]]:
    """Return the events of a run, all attempts one after another."""
    events = events_of(_run_folder(run))
    if events is None:
        raise BadInput(f"{files.join(_run_folder(run), 'metrics.jsonl')}: no such file; name the folder of a run")
    return events


def _curve_epochs(events: Sequence[Mapping[str, object]], run: Run) -> dict[int, EpochFinished]:
    found = epochs_of(events)
    if not found:
        raise BadInput(f"{_run_folder(run)}: this run has no epochs, so there is no curve; its method takes no steps")
    return found
