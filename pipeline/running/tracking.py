"""Log a run in MLflow once it has ended: settings, curves, figures, report, model card and model.

Covers: `track.mlflow`, for whole runs that ended well or that their gate refused. A failure causes a warning.
Does not cover: the record it reads (pipeline/root/ledger.py), hooks (hooks.py). mlflow is an optional extra.
"""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.util import find_spec
from itertools import islice
from typing import Any, TypeVar

from funkflow.pipeline.progress import outcome
from funkflow.pipeline.progress.events import Listener, Noticed
from funkflow.pipeline.progress.metrics_file import epochs_of, events_of
from funkflow.pipeline.root.ledger import LedgerRecord
from funkflow.pipeline.settings.overrides import flat
from funkflow.pipeline.settings.request import STAGES, Request
from funkflow.pipeline.settings.sections import TrackSettings
from funkflow.tasks.late import required
from funkflow.tasks.redact import masked, name_of
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import filesystem, is_local

_Value = TypeVar("_Value")
_EXTRA = "track.mlflow", "track"
_OURS = {
    "MLFLOW_ALLOW_FILE_STORE": "true",  # the setting asks for it, where it names a folder
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nobody asked for that
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for the result alone
}
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""Of the first request: by default, a server that is down is waited for through seven retries."""
_MOST_VALUES, _MOST_METRICS, _MOST_LETTERS, _MOST_WORDS = 100, 1000, 6000, 200
"""Params, or tags, of a request; metrics of one; letters of a value; letters of a warning's reason."""
_NOT_LOGGED = ("hooks.", "track.")


def refuse_missing_mlflow(track: TrackSettings, request: Request) -> None:
    """Raise SettingsError if runs are to be logged and mlflow is not installed: now, and not after all the work."""
    if track.mlflow and request.reaches(STAGES[-1]) and find_spec("mlflow") is None:
        required("mlflow", *_EXTRA)


def log_run(track: TrackSettings, record: LedgerRecord, notify: Listener) -> None:
    """Log the run of an execution, if it is a whole one that ended by itself; warn in one line if that fails."""
    ended = record["state"] in (outcome.DONE, outcome.REFUSED)
    if not (track.mlflow and ended and record["until"] == STAGES[-1] and record["paths"].get("model")):
        return
    try:
        with _environment(_OURS):
            _log(required("mlflow", *_EXTRA), track, record)
    except Exception as cause:  # whatever a server, a store or their libraries raise
        said = str(cause).split("\n")[0]
        reason = masked(said if len(said) <= _MOST_WORDS else f"{said[:_MOST_WORDS]} …") or type(cause).__name__
        where = name_of(track.mlflow)
        notify(Noticed(f"track.mlflow failed; this affects nothing else: {where}: {reason}", warning=True))


def _log(mlflow: Any, track: TrackSettings, record: LedgerRecord) -> None:
    client = mlflow.MlflowClient(tracking_uri=track.mlflow)
    with _environment(_IMPATIENT):
        experiment = client.get_experiment_by_name(track.experiment)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(track.experiment)
    started, ended = (_milliseconds(record[name]) for name in ("started", "ended"))
    run = client.create_run(
        experiment_id, start_time=started, tags=_tags(record), run_name=str(record["run_id"])
    ).info.run_id
    try:
        entities, folder = mlflow.entities, record["paths"]["run"]
        settings = dict(_params(folder))
        for params in _batches(settings.items(), _MOST_VALUES):
            client.log_batch(run, params=[entities.Param(name, value) for name, value in params])
        figures = [(name, value, ended, 0) for name, value in _figures(record["metrics"])]
        judged_on = "slice" if settings.get("train.stop_on") == "slice" else "validation"
        for metrics in _batches([*_curves(folder, judged_on, ended), *figures], _MOST_METRICS):
            client.log_batch(run, metrics=[entities.Metric(*each) for each in metrics])
        _log_files(client, run, folder, record["paths"]["model"])
    except BaseException:
        with suppress(Exception):  # the first error counts
            client.set_terminated(run, "FAILED")
        raise
    client.set_terminated(run, "FINISHED", ended)


def _tags(record: LedgerRecord) -> dict[str, str]:
    version, metrics = record["code_version"], record["metrics"]
    known = {
        "mlflow.source.name": "funkflow",
        "mlflow.source.git.commit": version.get("commit"),
        "funkflow.state": record["state"],
        "funkflow.refusal": record["error"],
        "funkflow.run": record["run_id"],
        "funkflow.execution": record["id"],
        "funkflow.dataset": record["dataset"],
        "funkflow.split": metrics.get("split"),
        "funkflow.version": version["package"],
        "funkflow.algorithm": str(version["algorithm"]),
    }
    return {name: value for name, value in known.items() if value}


def _params(run_folder: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of the run, by dotted names."""
    content = tomllib.loads(files.read_bytes(files.join(run_folder, "settings.toml")).decode())
    for name, value in flat(content):
        if not name.startswith(_NOT_LOGGED):
            yield name, (value if isinstance(value, str) else json.dumps(value))[:_MOST_LETTERS]


def _curves(run_folder: str, judged_on: str, ended: int) -> Iterator[tuple[str, float, int, int]]:
    """Yield the name, value, time and epoch of each measure by epoch; `judged_on` : the ratings for early stopping."""
    events = events_of(run_folder) or []
    times = {event["epoch"]: str(event["time"]) for event in events if "epoch" in event}
    for number, epoch in sorted(epochs_of(events).items()):
        measures = {
            "epoch_training_rmse": epoch.training_rmse,
            f"epoch_{judged_on}_rmse": epoch.stopping_rmse,
            f"epoch_{judged_on}_ndcg": epoch.stopping_ndcg,
        }
        at = _milliseconds(times.get(number)) or ended
        yield from ((name, value, at, number) for name, value in measures.items() if value is not None)


def _figures(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the figures of the result, by names that MLflow takes."""
    for name, value in flat(metrics):
        if isinstance(value, int | float):
            yield name.replace(" ", "_"), float(value)


def _log_files(client: Any, run: str, run_folder: str, model_folder: str) -> None:
    """Log report, model card and model; those of a remote root by way of a temporary folder."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("report.html", "model-card.md"):
            if files.exists(url := files.join(run_folder, name)):
                client.log_artifact(run, _local_copy(url, scratch))
        client.log_artifacts(run, _local_copy(model_folder, scratch), "model")


def _local_copy(url: str, scratch: str) -> str:
    """Return the local path of a file or folder, copied if it is remote."""
    system, path = filesystem(url)
    if is_local(system):
        return path
    copy = os.path.join(scratch, url.rstrip("/").rsplit("/", 1)[-1])
    system.get(path, copy, recursive=True)
    return copy


def _batches(values: Iterable[_Value], most: int) -> Iterator[list[_Value]]:
    """Yield the values in lists of `most` at most."""
    left = iter(values)
    while batch := list(islice(left, most)):
        yield batch


def _milliseconds(written: str | None) -> int:
    """Return an ISO time in milliseconds since 1970; 0 without one."""
    return int(1000 * datetime.fromisoformat(written).timestamp()) if written else 0


@contextmanager
def _environment(defaults: Mapping[str, str]) -> Iterator[None]:
    """Set variables that are not set, for a while: mlflow has no other way to be told."""
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
