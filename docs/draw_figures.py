"""Draw the figures of follow-the-gradient.md and scale.md: `make figures`, or `python -m docs.draw_figures FOLDER`.

Covers: five small SVG pictures, each computed with the code that the page speaks of; the same bytes each time.
Does not cover: the pages' text (beside this file), or anything that a run needs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from funkflow.pipeline.planning.constants import reference_constants
from funkflow.pipeline.planning.epoch_time import EpochCosts, predict_epoch
from funkflow.pipeline.planning.task_costs import Job, Matrix
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.row_objective import Objective
from funkflow.tasks.grid.scaling import Scaling
from funkflow.tasks.training import als
from funkflow.tasks.training.gradient_check import random_problem, sweep_steps
from funkflow.tasks.training.gradient_descent import Array, OfArrays, Rule, follow, follow_gradient
from funkflow.tasks.training.objective import Observed, Point, gradients, objective

Cells = npt.NDArray[np.bool_]

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "funkflow", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False})
mpl.rcParams.update({"axes.spines.right": False, "legend.frameon": False, "figure.dpi": 100})


def draw_steps() -> Figure:
    """Fixed steps down x^2, well chosen and almost too long, and down x^4, which grows flat."""
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    cases = ((2, 0.1, "$x^2$, step 0.1"), (2, 0.95, "$x^2$, step 0.95"), (4, 0.1, "$x^4$, step 0.1"))
    for axes, (power, step, title) in zip(figure.subplots(1, 3), cases, strict=True):
        places = list(follow(_power(power), np.array([1.0]), Rule(step=step, steps=12)))
        x = np.linspace(-1.1, 1.1, 200)
        axes.plot(x, x**power, color="0.7")
        axes.plot([float(p.point[0]) for p in places], [p.value for p in places], "o-", markersize=3.5, linewidth=0.8)
        axes.set(title=title, xlabel="x", ylim=(-0.05, 1.25))
    return figure


def _power(power: int) -> OfArrays:
    return OfArrays(lambda x: float(np.sum(x**power)), lambda x: power * x ** (power - 1))


def draw_quotients() -> Figure:
    """The error of both quotients against h, in both precisions."""
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes: Axes = figure.subplots()
    problem = random_problem(6, 5, 3, 0.6, 0.1, 0)
    for dtype, style in (("float64", "-"), ("float32", "--")):
        rows = sweep_steps(problem, gradients, dtype).rows
        for name, colour in (("one_sided", "tab:red"), ("central", "tab:blue")):
            label = f"{name.replace('_', '-')}, {dtype.removeprefix('float')} bits"
            errors = [max(getattr(row, name), 1e-12) for row in rows]
            axes.loglog([row.h for row in rows], errors, style, color=colour, marker="o", markersize=3, label=label)
    axes.set(xlabel="h", ylabel="relative error", ylim=(1e-11, 1e1))
    axes.legend(loc="lower left", bbox_to_anchor=(1.0, 0.3))
    return figure


def draw_descent() -> Figure:
    """How far full-batch descent is from the best error of rank 5, step by step."""
    figure = Figure(figsize=(6.0, 3.2), layout="constrained")
    axes: Axes = figure.subplots()
    rng, (m, n, rank) = np.random.default_rng(0), (40, 30, 5)
    matrix = rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n)) + 0.1 * rng.normal(size=(m, n))
    users, items = (each.ravel() for each in np.indices((m, n)))
    data = Observed(users, items, matrix.ravel())
    best = float(np.sum(np.linalg.svd(matrix, compute_uv=False)[rank:] ** 2))
    start = 0.1 * rng.normal(size=(m + n, rank))

    def at(rows: Array) -> Point:
        return Point(rows[:m], rows[m:], np.zeros(m), np.zeros(n))

    def slope(rows: Array) -> Array:
        found = gradients(at(rows), data, 0.0)
        return np.concatenate([found.user_factors, found.item_factors])

    for label, rule in (
        ("fixed step", Rule(step=0.003, steps=150)),
        ("fixed step, momentum 0.8", Rule(step=0.003, momentum=0.8, steps=150)),
        ("line search", Rule(steps=150, tolerance=1e-7)),
    ):
        _, values = follow_gradient(lambda rows: objective(at(rows), data, 0.0), slope, start, rule)
        excess = (np.sqrt(values) - np.sqrt(best)) / np.linalg.norm(matrix)
        axes.semilogy(np.maximum(excess, 1e-14), label=label)
    axes.set(xlabel="step", ylabel="error beyond the truncated SVD's", ylim=(1e-13, 2))
    axes.legend(loc="lower left", bbox_to_anchor=(1.0, 0.3))
    return figure


def draw_weight() -> Figure:
    """The RMSE of ratings and the NDCG of recommendations against the weight of a missing cell.

    People rate the films that they come across and like: most of the 400 x 200 cells are missing, and not at random.
    """
    rng, (m, n, rank) = np.random.default_rng(0), (400, 200, 8)
    taste = rng.normal(size=(m, 4)) @ rng.normal(size=(4, n)) / 2
    fame = rng.normal(size=n)
    ratings = np.clip(np.round(3.3 + 0.9 * taste + 0.3 * fame + 0.6 * rng.normal(size=(m, n))), 1, 5)
    rated = rng.random((m, n)) < 1 / (1 + np.exp(2.9 - 1.6 * taste - 0.9 * fame))
    held_out = rated & (rng.random((m, n)) < 0.2)
    trained, relevant = rated & ~held_out, held_out & (ratings >= 4)
    start = 0.1 * rng.normal(size=(n, rank))
    weights = [0.0, *np.logspace(-3, 0, 7)]
    found = []
    for alpha in weights:
        scores = solved_by_turns(np.where(trained, ratings, np.nan), start, alpha, 0.03)
        errors = np.clip(5 * scores, 1, 5) - ratings  # the scale 1 to 5 is 0.2 to 1 in training
        found.append((np.sqrt(np.mean(errors[held_out] ** 2)), mean_ndcg(scores, trained, relevant)))
    popular = mean_ndcg(np.broadcast_to(trained.sum(axis=0), (m, n)), trained, relevant)
    figure = Figure(figsize=(6.6, 3.2), layout="constrained")
    left: Axes = figure.subplots()
    right = left.twinx()
    places = [5e-4, *weights[1:]]
    left.semilogx(places, [rmse for rmse, _ in found], "o-", color="tab:red", markersize=3)
    right.semilogx(places, [ndcg for _, ndcg in found], "o-", color="tab:blue", markersize=3)
    right.axhline(popular, color="tab:blue", linestyle=":", linewidth=0.8)
    right.text(1.0, popular + 0.008, "most rated items", color="tab:blue", ha="right")
    left.set_xticks([5e-4, 1e-3, 1e-2, 1e-1, 1], ["0", "0.001", "0.01", "0.1", "1"])
    left.minorticks_off()
    left.set(xlabel="weight of a missing cell: from completion to the SVD", ylim=(0, 3.6))
    left.set_ylabel("RMSE of ratings", color="tab:red")
    right.set_ylabel("NDCG@10 of recommendations", color="tab:blue")
    right.set_ylim(0, 0.42)
    return figure


def solved_by_turns(ratings: Array, start: Array, alpha: float, l2: float) -> Array:
    """Return u·v for all cells after 12 epochs of row solves; `ratings` : NaN where missing; `start` : items' rows."""
    rows = [np.zeros((len(ratings), start.shape[1])), start]
    sides = [_side(table, alpha, l2) for table in (ratings, ratings.T)]
    for turn in range(24):
        block, counts, numbers = sides[turn % 2]
        mine, others = rows[turn % 2], rows[1 - turn % 2]
        basis = als.basis_of(numbers, "users", als.gram_of(others))
        rows[turn % 2] = als.solve_users((block,), mine, [others], basis, counts, numbers, 2).rows
    product: Array = rows[0] @ rows[1].T
    return product


def _side(ratings: Array, alpha: float, l2: float) -> tuple[RatingBlock, Array, Objective]:
    users, items = np.nonzero(~np.isnan(ratings))
    shape = (len(ratings), ratings.shape[1])
    block = RatingBlock.of(users, items, ratings[users, items].astype(np.float32), shape)
    counts = np.bincount(users, minlength=len(ratings)).astype(np.float64)
    return block, counts, Objective(alpha, l2, *shape, scaling=Scaling(0.0, 5.0))


def mean_ndcg(scores: Array, trained: Cells, relevant: Cells) -> float:
    """Return NDCG@10, the mean over users with a relevant item; trained items are no candidates."""
    best = np.argsort(-np.where(trained, -np.inf, scores), axis=1, kind="stable")[:, :10]
    discounts, counts = 1 / np.log2(np.arange(2, 12)), relevant.sum(axis=1)
    gains = np.take_along_axis(relevant, best, axis=1) @ discounts
    measured = counts > 0
    return float(np.mean(gains[measured] / np.cumsum(discounts)[np.minimum(counts[measured], 10) - 1]))


def draw_scale() -> Figure:
    """The parts of an epoch of 100 G ratings against the workers that it is spread over, a share each."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes: Axes = figure.subplots()
    counts = [8, 16, 32, 64, 128, 256, 512, 1024]
    epochs = [_shortest(workers) for workers in counts]
    parts = [name for name in epochs[0].parts if name != "checkpoint"]
    axes.stackplot(counts, [[epoch.parts[name] for epoch in epochs] for name in parts], labels=parts)
    axes.set(xlabel="workers of at most 16 threads", ylabel="seconds of an epoch", ylim=(0, 1200))
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True)
    return figure


def _shortest(workers: int) -> EpochCosts:
    """Return the shortest epoch of all grids that give each of so many workers one share."""
    matrix = Matrix(90e9, 1e9, 1e8, 128, 10e9)
    jobs = [
        Job(matrix, workers * each, workers, min(16, each)) for each in (1, 2, 4, 8, 16, 32) if workers * each <= 4096
    ]
    return min((predict_epoch(job, reference_constants()) for job in jobs), key=lambda epoch: epoch.seconds)


FIGURES = {
    "steps": draw_steps, "quotients": draw_quotients, "descent": draw_descent, "weight": draw_weight,
    "scale": draw_scale,
}  # fmt: skip


def draw(folder: Path) -> None:
    """Write every figure as SVG into a folder."""
    for name, drawn in FIGURES.items():
        drawn().savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
