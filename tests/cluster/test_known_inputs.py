"""A file of input is read for its checksum once, unless it may have changed since.

Covers: pipeline/datasets/input_hashes.py and tasks/storage/file_versions.py, on a disk and in an object store.
Does not cover: the dataset that comes of it (test_ingest.py), whole executions (test_up_to_date.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Heard

from chaos.object_store import ObjectStore
from funkflow.pipeline.datasets.input_hashes import describe_inputs, refuse_changed
from funkflow.pipeline.progress.events import StageAdvanced
from funkflow.pipeline.root.store import FORMAT_VERSION
from funkflow.tasks.errors import TryAgainLater
from funkflow.tasks.parsing.sources.sources import find_sources
from funkflow.tasks.storage import file_versions, files
from funkflow.tasks.storage.file_versions import is_settled


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    folder = tmp_path / "ratings"
    folder.mkdir()
    for name in ("one.csv", "two.csv"):
        (folder / name).write_text(f"user,item,rating\n1,{len(name)},3\n")
    return folder


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as old at once."""
    monkeypatch.setattr(file_versions, "SETTLED_SECONDS", 0)


def hashed(heard: Heard, place: str) -> tuple[list[dict[str, str | int]], int]:
    """Return what is said of the files in a folder, and in how many tasks they were read for it."""
    heard.events.clear()
    described = describe_inputs(heard.context, "ingest", "checksum", find_sources([place]))
    return described, sum(isinstance(event, StageAdvanced) for event in heard.events)


def test_files_are_hashed_once(heard: Heard, ratings: Path, settled: None) -> None:
    first, tasks = hashed(heard, str(ratings))
    assert tasks == 1
    assert hashed(heard, str(ratings)) == (first, 0)
    (ratings / "three.csv").write_text("user,item,rating\n1,2,3\n")
    more, tasks = hashed(heard, str(ratings))
    assert tasks == 1
    assert more != first


def replaced(path: Path) -> None:
    """Give a file another content of the same length, and the time that it had."""
    status = path.stat()
    path.write_bytes(path.read_bytes()[:-2] + b"4\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_changed_file_is_hashed_again(heard: Heard, ratings: Path, settled: None) -> None:
    first, _ = hashed(heard, str(ratings))
    replaced(ratings / "one.csv")
    again, tasks = hashed(heard, str(ratings))
    assert tasks == 1
    assert again[0]["checksum"] != first[0]["checksum"]


def test_a_file_just_written_is_hashed_again(heard: Heard, ratings: Path) -> None:
    """It may be written once more within the tick of the clock that its time stands for."""
    first, _ = hashed(heard, str(ratings))
    assert hashed(heard, str(ratings)) == (first, 1)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda data: data[:-9],
    "no mapping": lambda _data: b"[]",
    "entries of another kind": lambda data: data.replace(b'"checksums"', b'"sums"'),
    "another version": lambda data: data.replace(b'"format_version": %d' % FORMAT_VERSION, b'"format_version": 1'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_is_passed_over(
    heard: Heard, ratings: Path, settled: None, damage: Callable[[bytes], bytes]
) -> None:
    first, _ = hashed(heard, str(ratings))
    cache = Path(heard.context.store.root, "inputs.json")
    before = cache.read_bytes()
    cache.write_bytes(damage(before))
    assert cache.read_bytes() != before
    assert hashed(heard, str(ratings)) == (first, 1)
    assert hashed(heard, str(ratings)) == (first, 0)


def test_objects_are_known_by_their_tags(object_store: ObjectStore) -> None:
    place = f"{object_store.new_root()}/ratings"
    versions = []
    for rating in (b"3", b"3", b"4"):
        files.write_bytes(f"{place}/one.csv", b"user,item,rating\n1,2," + rating)
        (stored,) = find_sources([place])[0].files
        assert stored.changed_ns is None
        versions.append(stored.version)
    assert versions[0] == versions[1] != versions[2]


def test_no_url_with_a_secret_is_kept(heard: Heard, ratings: Path, settled: None) -> None:
    hashed(heard, str(ratings))
    assert all(len(key) == 32 for key in files.read_json(f"{heard.context.store.root}/inputs.json")["files"])


def test_a_file_that_changes_while_it_is_read_is_try_again_later(ratings: Path) -> None:
    sources = find_sources([str(ratings)])
    refuse_changed(sources, [str(ratings)])
    (ratings / "new.csv").write_text("it was not read")
    refuse_changed(sources, [str(ratings)])
    replaced(ratings / "two.csv")
    with pytest.raises(TryAgainLater, match=r"two\.csv: changed while it was read"):
        refuse_changed(sources, [str(ratings)])


@pytest.mark.parametrize(
    ("version", "changed_ns", "counts"),
    [("tag", None, True), ("", None, False), ("5 5", 5 * 10**9, True), ("9 9", 9 * 10**9, False)],
)
def test_when_a_version_counts(version: str, changed_ns: int | None, counts: bool) -> None:
    assert is_settled(version, changed_ns, 10 * 10**9) is counts
