"""Executions without a cluster: work that leaves what stages would, so that what stands around it can be tested alone.

Covers: settings over a small folder of ratings, and that work.
Does not cover: the stages (test_flow.py), what is tested with it (test_up_to_date.py, test_ledger.py, test_prune.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from funkflow.pipeline.progress.events import Event, Listener
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.root.store import publish
from funkflow.pipeline.running.execution import Execution, execute
from funkflow.pipeline.settings.request import Request
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.storage import files

RUN_ID, DATASET_ID = "a" * 16, "d" * 16


class WorkToDo(Exception):
    """The work was asked for."""


def ratings_in(folder: Path) -> Path:
    """Write a folder of ratings, with pairs and a validation file beside it."""
    ratings = folder / "ratings"
    ratings.mkdir(parents=True)
    for name in ("one.csv", "two.csv"):
        (ratings / name).write_text("user,item,rating\n1,2,3\n")
    (folder / "pairs.csv").write_text("user,item\n1,2\n")
    (folder / "validation.csv").write_text("user,item,rating\n1,2,3\n")
    return ratings


def settings_over(folder: Path, root: str, **sections: dict[str, Any]) -> Settings:
    content: dict[str, Any] = {
        "ingest": {"ratings": [str(folder / "ratings")]},
        "split": {"kind": "file", "file": str(folder / "validation.csv")},
        "predict": {"pairs": str(folder / "pairs.csv")},
    }
    for name, values in sections.items():
        content[name] = {**content.get(name, {}), **values}
    return Settings.build({"root": root, **content})


def work(execution: Execution) -> RunResult:
    """Leave a dataset and a run as stages would, and say so."""
    execution.read_inputs(execution.settings)
    store, result = execution.store, execution.result
    dataset, run_folder = store.dataset(DATASET_ID), store.run(RUN_ID)
    files.write_bytes(files.join(dataset, "users.parquet"), b"users")
    publish(dataset, "dataset", id=DATASET_ID, files=["users.parquet"])
    files.write_bytes(files.join(run_folder, "model", "user_factors.parquet", "part.00000.parquet"), b"factors")
    files.write_json(files.join(run_folder, "model", "model.json"), {"rank": 2})
    files.write_json(files.join(run_folder, "record.json"), {"run_id": RUN_ID})
    files.write_json(files.join(store.root, "current.json"), {"run_id": RUN_ID})
    result.run_id, result.rmse, result.split = RUN_ID, 0.9, "validation.csv"
    result.paths |= {"dataset": dataset, "run": run_folder, "model": files.join(run_folder, "model")}
    result.seconds["total"] = 1.5
    return result


def ask_for_work(_execution: Execution) -> RunResult:
    raise WorkToDo


def executed(
    settings: Settings, does: Callable[[Execution], RunResult] = work, *listeners: Listener, **request: Any
) -> RunResult:
    return execute(settings, Request.checked(**request), listeners, does)


def is_up_to_date(settings: Settings, heard: list[Event] | None = None, **request: Any) -> bool:
    """Say whether an execution ends without any work."""
    try:
        executed(settings, ask_for_work, *([heard.append] if heard is not None else []), **request)
    except WorkToDo:
        return False
    return True
