"""Validation ratings that an earlier model was trained on, when training starts from it.

Covers: pipeline/stages/leakage.py, pipeline/models/trained_on.py and tasks/dataset/trained_pairs.py.
Does not cover: the same in a comparison of two models (test_gate.py), or the start itself (test_warm_start.py).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import Client
from growing_ratings import Lines, Root, address_of, lines, write_lines

from funkflow import RunResult
from funkflow.pipeline.models.trained_on import RatingsTrainedOn
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.settings.sections import SplitSettings
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.model.about import read_about

DAY_0, DAY_1 = lines(0, 2_500), lines(0, 2_700)
WARM = "train.warm_start=true"


@pytest.fixture(scope="module")
def made(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[Root, RunResult]:
    root = Root(tmp_path_factory.mktemp("made"), address_of(client))
    return root, root.run(DAY_0, "train.epochs=2")


@pytest.fixture
def root(made: tuple[Root, RunResult], tmp_path: Path) -> Root:
    return made[0].copy(tmp_path / "copy")


def validating_on(folder: Path, ratings: Lines) -> list[str]:
    return ["split.kind=file", f'split.file="{write_lines(folder / "probe.csv", ratings)}"']


def raw_pairs(result: RunResult, name: str) -> set[tuple[int, int]]:
    """The raw pairs of a part of the split that a run held out."""
    dataset, split = Path(result.paths["dataset"]), Path(result.paths["split"])
    rows = pd.concat([pd.read_parquet(path) for path in sorted(split.glob(f"{name}/*.parquet"))])
    users, items = (
        pd.read_parquet(dataset / f"{side}s.parquet")["raw_id"].to_numpy()[rows[side]] for side in ("user", "item")
    )
    return set(zip(users.tolist(), items.tolist(), strict=True))


def test_they_leave_validation_and_are_not_trained_on(root: Root, made: tuple[Root, RunResult], tmp_path: Path) -> None:
    old, new = DAY_0[:60], DAY_1[2_500:]
    events: list[Event] = []
    words = [*validating_on(tmp_path, [*old, *new]), WARM, "train.epochs=1"]
    result = root.run(DAY_1, *words, listeners=[events.append])
    was_validation = raw_pairs(made[1], "validation")
    expected = {pair for *pair_, _ in old if (pair := (pair_[0], pair_[1])) not in was_validation}
    assert raw_pairs(result, "trained_on_validation") == expected
    assert raw_pairs(result, "validation") == {(u, i) for u, i, _ in [*old, *new]} - expected
    assert result.evaluation["ratings"] == 260 - len(expected)
    assert result.gate["training_ratings"] == len(DAY_1) - 260
    said = "\n".join(event.message for event in events if isinstance(event, Noticed))
    assert (
        f"run {made[1].run_id}, or its own start model, was trained on {len(expected)} of 260 validation ratings"
        in said
    )
    again = root.run(DAY_1, *words)
    assert again.run_id == result.run_id
    assert len(read_about(result.paths["model"])["trained_on"]) == 2


def test_where_most_are_gone_the_run_is_refused(root: Root, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="too many to leave out: use the split of its run"):
        root.run(DAY_1, *validating_on(tmp_path, DAY_0[:600]), WARM)


def test_ancestors_of_the_start_count_too(root: Root, tmp_path: Path) -> None:
    """The grandparent alone was trained on what is now validation: what came between held it out."""
    probe = [*DAY_0[:60], *DAY_1[2_500:]]
    between = root.run(DAY_1, *validating_on(tmp_path, probe), WARM, "train.epochs=1")
    last = root.run(lines(0, 2_750), *validating_on(tmp_path, probe), WARM, "train.epochs=1")
    assert raw_pairs(last, "trained_on_validation") == raw_pairs(between, "trained_on_validation")


def test_a_split_that_keeps_them_apart_needs_no_old_data_and_another_one_does(
    root: Root, made: tuple[Root, RunResult]
) -> None:
    shutil.rmtree(root.folder / "data" / "datasets" / Path(made[1].paths["dataset"]).name)
    assert root.run(DAY_1, WARM, "split.fraction=0.09", "train.epochs=1").rmse
    with pytest.raises(SettingsError, match="used another split, and its training ratings are gone"):
        root.run(DAY_1, WARM, "split.seed=1")


def test_a_slice_to_stop_on_is_looked_after_too(root: Root, made: tuple[Root, RunResult]) -> None:
    """Of a slice that the first run did not hold back, all but its validation was trained on."""
    result = root.run(DAY_1, WARM, "train.stop_on=slice", "train.slice_fraction=0.2", "train.epochs=1")
    old, was_validation = {(u, i) for u, i, _ in DAY_0}, raw_pairs(made[1], "validation")
    assert raw_pairs(result, "trained_on_slice") <= old - was_validation
    assert not raw_pairs(result, "slice") & (old - was_validation)
    assert len(raw_pairs(result, "slice")) > 10


@pytest.mark.parametrize(
    ("split", "slice_fraction", "id_types", "apart"),
    [
        (SplitSettings(), 0.0, ("integer", "integer"), True),
        (SplitSettings(fraction=0.05), 0.05, ("integer", "integer"), True),
        (SplitSettings(fraction=0.11), 0.0, ("integer", "integer"), False),
        (SplitSettings(seed=1), 0.0, ("integer", "integer"), False),
        (SplitSettings(kind="last"), 0.0, ("integer", "integer"), False),
        (SplitSettings(), 0.06, ("integer", "integer"), False),
        (SplitSettings(), 0.0, ("string", "integer"), False),
    ],
)
def test_what_a_hash_keeps_apart_by_itself(
    split: SplitSettings, slice_fraction: float, id_types: tuple[str, str], apart: bool
) -> None:
    seen = RatingsTrainedOn("data", "split", "fraction", 0.1, 0, 0.05, ("integer", "integer"), "")
    assert seen.is_apart_from(split, slice_fraction, id_types) is apart
    assert not RatingsTrainedOn("data", "split", "last", 0.1, 0, 0.05, ("integer", "integer"), "").is_apart_from(
        SplitSettings(kind="last"), 0.0, ("integer", "integer")
    )


def test_hashed_splits_of_growing_data_do_keep_apart(root: Root, made: tuple[Root, RunResult]) -> None:
    """The promise that `is_apart_from` rests on, on real files."""
    result = root.run(DAY_1, "train.epochs=1")
    trained = {(u, i) for u, i, _ in DAY_0} - raw_pairs(made[1], "validation")
    assert not trained & raw_pairs(result, "validation")
    assert np.isfinite(result.rmse or np.nan)
