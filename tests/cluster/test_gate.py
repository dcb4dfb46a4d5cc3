"""What a new model must show before it replaces the one in use, and what becomes of one that does not.

Covers: pipeline/stages/gate.py and tasks/evaluation/compare_models.py: each reason to refuse, the pointer and the
record afterwards.
Does not cover: moving the pointer by hand (test_current.py).
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Heard
from distributed import Client
from growing_ratings import Lines, Root, address_of, lines, write_lines
from made_manifests import some_data

from funkflow import Model, RunResult
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.root.model_in_use import promote, read_current
from funkflow.pipeline.settings.sections import GateSettings, Settings, SplitSettings
from funkflow.pipeline.stages.gate import Candidate, gate
from funkflow.tasks.errors import ModelRefused, SettingsError
from funkflow.tasks.model.about import About

DAY_0, DAY_1 = lines(0, 2_500), lines(0, 2_700)
COMPARED = "gate.rmse_worse_by_at_most=0.001"
BAD = "train.step=1e-30"
"""Steps of no length: such a model predicts the mean rating."""


@pytest.fixture(scope="module")
def made(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[Root, RunResult]:
    """A root with a model of the first day in use: the first there is passes, whatever it would be compared by."""
    root = Root(tmp_path_factory.mktemp("made"), address_of(client))
    return root, root.run(DAY_0, COMPARED)


@pytest.fixture
def root(made: tuple[Root, RunResult], tmp_path: Path) -> Root:
    return made[0].copy(tmp_path / "copy")


def in_use(root: Root) -> str:
    current = read_current(str(root.folder / "data"))
    assert current is not None
    return current.run_id


def refused(root: Root, ratings: Lines, *words: str) -> str:
    """Run, be refused with the pointer where it was and the reason in the record; return the reason."""
    before, there = in_use(root), {path.name for path in (root.folder / "data" / "runs").iterdir()}
    with pytest.raises(ModelRefused) as caught:
        root.run(ratings, *words)
    assert caught.value.exit_code == 5
    assert in_use(root) == before
    (new,) = {path.name for path in (root.folder / "data" / "runs").iterdir()} - there
    record = json.loads((root.folder / "data" / "runs" / new / "record.json").read_text())
    assert (record["state"], record["exit_code"]) == ("refused", 5)
    assert record["error"] == f"ModelRefused: {caught.value.message}"
    assert f"funkflow promote {new}" in caught.value.message
    return caught.value.message


def test_one_that_is_no_worse_passes_and_is_put_to_use(root: Root, made: tuple[Root, RunResult]) -> None:
    """Both on the new validation ratings; what each would score by itself is another set."""
    result = root.run(DAY_1, "gate.rmse_worse_by_at_most=0.05")
    assert in_use(root) == result.run_id
    found = result.gate
    assert found["compared_with"] == made[1].run_id
    assert found["ratings"] == result.evaluation["ratings"]
    assert found["rmse"] == pytest.approx(result.rmse, rel=1e-5)
    assert found["rmse_before"] != pytest.approx(made[1].rmse, rel=1e-4)
    assert found["unknown"] > 0
    assert found["trained_on"] == 0
    record = json.loads(Path(result.paths["run"], "record.json").read_text())
    assert record["result"]["gate"]["rmse_before"] == found["rmse_before"]


def test_the_score_of_the_one_in_use_is_that_of_its_predictions(root: Root, made: tuple[Root, RunResult]) -> None:
    """By hand, from the raw lines that the split's files name."""
    result = root.run(DAY_1, "gate.rmse_worse_by_at_most=0.05")
    dataset, split = Path(result.paths["dataset"]), Path(result.paths["split"])
    held_out = pd.concat([pd.read_parquet(path) for path in sorted(split.glob("validation/*.parquet"))])
    raw = {side: pd.read_parquet(dataset / f"{side}s.parquet")["raw_id"].to_numpy() for side in ("user", "item")}
    users, items = (raw[side][held_out[side]] for side in ("user", "item"))
    model = Model.load(made[1].paths["model"])
    errors = held_out["rating"].to_numpy(float) - model.predict(users, items)
    assert result.gate["rmse_before"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-9)
    assert result.gate["unknown"] == int((~model.knows(users, items)).sum())


def test_a_worse_one_is_refused_until_it_is_promoted(root: Root) -> None:
    message = refused(root, DAY_1, COMPARED, BAD)
    assert "worse by more than gate.rmse_worse_by_at_most = 0.001" in message
    with pytest.raises(ModelRefused):  # again, without training again
        root.run(DAY_1, COMPARED, BAD)
    promote(str(root.folder / "data"), message.rsplit("funkflow promote ", 1)[1].split()[0])
    assert root.run(DAY_1, COMPARED, BAD).run_id == in_use(root)


def test_without_a_comparison_it_would_pass(root: Root) -> None:
    assert root.run(DAY_1, BAD).run_id == in_use(root)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["gate.ratings_at_least=2500"], r"2,\d+ training ratings are fewer than gate.ratings_at_least = 2,500"),
        (["gate.beats_biases=true", BAD], "validation RMSE .* does not beat the bias baseline's"),
    ],
)
def test_too_few_ratings_and_no_gain_are_refused(root: Root, words: list[str], reason: str) -> None:
    assert re.search(reason, refused(root, DAY_1, *words))


def test_a_model_of_other_data_is_not_replaced(root: Root) -> None:
    assert "comes from other data: it lacks" in refused(root, lines(0, 2_700, shift=1_000), COMPARED)


@pytest.mark.long
def test_ids_of_another_kind_are_other_data(root: Root) -> None:
    assert "comes from other data: its ids are" in refused(root, DAY_1, COMPARED, 'ingest.id_type="string"')


@pytest.mark.long
def test_a_model_in_use_that_is_gone_protects_nothing(root: Root, made: tuple[Root, RunResult]) -> None:
    shutil.rmtree(root.folder / "data" / "runs" / str(made[1].run_id) / "model")
    events: list[Event] = []
    result = root.run(DAY_1, COMPARED, BAD, listeners=[events.append])
    assert in_use(root) == result.run_id
    assert any("is incomplete, so" in event.message for event in events if isinstance(event, Noticed))


def test_validation_that_the_one_in_use_was_trained_on_counts_for_neither(root: Root, tmp_path: Path) -> None:
    """A file that names new ratings and some old ones, which the model in use was trained on but for a tenth."""
    old, new = DAY_0[:60], DAY_1[2_500:]
    words = validating_on(tmp_path, [*old, *new])
    events: list[Event] = []
    result = root.run(DAY_1, *words, "gate.rmse_worse_by_at_most=1.0", listeners=[events.append])
    dropped = result.gate["trained_on"]
    assert 40 < dropped < 60  # some of them it held out itself
    assert result.gate["ratings"] == 260 - dropped
    said = "\n".join(event.message for event in events if isinstance(event, Noticed))
    assert f"the gate ignores {dropped} of 260 validation ratings" in said


@pytest.mark.long
def test_validation_that_it_was_mostly_trained_on_is_refused_by_name(root: Root, tmp_path: Path) -> None:
    words = validating_on(tmp_path, DAY_0[:600])
    assert "too few are left to compare both models" in refused(root, DAY_1, *words, COMPARED)


@pytest.mark.long
def test_another_split_of_data_that_are_gone_is_refused_by_name(root: Root, made: tuple[Root, RunResult]) -> None:
    """While the same hash split needs no look at the old data."""
    shutil.rmtree(root.folder / "data" / "datasets" / Path(made[1].paths["dataset"]).name)
    message = refused(root, DAY_1, "split.seed=1", COMPARED)
    assert "funkflow cannot tell which validation ratings" in message
    result = root.run(DAY_1, "split.fraction=0.08", "gate.rmse_worse_by_at_most=0.05")
    assert in_use(root) == result.run_id
    assert result.gate["trained_on"] == 0


def validating_on(folder: Path, ratings: Lines) -> list[str]:
    return ["split.kind=file", f'split.file="{write_lines(folder / "probe.csv", ratings)}"']


def test_numbers_that_are_not_finite_are_refused(heard: Heard, tmp_path: Path) -> None:
    """A model as only damage could leave it: training itself ends before it writes such numbers."""
    ones = np.ones((3, 2), np.float32)
    bad = ones.copy()
    bad[1, 0] = np.nan
    about: About = {}
    for factors, passes in ((ones, True), (bad, False)):
        folder = str(tmp_path / str(passes))
        Model(3.0, None, np.arange(3), np.arange(3), ones[:, 0], ones[:, 0], ones, factors, about).save(folder)
        measured = {name: {"rmse": rmse} for name, rmse in (("model", 0.9), ("biases", 1.0), ("mean", 1.1))}
        new, asked = Candidate("new", folder, some_data(), measured), GateSettings(beats_biases=True)
        if passes:
            assert gate(heard.context, new, None, asked, SplitSettings()) == {"training_ratings": 3}
        else:
            with pytest.raises(ModelRefused, match="NaN or infinite"):
                gate(heard.context, new, None, asked, SplitSettings())


def test_a_gate_that_needs_validation_wants_some() -> None:
    with pytest.raises(SettingsError, match="leaves no validation to compare models on"):
        Settings.build(
            {"split": {"kind": "none"}, "train": {"stop_on": "nothing"}, "gate": {"rmse_worse_by_at_most": 0.0}}
        )
