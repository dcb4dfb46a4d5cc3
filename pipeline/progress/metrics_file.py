"""Events of a run as JSON lines in its folder: writing and reading them.

Covers: `metrics.jsonl`, which grows on a disk, and its further pieces in an object store.
Does not cover: the events (events.py), the record of the run (pipeline/root/run_record.py).

    runs/<run id>/metrics.jsonl, metrics-00001.jsonl, metrics-00002.jsonl, …

An object store cannot append: each event writes the newest piece again, until its length begins another. So the bytes
written grow in proportion to the events, and each event is there at once.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

from funkflow.pipeline.progress.events import EpochFinished, Event, StageAdvanced, as_mapping, event_of
from funkflow.pipeline.progress.log_format import json_line
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import filesystem, is_local

PIECE_BYTES = 32 * 2**10
"""Length at which a new piece begins: after a hundred epochs or so."""
_FIRST = "metrics.jsonl"
_PIECE = re.compile(r"metrics-(\d{5,})\.jsonl")


class MetricsFile:
    """A listener that writes every event as a JSON line: {"time", "event", …}.

    The run's folder is known only after its data, so earlier events wait for it; progress within a stage waits for the
    next other event.
    """

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._folder = ""
        self._number = 0
        self._piece = b""

    def open(self, run_folder: str) -> None:
        """Write to `run_folder`, after the lines of earlier attempts."""
        self._folder = run_folder
        self._number = len(_file_pieces(run_folder)[1:])
        if path := self._local_path():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _cut_to_lines(path)
        else:
            self._piece = _whole_lines(files.bytes_if_there(self._url()) or b"")
        self._write()

    def __call__(self, event: Event) -> None:
        self._waiting.append(json_line(as_mapping(event)).encode())
        if self._folder and not isinstance(event, StageAdvanced):
            self._write()

    def _write(self) -> None:
        lines = b"".join(self._waiting)
        if path := self._local_path():
            _append(path, lines)
        else:
            if len(self._piece) >= PIECE_BYTES:
                self._number, self._piece = self._number + 1, b""
            files.write_bytes(self._url(), self._piece + lines)
            self._piece += lines
        self._waiting.clear()

    def _url(self) -> str:
        return files.join(self._folder, _file_name(self._number))

    def _local_path(self) -> str:
        """Return the path of the file on a disk; "" in an object store, which cannot append."""
        system, path = filesystem(self._url())
        return path if is_local(system) else ""


def events_of(run_folder: str) -> list[dict[str, object]] | None:
    """Return the events of a run, all attempts one after another; None without a file.

    An incomplete line, of a writer at work or of a machine that failed, is left out.
    """
    found = [files.bytes_if_there(files.join(run_folder, name)) for name in _file_pieces(run_folder)]
    lines = [line for data in found if data for line in _whole_lines(data).splitlines()]
    return (
        [event for line in lines if (event := _event_of_line(line))]
        if any(data is not None for data in found)
        else None
    )


def epochs_of(events: Iterable[Mapping[str, object]]) -> dict[int, EpochFinished]:
    """Return the last event of each epoch, by number: a resumed run repeats some epochs."""
    finished = (event_of(event) for event in events if event["event"] == EpochFinished.__name__)
    return {event.epoch: event for event in finished if isinstance(event, EpochFinished)}


def _file_pieces(run_folder: str) -> list[str]:
    """Return the names of the files in the order of writing; the first even if it does not exist yet."""
    numbers = [int(piece[1]) for name in files.names(run_folder) if (piece := _PIECE.fullmatch(name))]
    return [_file_name(number) for number in range(max(numbers, default=0) + 1)]


def _file_name(number: int) -> str:
    return f"metrics-{number:05d}.jsonl" if number else _FIRST


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def _event_of_line(line: bytes) -> dict[str, object]:
    with suppress(ValueError):
        event = json.loads(line)
        return event if isinstance(event, dict) and "event" in event else {}
    return {}


def _cut_to_lines(path: str) -> None:
    """Cut off the incomplete line of a killed writer."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        content = file.read()
        if len(whole := _whole_lines(content)) < len(content):
            os.truncate(path, len(whole))


def _append(path: str, lines: bytes) -> None:
    """Append all lines to a file, or none if the disk is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        before = os.fstat(descriptor).st_size
        try:
            left = memoryview(lines)
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError as error:
            os.ftruncate(descriptor, before)
            error.filename = path
            raise
    finally:
        os.close(descriptor)
