"""Several epochs as one task come to what the same epochs one by one come to: the same bits, judged alike.

Covers: the bits and the history, a best epoch within, a stop within, and a run that diverges; that it is one task.
Does not cover: the rule itself (test_stopping.py), the epoch itself (test_descend.py, test_train.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Heard
from distributed.diagnostics.task_stream import get_task_stream
from hypothesis import given
from hypothesis import strategies as st
from sessions import only_long
from training import SETTINGS, Bits, trained

from funkflow.pipeline.progress.events import EpochFinished
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.tasks.errors import Diverged
from funkflow.tasks.training import sgd_epochs
from funkflow.tasks.training.early_stopping import StoppingRule, judge_history

CASES = {
    "every checkpoint": {},
    "one stretch": {"checkpoint_epochs": 6},
    "stops within": {"checkpoint_epochs": 40, "epochs": 40, "patience": 2},
    "best is not the last": {"checkpoint_epochs": 40, "epochs": 40, "patience": 5, "step": 0.3},
    "nothing held out": {"checkpoint_epochs": 4, "stop_on": "nothing"},
    "by the rule": {"checkpoint_epochs": 7, "epochs": 40, "patience": None},
    "patience ends as a stretch does": {"checkpoint_epochs": 2, "epochs": 40, "patience": 1},
}


LONG = ("by the rule", "patience ends as a stretch does")


def outcome(heard: Heard, tmp_path: Path, folder: str, chosen: TrainSettings) -> tuple[dict[str, Any], Bits]:
    context = replace(heard.context, store=Store(str(tmp_path / folder)), attempt=f"{folder}-{tmp_path.name}")
    manifest, bits = trained(context, chosen)
    return {name: manifest.content()[name] for name in ("epochs", "best_epoch", "history", "shards")}, bits


@pytest.mark.parametrize(
    "changes",
    [pytest.param(each, id=name, marks=[pytest.mark.long] * (name in LONG)) for name, each in CASES.items()],
)
@pytest.mark.parametrize("at_once", [3, only_long(100)])
def test_epochs_of_a_stretch_are_those_one_by_one(
    heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], at_once: int
) -> None:
    chosen = SETTINGS.model_copy(update=changes)
    monkeypatch.setattr(sgd_epochs, "RATINGS_AT_ONCE", 0)
    one_by_one = outcome(heard, tmp_path, "one-by-one", chosen)
    if "step" in changes:
        assert one_by_one[0]["best_epoch"] < one_by_one[0]["epochs"]
    told = [event for event in heard.events if isinstance(event, EpochFinished)]
    heard.events.clear()
    monkeypatch.setattr(sgd_epochs, "RATINGS_AT_ONCE", at_once * 900)
    assert outcome(heard, tmp_path, "stretch", chosen) == one_by_one
    again = [event for event in heard.events if isinstance(event, EpochFinished)]
    assert [(each.epoch, each.stopping_rmse, each.best) for each in again] == [
        (each.epoch, each.stopping_rmse, each.best) for each in told
    ]


def test_a_stretch_is_one_task(heard: Heard, tmp_path: Path) -> None:
    with get_task_stream(heard.context.client) as stream:
        outcome(heard, tmp_path, "stretch", SETTINGS.model_copy(update={"checkpoint_epochs": 3}))
    keys = [record["key"] for record in stream.data if record["key"].startswith("descend")]
    assert [key.split("-")[-4] for key in keys] == ["0003", "0006"]


def test_a_run_that_diverges_says_so_with_its_epoch(
    heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = SETTINGS.model_copy(update={"step": 1e30, "checkpoint_epochs": 6})
    said = []
    for at_once in (0, 100):
        monkeypatch.setattr(sgd_epochs, "RATINGS_AT_ONCE", at_once * 900)
        with pytest.raises(Diverged) as error:
            outcome(heard, tmp_path, str(at_once), wild)
        said.append(error.value.message)
    assert said[0] == said[1]


rmses = st.lists(st.tuples(st.floats(0.5, 2), st.none() | st.floats(0.5, 2)), max_size=12)


@given(history=rmses, patience=st.integers(1, 4), gain=st.floats(0, 0.1), start=st.none() | st.floats(0.5, 2))
def test_the_rule_is_the_judgement_with_its_numbers(
    history: list[tuple[float, float | None]], patience: int, gain: float, start: float | None
) -> None:
    assert StoppingRule(patience, gain, start).judge(history) == judge_history(history, patience, gain, start)
