"""Runs that are struck end with the bits of a run that was not: each kind of fault, at each stage that it can strike.

Covers: processes that are killed and files that are damaged, and of some kinds how much is done again; that the table
in docs/faults.md has every cell.
Does not cover: what fails around them (test_faults_around.py), faults that only silence tells of
(test_faults_by_silence.py), the random schedule (`make chaos`).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from striking import AROUND, AWAY, Tried, kinds_and_places, objections

from chaos.kinds import KINDS
from chaos.ratings import CHECKPOINT_EPOCHS, EPOCHS
from chaos.room import Room
from chaos.schedule import at_the_middle, schedule
from chaos.strikes import MOMENTS, Strike
from chaos.trial import trial

TABLE = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.mark.parametrize(
    ("kind", "everywhere"),
    kinds_and_places(name for name, kind in KINDS.items() if not kind.waits and name not in (AWAY, *AROUND)),
)
def test_a_fault_leaves_the_same_bits(tried: Tried, kind: str, everywhere: bool) -> None:
    """Each must have struck, and the run have ended as it must (chaos/trial.py), or gone on, with the same bits."""
    assert objections(kind, everywhere, tried(kind, everywhere)) == []


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_table_names_every_cell(kind: str) -> None:
    """And no other; a row may stand for several kinds."""
    (row,) = re.findall(rf"^\| (?:.*; )?{kind}(?:;.*?)? \|(.*)\|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    cells = [cell.strip() for cell in row.split("|")]
    assert cells == ["**T**" if stage in KINDS[kind].stages else "" for stage in MOMENTS]


def test_only_what_no_checkpoint_has_is_trained_again(tried: Tried) -> None:
    (run,) = tried("worker killed", False)[0].attempts[:1]
    again = [key for key in _twice(run.of("ran")) if re.match("descend|items", key)]
    assert {int(key.split("-")[2]) for key in again} <= {5, 6}  # two epochs are in flight; the checkpoint is of epoch 4
    assert "are computed again, from the checkpoint of epoch 4" in run.said


def test_a_killed_client_loses_no_more_than_the_epochs_since_the_checkpoint(tried: Tried, room: Room) -> None:
    assert len(tried("client killed", False)) == 1
    (metrics,) = (room.folder / "client-killed-train" / "root" / "runs").glob("*/metrics.jsonl")
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    epochs = [line["epoch"] for line in lines if line["event"] == "EpochFinished"]
    assert set(epochs) == set(range(1, EPOCHS + 1))
    assert 0 <= len(epochs) - len(set(epochs)) <= CHECKPOINT_EPOCHS
    assert json.loads((metrics.parent / "record.json").read_text())["attempt"] == 2


@pytest.mark.long
@pytest.mark.parametrize(
    "number",
    [pytest.param(18, id="flip"), pytest.param(19, id="tear"), pytest.param(20, id="manifest")],
)
def test_damaged_checkpoints(room: Room, number: int) -> None:
    """`number` says where, and by its remainder how."""
    strike = at_the_middle("checkpoint damaged", "train", pattern="descend-", number=number)
    done = trial(room, f"damaged-{number}", [strike])
    assert done.complaints == []
    assert done.struck == [strike]


def test_schedule_is_the_same_for_a_seed_and_strikes_every_kind() -> None:
    first, again, other = (schedule(seed, list(KINDS)) for seed in (3, 3, 4))
    drawn = [next(first) for _ in KINDS]
    assert drawn == [next(again) for _ in KINDS]
    assert drawn != [next(other) for _ in KINDS]
    assert {strikes[0].kind for strikes in drawn} == set(KINDS)


def test_a_difference_is_complained_of(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself: against bits that no run makes."""
    monkeypatch.setitem(room.__dict__, "undisturbed", {**room.undisturbed, "rmse": "0"})
    done = trial(room, "none", [Strike("worker killed", "train", "no-such-task-")])
    assert done.struck == []
    assert done.complaints == ["rmse differs from the undisturbed run's"]


def _twice(notes: list[dict[str, object]]) -> list[str]:
    keys = [str(note["key"]) for note in notes]
    return [key for key in set(keys) if keys.count(key) > 1]
