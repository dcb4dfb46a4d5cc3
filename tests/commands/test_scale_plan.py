"""Plans by sizes: the best grid, what cannot fit, the words of the command; and the constants they rest on.

Covers: pipeline/planning/best_grid.py, pipeline/planning/constants.py, pipeline/planning/calibrate.py,
pipeline/commands/plan.py.
Does not cover: how long one grid takes (test_scale.py), plans of runs (test_plan.py).
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from program import funkflow

from funkflow.pipeline.commands.plan import number, of_bytes, refuse_sizes
from funkflow.pipeline.planning.best_grid import plan_scale
from funkflow.pipeline.planning.constants import (
    Constants,
    constants_for,
    read_constants,
    reference_constants,
    write_constants,
)
from funkflow.pipeline.planning.epoch_time import predict_epoch
from funkflow.pipeline.planning.task_costs import Job, Matrix
from funkflow.tasks.errors import CannotFit, SettingsError

LARGE = Matrix(9e10, 1e9, 1e8, 128, 1e10)
CONSTANTS = reference_constants()


def test_the_best_grid_is_the_shortest_that_fits() -> None:
    """Among the grids of a middling job, looked at one by one."""
    matrix = Matrix(1e9, 1e6, 1e5, 64, 1e8)
    every = [
        predict_epoch(Job(matrix, shards, workers, 4), CONSTANTS, 4e9)
        for shards in range(1, 257)
        for workers in range(1, 17)
    ]
    best = plan_scale(Job(matrix, 0, 16, 4), CONSTANTS, 4e9, "").best
    shortest = min(epoch.seconds for epoch in every if epoch.fits(4e9) and epoch.job.shares_a_worker == 1)
    assert best.fits(4e9)
    assert best.seconds <= shortest * 1.001


def test_what_cannot_fit_is_refused_with_what_it_needs() -> None:
    with pytest.raises(CannotFit, match=r"no grid fits workers of 64.00 GiB: the least that any needs is") as refusal:
        plan_scale(Job(LARGE, 0, 1000, 16), CONSTANTS, 64 * 2**30, "")
    needed = float(str(refusal.value).split("needs is ")[1].split(" GiB")[0])
    assert plan_scale(Job(LARGE, 0, 1000, 16), CONSTANTS, (needed + 0.1) * 2**30, "").best.fits((needed + 0.1) * 2**30)


def test_a_grid_that_is_named_is_kept() -> None:
    assert plan_scale(Job(LARGE, 300, 1000, 16), CONSTANTS, math.inf, "").best.job.shards == 300


def test_constants_of_a_rank_lie_between_those_measured() -> None:
    measured = {each.rank: each.seconds_per_rating for each in CONSTANTS.ranks}
    ranks = sorted(measured)
    between = CONSTANTS.at((ranks[0] + ranks[1]) // 2).seconds_per_rating
    assert measured[ranks[0]] < between < measured[ranks[1]]
    assert CONSTANTS.at(2 * ranks[-1]).seconds_per_rating == pytest.approx(2 * measured[ranks[-1]])


def test_constants_are_found_where_they_are_said_to_be(tmp_path: Path) -> None:
    """The named file first, then the root's own, then the reference, which says that it is of another machine."""
    assert "another machine" in constants_for(str(tmp_path))[1]
    own = CONSTANTS.model_copy(update={"hop_seconds": 1.5})
    write_constants(str(tmp_path / "constants.json"), own)
    write_constants(str(tmp_path / "named.json"), CONSTANTS)
    assert constants_for(str(tmp_path))[0] == own
    assert constants_for(str(tmp_path), str(tmp_path / "named.json"))[0] == CONSTANTS


@pytest.mark.parametrize(
    ("change", "said"),
    [({"hop_seconds": -1}, "hop_seconds: .* -1"), ({"format_version": 0}, "version 0"), ({"warp": 1}, "warp")],
)
def test_wrong_constants_are_refused_by_name(tmp_path: Path, change: dict[str, float], said: str) -> None:
    path = tmp_path / "constants.json"
    write_constants(str(path), CONSTANTS)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(SettingsError, match=said):
        read_constants(str(path))


def test_sizes_are_read_and_refused() -> None:
    assert (number("--users", "1e9"), number("--ratings", "100_000"), of_bytes("--memory", "2 GiB")) == (
        1e9,
        1e5,
        2**31,
    )
    for text in ("many", "0", "1.5", "nan", "-3"):
        with pytest.raises(SettingsError, match="whole number"):
            number("--users", text)
    with pytest.raises(SettingsError, match="GiB"):
        of_bytes("--memory", "much")
    for sizes, said in (
        ((1e12, 3e9, 1e6), "dense ids"),
        ((10, 20, 5), "at most as many as ratings"),
        ((99, 9, 9), "fewer pairs"),
    ):
        with pytest.raises(SettingsError, match=said):
            refuse_sizes(*sizes)


def test_the_command_plans_by_sizes(tmp_path: Path) -> None:
    sizes = ["--ratings", "100e9", "--users", "1e9", "--items", "1e8", "--rank", "128", "--workers", "1000"]
    done = funkflow("plan", *sizes, "--root", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["best"]["seconds_per_epoch"] == pytest.approx(sum(plan["best"]["parts_seconds"].values()))
    assert plan["best"]["workers"] <= 1000
    refused = funkflow("plan", *sizes, "--root", str(tmp_path), "--memory", "64 GiB")
    assert refused.returncode == 4
    assert "no grid fits" in refused.stderr


@pytest.mark.long
def test_calibrate_measures_this_machine(tmp_path: Path) -> None:
    """Only that it ends with constants that plans can use: what they are is the machine's affair."""
    done = funkflow("calibrate", "--root", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    measured, found = json.loads(done.stdout), read_constants(str(tmp_path / "constants.json"))
    assert Constants.model_validate({key: measured[key] for key in Constants.model_fields}) == found
    assert [path.name for path in tmp_path.iterdir() if path.name != "constants.json"] == []
