"""What a run told is kept as it tells it: at a cost in step with the events, and whole whatever happens.

Covers: pipeline/progress/metrics_file.py on a disk and in an object store: several attempts, kills, a full disk, a
moved root.
Does not cover: what events say (test_flow.py, test_live.py).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from chaos.object_store import ObjectStore
from funkflow.pipeline.progress import metrics_file
from funkflow.pipeline.progress.events import CheckpointWritten, Noticed, StageAdvanced, StageStarted
from funkflow.pipeline.progress.metrics_file import MetricsFile, events_of
from funkflow.tasks.storage import files


@pytest.fixture(params=["disk", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "root" / "runs" / "a")
    store: ObjectStore = request.getfixturevalue("object_store")
    return f"{store.new_root()}/runs/a"


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_file, "PIECE_BYTES", 400)


def notify(folder: str, first: int, last: int) -> None:
    """Tell of checkpoints as one attempt would."""
    metrics = MetricsFile()
    metrics(StageStarted("ingest"))
    metrics.open(folder)
    for epoch in range(first, last):
        metrics(CheckpointWritten(epoch, 0.1))


def epochs_in(folder: str) -> list[int]:
    return [int(str(event["epoch"])) for event in events_of(folder) or [] if event["event"] == "CheckpointWritten"]


def test_all_attempts_stand_one_after_another(folder: str, short_pieces: None) -> None:
    assert events_of(folder) is None
    for first in (0, 7, 14):
        notify(folder, first, first + 7)
    events = events_of(folder)
    assert events is not None
    assert epochs_in(folder) == list(range(21))
    assert [number for number, event in enumerate(events) if event["event"] == "StageStarted"] == [0, 8, 16]


def test_progress_within_a_stage_is_written_with_what_follows_it(folder: str) -> None:
    metrics = MetricsFile()
    metrics.open(folder)
    metrics(StageAdvanced("ingest", 1, 2))
    assert events_of(folder) == []
    metrics(Noticed("here"))
    assert [event["event"] for event in events_of(folder) or []] == ["StageAdvanced", "Noticed"]


def test_an_event_costs_a_store_as_much_late_as_early(object_store: ObjectStore, short_pieces: None) -> None:
    folder = f"{object_store.new_root()}/runs/a"
    written = []
    for first in (0, 40, 80):
        notify(folder, first, first + 40)
        puts = [request for request in object_store.requests if request.kind == "put" and "metrics" in request.key]
        written.append(sum(request.body_bytes for request in puts))
        object_store.requests.clear()
    assert written[2] < 1.2 * written[0]
    assert epochs_in(folder) == list(range(120))


def test_a_disk_is_appended_to(tmp_path: Path) -> None:
    notify(str(tmp_path), 0, 2)
    before = os.stat(tmp_path / "metrics.jsonl")
    notify(str(tmp_path), 2, 4)
    after = os.stat(tmp_path / "metrics.jsonl")
    assert after.st_ino == before.st_ino
    assert after.st_size == 2 * before.st_size
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_line_that_a_kill_cut_short_counts_for_nothing(tmp_path: Path) -> None:
    notify(str(tmp_path), 0, 3)
    with open(tmp_path / "metrics.jsonl", "ab") as file:
        file.write(b'{"time": "2026-01-31T00:00:00", "event": "Checkp')
    assert epochs_in(str(tmp_path)) == [0, 1, 2]
    notify(str(tmp_path), 3, 5)
    assert epochs_in(str(tmp_path)) == [0, 1, 2, 3, 4]
    assert len((tmp_path / "metrics.jsonl").read_bytes().splitlines()) == len(events_of(str(tmp_path)) or ())


def test_a_disk_that_fills_up_takes_all_of_a_line_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, write = MetricsFile(), os.write
    metrics.open(str(tmp_path))
    metrics(CheckpointWritten(1, 0.1))

    room = [10]

    def written(descriptor: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= (count := write(descriptor, data[: room[0]]))
        return count

    before = (tmp_path / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(os, "write", written)
    with pytest.raises(OSError, match=r"No space left on device: '.*metrics\.jsonl'"):
        metrics(CheckpointWritten(2, 0.1))
    monkeypatch.setattr(os, "write", write)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    metrics(CheckpointWritten(3, 0.1))
    assert epochs_in(str(tmp_path)) == [1, 2, 3]


def test_a_root_that_moved_from_a_store_to_a_disk_goes_on(
    object_store: ObjectStore, tmp_path: Path, short_pieces: None
) -> None:
    root = object_store.new_root()
    notify(f"{root}/runs/a", 0, 10)
    object_store.fetch(root, tmp_path)
    moved = str(tmp_path / "runs" / "a")
    assert len(files.names(moved)) > 1
    notify(moved, 10, 20)
    assert epochs_in(moved) == list(range(20))
