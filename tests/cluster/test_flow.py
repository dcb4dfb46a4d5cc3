"""The whole run from raw text to a saved model and predictions, as a user starts it.

Covers: pipeline/flow.py, pipeline/stages/evaluate.py, pipeline/stages/export.py, pipeline/commands/predict.py,
pipeline/root/run_record.py, pipeline/root/lock.py.
Does not cover: the words of the command (test_cli.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from sessions import only_long
from ungated import UNGATED_SECTION

from funkflow import Model, RunResult, Settings, run
from funkflow.pipeline.progress.events import EpochFinished, Event, StageFinished
from funkflow.pipeline.root.store import Store
from funkflow.tasks.errors import BadInput, CannotFit, SettingsError, TryAgainLater
from funkflow.tasks.storage import files

SMALL: dict[str, dict[str, object]] = {
    "synth": {"shape": "demo", "fraction": 0.02},
    "split": {"kind": "file", "file": "probe.txt"},
    "train": {"rank": 6, "epochs": 8},
    "gate": UNGATED_SECTION,  # so few epochs, or a form without biases, may end above them
    "cluster": {"threads": 2},
}


def small_settings(root: Path, **sections: dict[str, object]) -> Settings:
    content = {name: {**SMALL.get(name, {}), **sections.get(name, {})} for name in {*SMALL, *sections}}
    return Settings.build({"root": str(root), **content})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def first(root: Path) -> RunResult:
    pairs = str(root / "raw" / "demo-0-0.02" / "qualifying.txt")
    return run(small_settings(root, predict={"pairs": pairs, "batch_pairs": 50}))


def test_the_result_says_what_was_measured_on_which_split(first: RunResult) -> None:
    assert first.split == "probe.txt"
    assert first.epoch_chosen_on == "probe.txt"
    assert first.rank == 6
    assert first.rmse is not None
    scores = {name: first.evaluation[name]["rmse"] for name in ("mean", "biases", "model", "truth")}
    assert scores["model"] == first.rmse
    assert scores["truth"] < scores["model"] < scores["mean"]
    assert scores["biases"] < scores["mean"]
    stages = {"synth", "ingest", "split", "grid", "train", "evaluate", "export", "spectrum", "predict"}
    assert {*stages, "total"} <= first.seconds.keys()
    assert first.peak_memory_bytes > 50 * 2**20


def test_the_exported_model_scores_as_the_shards_did(first: RunResult) -> None:
    """By raw ids through Model.predict, against local rows through the kernel: two ways that share no code."""
    held_out = pd.read_parquet(Path(first.paths["split"]) / "validation")
    users, items = (
        pd.read_parquet(Path(first.paths["dataset"]) / f"{side}s.parquet")["raw_id"].to_numpy()[held_out[side]]
        for side in ("user", "item")
    )
    for place, name in ((first.paths["model"], "model"), (f"{first.paths['raw']}/truth", "truth")):
        errors = held_out["rating"] - Model.load(place).predict(users, items, times=held_out["timestamp"])
        assert np.sqrt(np.mean(errors**2)) == pytest.approx(first.evaluation[name]["rmse"], rel=1e-5)
        assert np.mean(np.abs(errors)) == pytest.approx(first.evaluation[name]["mae"], rel=1e-5)


def test_the_model_carries_its_score_and_its_split(first: RunResult) -> None:
    about = Model.load(first.paths["model"]).about
    assert about["rmse"] == first.rmse
    assert about["split"] == first.split
    assert about["epoch_chosen_on"] == "probe.txt"
    assert about["settings"]["train"]["rank"] == 6


def test_predictions_come_in_both_forms(first: RunResult, root: Path) -> None:
    folder = Path(first.paths["predictions"])
    table = pd.read_parquet(folder / "predictions.parquet")
    asked = (root / "raw" / "demo-0-0.02" / "qualifying.txt").read_text().splitlines()
    assert len(table) == sum(not line.endswith(":") for line in asked)
    times = [line.split(",")[1] for line in asked if not line.endswith(":")]
    expected = Model.load(first.paths["model"]).predict(table["user"], table["item"], times=times)
    np.testing.assert_allclose(table["prediction"], expected, rtol=1e-6)
    submission = (folder / "predictions.txt").read_text().splitlines()
    assert [line for line in submission if line.endswith(":")] == [line for line in asked if line.endswith(":")]
    assert len(submission) == len(asked)


def test_a_second_run_does_nothing(first: RunResult, root: Path) -> None:
    events: list[Event] = []
    again = run(small_settings(root), listeners=[events.append])
    assert again.run_id == first.run_id
    assert again.rmse == first.rmse
    finished = [event for event in events if isinstance(event, StageFinished)]
    assert finished
    assert all(event.reused for event in finished)


def test_predictions_are_reused_until_the_pairs_change(first: RunResult, root: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    settings = small_settings(root, predict={"pairs": str(pairs)}, train={"seed": 5, "epochs": 1})
    reused = []
    for text in ("user,item\n7,1\n", "user,item\n7,1\n", "user,item\n7,2\n"):
        pairs.write_text(text)
        events: list[Event] = []
        folder = run(settings, listeners=[events.append]).paths["predictions"]
        reused += [event.reused for event in events if isinstance(event, StageFinished) and event.stage == "predict"]
    assert reused == [False, True, False]
    assert pd.read_parquet(Path(folder, "predictions.parquet"))["item"].tolist() == [2]


def test_a_fresh_run_trains_anew_to_the_same_model(first: RunResult, root: Path) -> None:
    part = Path(first.paths["model"], "user_factors.parquet", "part.00000.parquet")
    before = files.checksum(part.read_bytes())
    events: list[Event] = []
    run(small_settings(root), fresh=True, until="export", listeners=[events.append])
    assert any(isinstance(event, EpochFinished) for event in events)
    assert files.checksum(part.read_bytes()) == before


@pytest.mark.long
def test_a_forced_run_redoes_every_stage_but_the_raw_data_to_the_same_bits(tmp_path: Path) -> None:
    settings = small_settings(tmp_path, train={"epochs": 2})
    run(settings)
    made = {path: path.stat() for path in tmp_path.rglob("*.parquet") if path.is_file()}
    before, events = {path: files.checksum(path.read_bytes()) for path in made}, list[Event]()
    run(settings, force=True, listeners=[events.append])
    assert {event.stage: event.reused for event in events if isinstance(event, StageFinished)}.items() >= {
        ("synth", True), *((stage, False) for stage in ("ingest", "split", "grid", "train", "evaluate", "export")),
    }  # fmt: skip
    assert {path: files.checksum(path.read_bytes()) for path in made} == before
    # By the time of writing, too: a file system may give a file's number to the one that takes its place.
    kept = {
        path.relative_to(tmp_path).parts[0]
        for path, was in made.items()
        if (now := path.stat()).st_ino == was.st_ino and now.st_mtime_ns == was.st_mtime_ns
    }
    assert kept - {"blocks"} == {"raw"}  # a block is known by its content: an equal one may stay


@pytest.mark.parametrize("place", ["block", "training", *map(only_long, ("dataset", "split", "grid", "model"))])
def test_what_is_deleted_or_cut_short_is_made_anew(tmp_path_factory: pytest.TempPathFactory, place: str) -> None:
    """One file of each kind goes, or loses its end; the same command heals it and comes to the same model."""
    settings = small_settings(tmp_path_factory.mktemp(place), train={"epochs": 2})
    before = run(settings, until="export")
    paths = {name: Path(path) for name, path in before.paths.items()}
    victims = {
        "dataset": paths["dataset"] / "items.parquet",
        "split": next(paths["split"].rglob("part.*.parquet")),
        "grid": next(paths["grid"].rglob("*.parquet")),
        "block": next(Path(settings.root, "blocks").iterdir()),
        "training": next(paths["run"].rglob("user-*.npy")),
        "model": next(paths["model"].rglob("part.*.parquet")),
    }
    content = victims[place].read_bytes()
    victims[place].unlink()
    assert run(settings, until="export").rmse == before.rmse
    assert victims[place].read_bytes() == content
    victims[place].write_bytes(content[:-7])
    assert run(settings, until="export").rmse == before.rmse
    assert victims[place].read_bytes() == content


def test_overrides_reach_settings_that_are_given_as_such(root: Path, first: RunResult) -> None:
    result = run(small_settings(root), ["train.rank=3", "train.epochs=1"], until="train")
    assert result.rank == 3
    assert result.run_id != first.run_id


def test_the_record_tells_the_run(first: RunResult, root: Path) -> None:
    record = json.loads(Path(first.paths["run"], "record.json").read_text())
    assert record["state"] == "done"
    assert record["exit_code"] == 0
    assert record["result"]["rmse"] == first.rmse
    assert json.loads((root / "current.json").read_text())["run_id"] == first.run_id
    lines = [json.loads(line) for line in Path(first.paths["run"], "metrics.jsonl").read_text().splitlines()]
    assert {"StageStarted", "StageFinished", "EpochFinished"} <= {line["event"] for line in lines}
    again = Settings.load(str(Path(first.paths["run"], "settings.toml")))
    assert again.train == Settings.build(SMALL).train


def test_a_run_by_slice_and_without_validation(tmp_path: Path) -> None:
    told: list[Event] = []
    result = run(small_settings(tmp_path, split={"kind": "none", "file": ""}), listeners=[told.append])
    assert result.rmse is None
    assert "so there is no RMSE; early stopping uses a slice of 5 %" in str(told)
    assert result.epoch_chosen_on == "a slice of the training ratings"
    assert Path(result.paths["model"], "model.json").exists()
    page = Path(result.paths["report"]).read_text(encoding="utf-8")
    assert "was not measured" in page
    assert page.count("No validation ratings.") == 2


def test_the_pure_form_has_neither_mean_nor_biases(tmp_path: Path) -> None:
    result = run(small_settings(tmp_path, train={"biases": False, "center": False, "epochs": 12}))
    model = Model.load(result.paths["model"])
    assert model.mean == 0.0
    assert not model.user_biases.any()
    assert not model.item_biases.any()
    assert result.rmse is not None
    assert result.rmse < result.evaluation["mean"]["rmse"]


def test_a_failed_run_is_recorded(tmp_path: Path) -> None:
    settings = small_settings(tmp_path, train={"step": 1e20})
    with pytest.raises(Exception, match="no longer finite"):
        run(settings)
    (record,) = (json.loads(path.read_text()) for path in tmp_path.glob("runs/*/record.json"))
    assert (record["state"], record["exit_code"]) == ("failed", 1)
    assert "no longer finite" in record["error"]


def test_a_run_that_cannot_fit_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(CannotFit, match=r"needs about .* [MG]iB of memory .* and has 600.00 MiB"):
        run(small_settings(tmp_path, synth={"fraction": 0.3}, cluster={"memory": "600 MiB"}, train={"rank": 4096}))
    assert not list(tmp_path.glob("datasets/*"))


def test_a_cluster_that_cannot_even_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotFit, match=r"a cluster of 1 workers needs about .* before it has any data"):
        run(small_settings(tmp_path, cluster={"memory": "300 MiB", "processes": "several"}))


def test_a_finished_run_needs_no_memory_to_be_up_to_date(first: RunResult, root: Path) -> None:
    again = run(small_settings(root, cluster={"memory": "500 MiB"}))
    assert again.rmse == first.rmse


def test_a_root_that_is_held_is_try_again_later(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(TryAgainLater, match="another run is at work"):
        run(small_settings(tmp_path))


def test_scratch_of_a_killed_run_goes(tmp_path: Path) -> None:
    left = Path(Store(str(tmp_path)).scratch("ingest-of-a-killed-run"), "chunk-00000.parquet")
    mine = tmp_path / "scratch" / "thesis.txt"
    for path in (left, mine):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"years of work")
    run(small_settings(tmp_path), until="synth")
    assert not left.exists()
    assert mine.exists()


def test_all_ratings_held_out_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\n" + "".join(f"{n},{n % 7},{1 + n % 5}\n" for n in range(50)))
    settings = {
        "root": str(tmp_path / "root"),
        "ingest": {"ratings": [str(path)]},
        "split": {"kind": "file", "file": str(path.with_name("copy.csv"))},
    }
    path.with_name("copy.csv").write_text(path.read_text())
    with pytest.raises(BadInput, match="there are no training ratings"):
        run(Settings.build(settings))


def test_a_slice_without_ratings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\n" + "".join(f"{n},{n % 3},{1 + n % 5}\n" for n in range(12)))
    chosen = {"ingest": {"ratings": [str(path)]}, "train": {"stop_on": "slice", "slice_fraction": 1e-9}}
    with pytest.raises(BadInput, match="training ratings falls into the early-stopping slice"):
        run(Settings.build({"root": str(tmp_path / "root"), **chosen}))


@pytest.mark.parametrize("place", ["a-file/below", "a-file"])
def test_a_root_that_cannot_be_written_is_a_settings_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").write_text("")
    with pytest.raises(SettingsError, match=r"a-file.*is a file, or in one; set root, or --out, to a folder"):
        run(small_settings(tmp_path / place))


def test_an_unknown_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no stage 'trian'"):
        run(small_settings(tmp_path), until="trian")


def test_bad_input_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("user,item,rating\n1,2,3\n1,3,high\n")
    with pytest.raises(BadInput, match=r"ratings\.csv:3.*high"):
        run(Settings.build({"root": str(tmp_path / "root"), "ingest": {"ratings": [f"{tmp_path}/ratings.csv"]}}))
    assert not list((tmp_path / "root").glob("datasets/*"))
    assert not list(Path(Store(str(tmp_path / "root")).scratch("")).glob("*"))


def test_a_scheduler_that_is_not_there_is_try_again_later(tmp_path: Path) -> None:
    with pytest.raises(TryAgainLater, match="no scheduler with 1 workers within 1 s"):
        run(small_settings(tmp_path, cluster={"scheduler": "tcp://127.0.0.1:9", "wait_seconds": 1}))
