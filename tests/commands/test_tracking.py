"""Runs in MLflow: what is logged of one that ends well or is refused, and that a failure is said and changes nothing.

Covers: pipeline/running/tracking.py and its place in pipeline/running/execution.py, in a file store of MLflow.
Does not cover: the record behind it (test_ledger.py), a server of MLflow.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from executing import RUN_ID, ask_for_work, executed, ratings_in, settings_over, work

from chaos.object_store import ObjectStore
from funkflow import Model, Settings, run
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed
from funkflow.pipeline.progress.metrics_file import MetricsFile
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.running.execution import Execution
from funkflow.tasks.errors import ModelRefused, SettingsError
from funkflow.tasks.storage import files

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URI of a file store."""
    ratings_in(tmp_path)
    yield f"file:{tmp_path}/mlruns"
    assert "MLFLOW_DISABLE_TELEMETRY" not in os.environ  # as before


@contextmanager
def reading(store: str) -> Iterator[MlflowClient]:
    """Yield a client of the store."""
    from mlflow import MlflowClient  # only here: every process of the tests reads this file, and this takes a second

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        yield MlflowClient(store)


def logged(store: str, experiment: str = "funkflow") -> list[Run]:
    with reading(store) as client:
        found = client.get_experiment_by_name(experiment)
        return list(client.search_runs([found.experiment_id])) if found else []


def tracked(folder: Path, uri: str, **more: Any) -> Settings:
    return settings_over(folder, str(folder / "root"), track={"mlflow": uri, **more})


def leave_epochs(execution: Execution) -> RunResult:
    """Leave a run with two epochs, a report and its settings."""
    result = work(execution)
    folder = result.paths["run"]
    files.write_bytes(files.join(folder, "settings.toml"), tomli_w.dumps({"train": {"rank": 2}}).encode())
    files.write_bytes(files.join(folder, "report.html"), b"report")
    metrics = MetricsFile()
    metrics.open(folder)
    first = EpochFinished(1, 2, 0.9, 1.0, 1e6, best=True, stopping_ndcg=0.1)
    for event in (first, first, replace(first, epoch=2, training_rmse=0.8, stopping_rmse=None)):  # resumed after one
        metrics(event)
    result.ranking = {"count": 10, "ndcg": 0.25}
    return result


def test_a_run_is_logged_once_with_curves_figures_and_files(tmp_path: Path, store: str) -> None:
    settings = tracked(tmp_path, store, experiment="films")
    executed(settings, leave_epochs)
    executed(settings, ask_for_work)  # up to date
    executed(settings, leave_epochs, until="export", force=True)  # no whole run
    (found,) = logged(store, "films")
    assert (found.info.run_name, found.info.status) == (RUN_ID, "FINISHED")
    assert found.info.end_time >= found.info.start_time > 0
    assert found.data.params == {"train.rank": "2"}
    assert found.data.metrics["rmse"] == 0.9
    assert found.data.metrics["ndcg"] == 0.25
    assert found.data.tags["funkflow.state"] == "done"
    with reading(store) as client:
        names = ("training_rmse", "validation_rmse", "validation_ndcg")
        curves = {name: client.get_metric_history(found.info.run_id, f"epoch_{name}") for name in names}
        there = {each.path for each in client.list_artifacts(found.info.run_id)}
    steps = {name: [(each.step, each.value) for each in curve] for name, curve in curves.items()}
    assert steps == {
        "training_rmse": [(1, 0.9), (2, 0.8)], "validation_rmse": [(1, 1.0)], "validation_ndcg": [(1, 0.1), (2, 0.1)],
    }  # fmt: skip
    assert there == {"report.html", "model"}


def test_a_model_that_its_gate_refuses_is_logged_as_refused(tmp_path: Path, store: str) -> None:
    """A real run."""
    settings = Settings.build(
        {
            "root": str(tmp_path / "root"),
            "synth": {"fraction": 0.01},
            "train": {"rank": 2, "epochs": 2},
            "gate": {"ratings_at_least": 10**9},
            "track": {"mlflow": store},
        }
    )
    with pytest.raises(ModelRefused):
        run(settings)
    (found,) = logged(store)
    assert found.data.tags["funkflow.state"] == "refused"
    assert "ratings" in found.data.tags["funkflow.refusal"]
    assert {name: found.data.params[name] for name in ("train.rank", "synth.fraction")} == {
        "train.rank": "2", "synth.fraction": "0.01",
    }  # fmt: skip
    assert found.data.metrics["biases_rmse"] > 0
    artifacts = Path(found.info.artifact_uri.removeprefix("file:"))
    assert Model.load(str(artifacts / "model")).rank == 2
    assert (artifacts / "model-card.md").read_text().startswith("# Model card: demo, synthetic")


@pytest.mark.parametrize(
    ("uri", "said"),
    [("http://me:s3cr3t@127.0.0.1:9", "http://***@127.0.0.1:9: "), ("nosuch://there", "nosuch://there: ")],
)
def test_what_cannot_be_reached_is_a_warning_in_one_line(tmp_path: Path, store: str, uri: str, said: str) -> None:
    heard: list[Event] = []
    assert executed(tracked(tmp_path, uri), leave_epochs, heard.append).run_id == RUN_ID
    (warning,) = (event.message for event in heard if isinstance(event, Noticed) and event.warning)
    assert warning.startswith(f"track.mlflow failed; this affects nothing else: {said}")
    assert "\n" not in warning
    assert "s3cr3t" not in warning
    (record,) = (tmp_path / "root" / "ledger").iterdir()
    assert json.loads(record.read_text())["state"] == "done"
    assert "s3cr3t" not in record.read_text()


def test_without_mlflow_no_run_begins(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(SettingsError, match=r"track\.mlflow needs the package mlflow: pip install 'funkflow\[track\]'"):
        executed(tracked(tmp_path, store), ask_for_work)
    executed(tracked(tmp_path, ""), leave_epochs)


def test_tracking_is_no_reason_to_do_anything_anew(tmp_path: Path, store: str) -> None:
    executed(tracked(tmp_path, ""), leave_epochs)
    executed(tracked(tmp_path, store), ask_for_work)
    assert logged(store) == []


def test_files_of_a_root_in_an_object_store_are_logged(tmp_path: Path, store: str, object_store: ObjectStore) -> None:
    executed(settings_over(tmp_path, object_store.new_root(), track={"mlflow": store}), leave_epochs)
    (found,) = logged(store)
    artifacts = Path(found.info.artifact_uri.removeprefix("file:"))
    there = {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file()}
    assert there == {"report.html", "model/model.json", "model/user_factors.parquet/part.00000.parquet"}
