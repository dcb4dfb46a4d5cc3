"""What is in a root is known by a few facts of each manifest: a night reads as many as the night before.

Covers: pipeline/root/index.py, and that datasets and grids chosen by it are those of all manifests
(pipeline/datasets/parent.py, pipeline/stages/grid.py), on manifests that are made up.
Does not cover: real datasets and grids that grow (test_growing.py, test_growing_blocks.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_manifests import BLOCK, a_dataset, a_grid
from sessions import examples

from funkflow.pipeline.datasets.parent import Candidates, Inputs
from funkflow.pipeline.root.index import facts_of_all
from funkflow.pipeline.root.manifests import Grid
from funkflow.pipeline.root.store import Store, published
from funkflow.pipeline.stages.grid import known_blocks
from funkflow.tasks.dataset.known_files import SeenFile, match
from funkflow.tasks.grid.block import BLOCK_FORMAT
from funkflow.tasks.parsing.erased_ids import ErasedIds
from funkflow.tasks.storage import files

SETTINGS = {"columns": "found"}


def inputs_of(*seen: SeenFile) -> Inputs:
    return Inputs(SETTINGS, seen, (), ErasedIds())


def put_dataset(store: Store, name: str, seen: list[SeenFile], parent: str = "", generations: int = 1) -> None:
    a_dataset(
        store.dataset(name), id=name, inputs=[file.name for file in seen],
        seen=inputs_of(*seen).written(), lineage=[[1, 1, 1]] * generations,
        parent={"id": parent, "rows": True} if parent else None,
    ).publish()  # fmt: skip


def put_grid(store: Store, name: str, dataset: str, shards: int = 2, block_format: Any = BLOCK_FORMAT) -> None:
    blocks = [{**BLOCK, "mark": name, "extremes": [1, 5], "checksum": name}]
    made = a_grid(store.grid(name), dataset=dataset, shards=shards, block_format=block_format, blocks=blocks)
    made.publish()


def nights(store: Store, first: int, last: int) -> None:
    """Leave what a growing set leaves night by night: a dataset of one more file than before, and its grid."""
    for night in range(first, last):
        put_dataset(store, dataset_of(night), days(night), dataset_of(night - 1) if night else "", night + 1)
        put_grid(store, f"grid-{night:05d}", dataset_of(night))


def dataset_of(night: int) -> str:
    return f"dataset-{night:05d}"


def days(last: int) -> list[SeenFile]:
    return [SeenFile(f"day-{day:05d}.csv", 100 + day, (f"{day:032x}",)) for day in range(last + 1)]


@contextmanager
def manifests_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    found: list[str] = []
    read = files.bytes_if_there

    def counting(url: str) -> bytes | None:
        if url.endswith("manifest.json"):
            found.append(url.split("/")[-2])
        return read(url)

    with monkeypatch.context() as patch:
        patch.setattr(files, "bytes_if_there", counting)
        yield found


@pytest.mark.parametrize("night", [3, 40])
def test_a_night_reads_as_many_manifests_as_the_night_before(
    night: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    nights(store, 0, night - 1)
    for known in (dataset_of(night - 2), dataset_of(night - 1)):
        now = a_dataset(id="now", parent={"id": known, "rows": True})
        with manifests_read(monkeypatch) as read:
            parent = Candidates(store, SETTINGS).parent(inputs_of(*days(night)), lambda _: True)
            blocks = known_blocks(store, now, 2)
        assert parent is not None
        assert parent.manifest.id == known
        assert list(blocks) == [known.replace("dataset", "grid")]
        nights(store, night - 1, night)
    assert sorted(read) == [known, known, known.replace("dataset", "grid"), known.replace("dataset", "grid")]


def test_inputs_that_move_on_read_no_more_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each night the oldest file is gone, so none of the earlier datasets is whole."""
    store = Store(str(tmp_path))
    for night in range(40):
        put_dataset(store, dataset_of(night), days(night + 5)[night:], dataset_of(night - 1) if night else "")
    Candidates(store, SETTINGS)
    with manifests_read(monkeypatch) as read:
        parent = Candidates(store, SETTINGS).parent(inputs_of(*days(45)[40:]), lambda _: True)
    assert parent is not None
    assert (parent.manifest.id, parent.rows) == (dataset_of(39), False)
    assert read == [dataset_of(39)]


FILES = st.builds(
    SeenFile, st.sampled_from(["a.csv", "b.csv", "c.csv", "d.csv.gz"]), st.integers(1, 3),
    st.sampled_from([("x",), ("y",)]),
)  # fmt: skip
SETS = st.lists(FILES, min_size=1, max_size=4, unique_by=lambda file: file.name)


@settings(max_examples=examples(60), deadline=None)
@given(before=st.lists(SETS, max_size=6), now=SETS, grows=st.booleans())
def test_the_parent_is_that_of_a_look_at_all_manifests(
    before: list[list[SeenFile]], now: list[SeenFile], grows: bool
) -> None:
    with tempfile.TemporaryDirectory() as root:
        store = Store(root)
        for number, seen in enumerate(before):
            put_dataset(store, dataset_of(number), seen, generations=1 + number % 2)
        chosen = Candidates(store, SETTINGS).parent(inputs_of(*now), lambda _: grows)
        wanted = parent_of_all(store, now, grows)
        assert (chosen and (chosen.manifest.id, chosen.rows)) == wanted
        for seen in before:
            same = Candidates(store, SETTINGS).made_of([file.name for file in seen], inputs_of(*seen))
            assert same is not None
            assert same.seen == inputs_of(*seen).written()


def parent_of_all(store: Store, now: list[SeenFile], grows: bool) -> tuple[str, bool] | None:
    """Return which dataset to grow from, and whether by its rows, from the manifests of all; none grew from another."""
    matched = []
    for name in files.names(f"{store.root}/datasets"):
        manifest: Any = published(store.dataset(name), "dataset")
        seen = [SeenFile.read(entry) for entry in manifest["seen"]["ratings"]]
        matched.append((match(seen, now, may_grow=True), len(manifest["lineage"]), name, seen))
    for found, _, name, _ in sorted(matched, key=lambda each: (-each[0].seen_bytes, -each[1], each[2])):
        changed = any(0 < begin < file.bytes for begin, file in zip(found.begins, now, strict=True))
        if found.whole and (grows or not changed):
            return name, True
    known = [each for each in matched if each[0].seen_bytes or each[0].names]
    best = max(known, key=lambda each: (each[0].seen_bytes, each[0].names, *each[1:3]), default=None)
    return best and (best[2], False)


def test_blocks_are_looked_for_up_to_the_nearest_dataset_that_has_any(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for night in range(5):
        put_dataset(store, dataset_of(night), days(night), dataset_of(night - 1) if night else "")
    now = a_dataset(id=dataset_of(4), parent={"id": dataset_of(3), "rows": True})
    put_grid(store, "first", dataset_of(0))
    put_grid(store, "of-more-shards", dataset_of(3), shards=3)
    put_grid(store, "of-an-older-format", dataset_of(3), block_format="older")
    assert set(known_blocks(store, now, 2)) == {"first"}
    put_grid(store, "nearer", dataset_of(2))
    put_grid(store, "nearer-by-another-split", dataset_of(2))
    put_grid(store, "its-own-by-another-split", dataset_of(4))
    assert set(known_blocks(store, now, 2)) == {"nearer", "nearer-by-another-split", "its-own-by-another-split"}
    assert known_blocks(store, a_dataset(id=dataset_of(4)), 2) == {}


def test_an_index_follows_what_is_there(tmp_path: Path) -> None:
    store = Store(str(tmp_path))

    def known() -> dict[str, int]:
        return facts_of_all(store, Grid, lambda made: made.shards)

    assert known() == {}
    assert files.names(store.root) == []
    put_grid(store, "a", "of-a", 2)
    put_grid(store, "b", "of-b", 3)
    assert known() == {"a": 2, "b": 3}
    files.remove_tree(store.grid("a"))
    files.write_bytes(f"{store.grid('half-made')}/00000.parquet", b"")
    files.write_bytes(f"{store.grid('damaged')}/manifest.json", b"{")
    assert known() == {"b": 3}
    put_grid(store, "half-made", "of-c", 4)
    assert known() == {"b": 3, "half-made": 4}
    index = tmp_path / "index" / "grids.json"
    for content in (b"{", b"[]", b'{"format_version": 0, "facts": {"gone": {"shards": 9}}}'):
        index.write_bytes(content)
        assert known() == {"b": 3, "half-made": 4}
