"""A model that is no better than a constant: said, refused, and reported on all the same.

Covers: pipeline/models/usefulness.py, and what a run does with it: warning, report, exit code, model in use.
Does not cover: what else a gate asks (test_gate.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from growing_ratings import address_of
from hypothesis import given
from hypothesis import strategies as st
from made_manifests import a_dataset, a_grid
from program import funkflow
from skewed import counts, noise, written

from funkflow import run
from funkflow.pipeline.models.usefulness import is_right_skewed, remedy, shortfall
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.results.report.verdict import verdict
from funkflow.pipeline.root.model_in_use import read_current
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import ModelRefused

RMSES = st.floats(1e-6, 1e6)


def settings_for(folder: Path, ratings: str, client: Client, **sections: Any) -> Settings:
    return Settings.build(
        {
            "root": str(folder / "root"),
            "ingest": {"ratings": ratings},
            "train": {"rank": 3, "epochs": 6},
            "cluster": {"scheduler": address_of(client)},
            **sections,
        }
    )


@given(RMSES, RMSES, RMSES)
def test_it_must_lie_below_both(model: float, biases: float, mean: float) -> None:
    measured = {"model": {"rmse": model}, "biases": {"rmse": biases}, "mean": {"rmse": mean}}
    assert bool(shortfall(measured)) == (model >= biases or model >= mean)


def test_a_tie_and_no_number_at_all_fall_short() -> None:
    for model in (0.9, float("nan")):
        measured = {"model": {"rmse": model}, "biases": {"rmse": 1.0}, "mean": {"rmse": 0.9}}
        assert shortfall(measured).endswith(" does not beat the mean rating's 0.9000")
    assert shortfall({}) == ""


def test_a_difference_in_the_last_digits_is_shown() -> None:
    measured = {"model": {"rmse": 0.91234568}, "biases": {"rmse": 0.91234567}, "mean": {"rmse": 1.0}}
    assert "0.91234568 does not beat the bias baseline's 0.91234567" in shortfall(measured)


@pytest.mark.parametrize(
    ("least", "greatest", "mean", "mean_square", "skewed"),
    [
        (1.0, 5.0, 3.6, 14.1, False),
        (0.0, 1.0, 0.01, 0.01, False),
        (-10.0, 10.0, 1.0, 20.0, False),
        (1.0, 5_089_545.0, 2_439.0, 1e10, True),
        (0.0, 352_698.0, 745.0, 1.5e7, True),
        (-1_000.0, 352_698.0, 745.0, 1.5e7, False),
    ],
)
def test_counts_are_told_from_scales(
    least: float, greatest: float, mean: float, mean_square: float, skewed: bool
) -> None:
    dataset = a_dataset(rating_minimum=least, rating_maximum=greatest)
    assert is_right_skewed(dataset, a_grid(mean=mean, mean_square=mean_square)) == skewed


@pytest.mark.parametrize(
    ("train", "words"), [({"method": "lanczos"}, "train.method = sgd"), ({"biases": False}, "train.biases = true")]
)
def test_the_remedy_is_one_for_the_method(train: dict[str, Any], words: str) -> None:
    assert words in remedy(Settings.build({"train": train}), a_dataset(), a_grid())


def test_noise_is_refused_with_a_report_and_the_model_in_use_stays(client: Client, tmp_path: Path) -> None:
    good = run(settings_for(tmp_path, written(counts(), tmp_path / "counts.csv"), client), ["ingest.transform=log1p"])
    events: list[Event] = []
    chosen = settings_for(tmp_path, written(noise(), tmp_path / "noise.csv"), client, recommend={"count": 2})
    with pytest.raises(ModelRefused, match=r"does not beat .* \(gate\.beats_biases\)"):
        run(chosen, listeners=[events.append])
    current = read_current(chosen.root)
    assert current is not None
    assert current.run_id == good.run_id
    (warning,) = [each.message for each in events if isinstance(each, Noticed) and each.warning]
    assert warning.startswith("the model is not useful: validation RMSE ")
    (folder,) = [each for each in (tmp_path / "root" / "runs").iterdir() if each.name != good.run_id]
    record = json.loads((folder / "record.json").read_text())
    assert (record["state"], record["result"]["warning"]) == ("refused", warning)
    page = (folder / "report.html").read_text()
    assert "The model is not useful: RMSE" in page
    assert "The gate refused the model: validation RMSE" in page
    assert (folder / "model" / "model.json").exists()
    assert not (folder / "recommendations").exists()


def test_whoever_asks_for_less_gets_the_warning_and_the_model(client: Client, tmp_path: Path) -> None:
    events: list[Event] = []
    chosen = settings_for(tmp_path, written(noise(), tmp_path / "noise.csv"), client, gate={"beats_biases": False})
    result = run(chosen, listeners=[events.append])
    assert "not useful" in result.warning
    assert any(each.warning and each.message == result.warning for each in events if isinstance(each, Noticed))
    page = Path(result.paths["report"]).read_text()
    assert "The model is not useful: RMSE" in page
    assert "the gate" not in page
    with pytest.raises(ModelRefused):  # the same model, and not in use yet under another root
        run(chosen.model_copy(update={"root": str(tmp_path / "other")}), ["gate.beats_biases=true"])


def test_without_validation_there_is_nothing_to_ask_and_that_is_said(client: Client, tmp_path: Path) -> None:
    events: list[Event] = []
    words: dict[str, Any] = {"split": {"kind": "none"}, "train": {"rank": 3, "epochs": 2, "stop_on": "nothing"}}
    result = run(
        settings_for(tmp_path, written(noise(), tmp_path / "noise.csv"), client, **words), listeners=[events.append]
    )
    said = [each.message for each in events if isinstance(each, Noticed)]
    assert any("the gate skips gate.beats_biases" in message for message in said)
    assert result.warning == ""


def test_counts_as_they_are_are_refused_and_the_remedy_that_is_named_works(client: Client, tmp_path: Path) -> None:
    frame = counts()
    frame.loc[0, "rating"] = 1_000_000.0  # somebody left the player on
    path = written(frame, tmp_path / "counts.csv")
    events: list[Event] = []
    with pytest.raises(ModelRefused):
        run(settings_for(tmp_path, path, client), ["report.write=false"], listeners=[events.append])
    (warning,) = [each.message for each in events if isinstance(each, Noticed) and each.warning]
    assert warning.endswith("far above their mean: try ingest.transform = log1p")
    result = run(settings_for(tmp_path, path, client), ["report.write=false", "ingest.transform=log1p"])
    assert result.warning == ""


def test_the_command_prints_the_result_and_ends_with_five(tmp_path: Path) -> None:
    path = written(noise(), tmp_path / "noise.csv")
    words = ["--ratings", path, "--root", str(tmp_path / "root"), "--json", "--set", "train.rank=3"]
    done = funkflow("run", *words, "--set", "report.write=false")
    assert done.returncode == 5, done.stderr
    result = json.loads(done.stdout)
    assert result["gate"]["passed"] is False
    assert result["warning"] in " ".join(done.stderr.split())
    assert not (tmp_path / "root" / "current.json").exists()


def test_the_report_says_of_what_its_figures_are() -> None:
    found = {"rmse": 0.5, "biases_rmse": 1.0, "mean_rmse": 1.5, "ratings": 9, "split": "hash 10 %", "gate": {}}
    for transform, said in (("none", False), ("log1p", True)):
        facts: Any = {"verdict": found, "run": {"settings": {"ingest": {"transform": transform}}}}
        assert ("are in log(1 + rating)" in verdict(facts)) == said
