"""Pruning: old runs go with what only they need; what is in use stays; cut off anywhere, it can be done again.

Covers: pipeline/root/prune.py, on a disk and in an object store.
Does not cover: what is printed (test_runs_command.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.object_store import ObjectStore
from funkflow.pipeline.root.lock import hold_root
from funkflow.pipeline.root.prune import prune
from funkflow.pipeline.root.store import Store, publish
from funkflow.tasks.errors import DamagedFile, TryAgainLater
from funkflow.tasks.storage import files

OLD, MIDDLE, NEW = (letter * 16 for letter in "abc")
SHARED_BLOCK, OLD_BLOCK, NEW_BLOCK = (f"{digit * 32}.parquet" for digit in "123")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(Store(str(tmp_path)))


def filled(store: Store) -> Store:
    """Three runs: the old and the middle one on one dataset, each with a grid of its own; the new one on another."""
    for name in (SHARED_BLOCK, OLD_BLOCK, NEW_BLOCK):
        files.write_bytes(files.join(store.blocks, name), b"block")
    grid(store, "1" * 16, "d" * 16, SHARED_BLOCK, OLD_BLOCK)
    grid(store, "2" * 16, "d" * 16, SHARED_BLOCK)
    grid(store, "3" * 16, "e" * 16, NEW_BLOCK)
    trained(store, OLD, "1" * 16, "d" * 16, "2026-01-01T00:00:00+00:00")
    trained(store, MIDDLE, "2" * 16, "d" * 16, "2026-01-02T00:00:00+00:00")
    trained(store, NEW, "3" * 16, "e" * 16, "2026-01-03T00:00:00+00:00")
    files.write_bytes(files.join(store.root, "raw", "ratings.csv"), b"1,2,3")
    files.write_json(files.join(store.root, "current.json"), {"run_id": NEW})
    return store


def grid(store: Store, grid_id: str, dataset: str, *blocks: str) -> None:
    files.write_bytes(files.join(store.dataset(dataset), "users.parquet"), b"users")
    publish(store.dataset(dataset), "dataset", id=dataset, files=["users.parquet"])
    publish(store.split(grid_id), "split", id=grid_id, dataset=dataset)
    publish(
        store.grid(grid_id), "grid", id=grid_id, dataset=dataset, split=grid_id,
        files=[f"../../blocks/{name}" for name in blocks],
    )  # fmt: skip


def trained(store: Store, run_id: str, grid_id: str, dataset: str, started: str) -> None:
    files.write_bytes(files.join(store.run(run_id), "model", "part.parquet"), b"factors")
    facts = {"run_id": run_id, "grid": grid_id, "split": grid_id, "dataset": dataset, "started": started}
    files.write_json(files.join(store.run(run_id), "record.json"), facts)
    receipt = files.join(store.root, "receipts", f"{run_id}.json")
    files.write_json(receipt, {"outputs": {f"runs/{run_id}/model/part.parquet": 7}})


def there(store: Store) -> set[str]:
    """Return what lies under the root, two folders deep."""
    return {"/".join(path.split("/")[:2]) for path in files.sizes_below(store.root)}


def run_ids(store: Store) -> set[str]:
    return set(files.names(files.join(store.root, "runs")))


@pytest.mark.parametrize("place", ["disk", "s3"])
def test_old_runs_go_with_what_only_they_need(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if place == "s3":
        object_store: ObjectStore = request.getfixturevalue("object_store")
        store = filled(Store(object_store.new_root()))
    else:
        store = filled(Store(str(tmp_path)))
    before = there(store)
    said = prune(store, keep=2, remove=False)
    assert there(store) - {".lock"} == before
    sizes = files.sizes_below(store.root)
    done = prune(store, keep=2, remove=True)
    assert done == said
    assert done.kept == (MIDDLE, NEW)
    gone = {f"runs/{OLD}", f"grids/{'1' * 16}", f"splits/{'1' * 16}", f"blocks/{OLD_BLOCK}", f"receipts/{OLD}.json"}
    assert before - there(store) == gone == set(done.paths)
    freed = sum(sizes.values()) - sum(files.sizes_below(store.root).values())
    assert done.bytes == freed > 0
    assert prune(store, keep=2, remove=True).paths == {}


def test_a_dataset_goes_with_the_last_run_on_it(store: Store) -> None:
    assert prune(store, keep=1, remove=True).kept == (NEW,)
    assert files.names(files.join(store.root, "datasets")) == ["e" * 16]
    assert files.names(store.blocks) == [NEW_BLOCK]
    assert files.exists(files.join(store.root, "raw", "ratings.csv"))


@pytest.mark.parametrize(
    "pointer",
    [
        {"run_id": OLD},
        {"run_id": NEW, "previous": [{"run_id": OLD, "promoted": "2026-01-01", "by": "run"}]},
    ],
)
def test_what_the_pointer_names_stays(store: Store, pointer: dict[str, Any]) -> None:
    files.write_json(files.join(store.root, "current.json"), pointer)
    prune(store, keep=1, remove=True)
    assert run_ids(store) == {OLD, NEW}
    assert files.names(store.blocks) == [SHARED_BLOCK, OLD_BLOCK, NEW_BLOCK]


def test_only_the_one_before_the_present_one_stays_of_those_that_were_in_use(store: Store) -> None:
    """Every nightly run was in use once: if all of them stayed, none would ever go."""
    pointer = {"run_id": NEW, "previous": [{"run_id": MIDDLE}, {"run_id": OLD}]}
    files.write_json(files.join(store.root, "current.json"), pointer)
    prune(store, keep=1, remove=True)
    assert run_ids(store) == {MIDDLE, NEW}


def test_keeping_none_keeps_the_one_in_use(store: Store) -> None:
    prune(store, keep=0, remove=True)
    assert run_ids(store) == {NEW}


def test_a_run_that_was_found_up_to_date_counts_as_used(store: Store) -> None:
    record = {"id": "20260109T000000-aaaaaa", "state": "up to date", "run_id": OLD, "started": "2026-01-09T00:00:00"}
    files.write_json(files.join(store.root, "ledger", f"{record['id']}.json"), record)
    prune(store, keep=2, remove=True)
    assert run_ids(store) == {OLD, NEW}
    assert files.names(files.join(store.root, "ledger")) == [f"{record['id']}.json"]


def test_data_that_kept_data_lean_on_stay(store: Store) -> None:
    """A dataset may hold parts of another, and a grid blocks of another: the files of the manifests say so."""
    publish(store.dataset("e" * 16), "dataset", id="e" * 16, files=[f"../{'d' * 16}/users.parquet"])
    prune(store, keep=1, remove=True)
    assert files.names(files.join(store.root, "datasets")) == ["d" * 16, "e" * 16]


def test_what_others_put_there_stays(store: Store) -> None:
    for path in ("runs/thesis/notes.txt", "datasets/mine/a.csv", "blocks/mine.txt"):
        files.write_bytes(files.join(store.root, path), b"years of work")
    prune(store, keep=0, remove=True)
    assert {"runs/thesis", "datasets/mine", "blocks/mine.txt"} <= there(store)


class Killed(BaseException):
    """In the place of a process that dies."""


@pytest.mark.parametrize("steps", range(1, 10, 2))
def test_cut_off_anywhere_it_can_be_done_again(store: Store, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    done: list[str] = []
    remove = files.remove_tree

    def remove_or_die(url: str) -> None:
        if len(done) == steps and not url.endswith(".holder.json"):
            raise Killed
        done.append(url)
        remove(url)

    with monkeypatch.context() as patched:
        patched.setattr(files, "remove_tree", remove_or_die)
        with pytest.raises(Killed):
            prune(store, keep=1, remove=True)
    prune(store, keep=1, remove=True)
    assert run_ids(store) == {NEW}
    assert files.names(files.join(store.root, "grids")) == files.names(files.join(store.root, "splits")) == ["3" * 16]
    assert files.names(store.blocks) == [NEW_BLOCK]


def test_nothing_goes_while_a_run_is_at_work(store: Store) -> None:
    with hold_root(store.root), pytest.raises(TryAgainLater):
        prune(store, keep=0, remove=True)
    assert run_ids(store) == {OLD, MIDDLE, NEW}


@pytest.mark.parametrize("damage", ["current.json", f"runs/{NEW}/record.json"])
def test_nothing_goes_where_it_is_not_known_what_must_stay(store: Store, damage: str) -> None:
    files.write_json(files.join(store.root, damage), {"nothing": "of use"})
    with pytest.raises(DamagedFile):
        prune(store, keep=2, remove=True)
    assert run_ids(store) == {OLD, MIDDLE, NEW}
