"""The command `check-gradients`: the analytic gradients beside difference quotients, as a table.

Covers: its options, its output, and the error for a wrong gradient.
Does not cover: the quotients (tasks/training/gradient_check.py), the gradients (tasks/training/objective.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from funkflow.tasks.errors import WrongGradient
from funkflow.tasks.late import late

if TYPE_CHECKING:
    from rich import console as consoles
    from rich import table as rich_table
    from rich import text

    from funkflow.pipeline.results import tables
    from funkflow.tasks.training import gradient_check as checks
    from funkflow.tasks.training import objective
else:  # the help needs none of them
    consoles = late("rich.console")
    rich_table = late("rich.table")
    text = late("rich.text")
    tables = late("funkflow.pipeline.results.tables")
    checks = late("funkflow.tasks.training.gradient_check")
    objective = late("funkflow.tasks.training.objective")

_USERS, _ITEMS, _PART = 6, 5, 0.6


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("check-gradients")(check_gradients)


def check_gradients(
    rank: Annotated[int, typer.Option("--rank", min=1, max=64, help="number of factors")] = 3,
    l2: Annotated[float, typer.Option("--l2", min=0.0, help="L2 term per rating")] = 0.1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="seed of the random matrix, factors and directions")] = 0,
) -> None:
    """Compare the gradients with one-sided and central differences, in 64 and in 32 bits, over a range of steps h."""
    problem = checks.random_problem(_USERS, _ITEMS, rank, part=_PART, l2=l2, seed=seed)
    check(problem, objective.gradients, seed, consoles.Console())


def check(problem: checks.Problem, of: objective.Gradients, seed: int, console: consoles.Console) -> None:
    """Print the errors for one problem and what they show; raise WrongGradient if the gradient is wrong."""
    double, single = (checks.sweep_steps(problem, of, dtype, seed=seed) for dtype in ("float64", "float32"))
    worst = checks.worst_coordinate(problem, of)
    console.print(_errors_by_step(double, single))
    for line in _findings(double, single, worst):
        console.print(line, highlight=False, soft_wrap=True)
    if not checks.is_right(double):
        raise WrongGradient(
            f"the gradient is not that of the objective: at {worst.name} it is {worst.analytic:.6g}, "
            f"the central difference is {worst.quotient:.6g}; correct tasks/training/objective.py"
        )


def _errors_by_step(double: checks.Sweep, single: checks.Sweep) -> rich_table.Table:
    rows = [
        (
            f"{high.h:.0e}",
            f"{high.one_sided:.1e}",
            text.Text(f"{high.central:.1e}", "bold" if high == double.best else ""),
            f"{low.one_sided:.1e}",
            text.Text(f"{low.central:.1e}", "bold" if low == single.best else ""),
        )
        for high, low in zip(double.rows, single.rows, strict=True)
    ]
    heads = ("h", "one-sided, 64 bits", "central, 64 bits", "one-sided, 32 bits", "central, 32 bits")
    return tables.text_table(heads, rows, "relative error of difference quotients", right_from=0)


def _findings(double: checks.Sweep, single: checks.Sweep, worst: checks.Coordinate) -> list[str]:
    return [
        f"until rounding takes over, the one-sided error falls as h^{_power(double.one_sided_order)}, "
        f"the central one as h^{_power(double.central_order)}",
        f"64 bits reach {double.best.central:.0e} at h = {double.best.h:.0e}, "
        f"32 bits only {single.best.central:.0e} at h = {single.best.h:.0e}: "
        "too coarse to tell a right gradient from one that is almost right",
        f"the largest difference of a coordinate is {abs(worst.analytic - worst.quotient):.0e}, at {worst.name}",
    ]


def _power(order: float) -> str:
    return "?" if math.isnan(order) else f"{order:.2f}"
