"""Manifests as dataclasses: what is read is what is written, byte for byte, whatever else stands there.

Covers: reading back what is written, JSON with more fields or fewer, and a manifest that is not whole.
Does not cover: what stages write (test_ingest.py, test_split.py, test_grid.py, test_train.py), damage to files
(test_tampering.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_manifests import BLOCK, a_dataset, a_grid, a_split

from funkflow.pipeline.root.manifests import Dataset, Grid, Split, Synthetic, Training
from funkflow.pipeline.root.model_manifests import (
    Baseline,
    Predictions,
    RankingScores,
    Recommendations,
    Reconstruction,
    SavedReport,
    Spectrum,
    Vectors,
)
from funkflow.pipeline.root.store import publish
from funkflow.pipeline.root.typed_json import Manifest
from funkflow.tasks.errors import DamagedFile

ENTRIES = st.lists(
    st.fixed_dictionaries({"path": st.text(), "rows": st.integers(0), "checksum": st.text()}), max_size=3
)
HELD_OUT: st.SearchStrategy[Any] = st.fixed_dictionaries({"ratings": st.integers(0), "parts": ENTRIES})
NUMBERS = st.floats(allow_nan=False)
STEPS = {"mean": 3.5, "deviation": 1.0, "l2": 0.1, "step": 0.01, "bias_step": 0.02}
MEASURES = {"precision": 0.1, "recall": 0.2, "ndcg": 0.3}
MORE_MEASURES = {**MEASURES, "hit_rate": 0.4, "mrr": 0.5, "map": 0.6, "coverage": 0.7, "novelty": 8.0}
RANKED = {"count": 1, **MEASURES, "most_rated": MEASURES}
MORE_RANKED = {"count": 2, **MORE_MEASURES, "most_rated": MORE_MEASURES, "random": MEASURES}
OTHERS = st.dictionaries(st.sampled_from(["added", "later"]), st.integers() | st.none() | st.lists(st.text()))
OPTIONAL: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "dataset": {
        "parent": st.none() | st.fixed_dictionaries({"id": st.text(), "rows": st.booleans()}),
        "lineage": st.lists(st.tuples(*[st.integers(0)] * 3).map(list), max_size=3),
    },
    "split": {"training": st.lists(st.integers()), "trained_on_slice": st.none() | HELD_OUT, "lost": st.integers(0)},
    "grid": {"variance": NUMBERS},
    "training": {"start": st.none() | NUMBERS, "counted": st.text(), "passes": st.lists(st.integers())},
}
KINDS: list[tuple[type[Manifest], st.SearchStrategy[dict[str, Any]]]] = [
    (Dataset, st.fixed_dictionaries({"parts": ENTRIES, "scale": st.none() | st.tuples(NUMBERS, NUMBERS).map(list)},
                                    optional=OPTIONAL["dataset"])),
    (Split, st.fixed_dictionaries({"validation": HELD_OUT, "slice": st.none() | HELD_OUT}, optional=OPTIONAL["split"])),
    (Grid, st.fixed_dictionaries({"held_out": st.dictionaries(st.text(), st.fixed_dictionaries(
        {"ratings": st.integers(0), "shards": ENTRIES})), "blocks": st.lists(st.fixed_dictionaries(
            {name: st.just(value) for name, value in BLOCK.items()},
            optional={"mark": st.text(), "extremes": st.lists(NUMBERS)}), max_size=2)}, optional=OPTIONAL["grid"])),
    (Training, st.fixed_dictionaries({
        "grid": st.text(), "epochs": st.integers(), "best_epoch": st.integers(), "seconds": NUMBERS,
        "history": st.lists(st.tuples(NUMBERS, st.none() | NUMBERS).map(list)), "cpu_target": st.text(),
        "shards": st.dictionaries(st.sampled_from(["users", "items"]), ENTRIES), "steps": st.just(STEPS),
    }, optional=OPTIONAL["training"])),
    (Synthetic, st.fixed_dictionaries({"id": st.text(), "ratings": st.integers(), "shape": st.text()})),
    (Baseline, st.just({name: {"squared": 1.0, "absolute": 2.0, "ratings": 3} for name in ("mean", "biases")})),
    (Spectrum, st.fixed_dictionaries(
        {"id": st.text(), "of": st.text(), "table": st.text(), "checksums": st.just({"a": "b"}), "ratings": st.just(1),
         "grid": st.none() | st.text()}, optional={"split": st.none() | st.text(), "rmse": NUMBERS, "mae": NUMBERS})),
    (Vectors, st.just({"id": "a", "of": "b", "balanced": True, "singular_values": [2.0], "users": ["c"], "items": []})),
    (Reconstruction, st.just({"id": "a", "of": "b", "rank": 1, "clipped": True, "form": "zarr", "users": 2, "items": 3,
                              "bytes": 24})),
    (Predictions, st.fixed_dictionaries({"id": st.text(), "pairs": st.integers(), "model": st.text(), "parts": st.lists(
        st.just({"path": "a", "rows": 2, "checksum": "b", "known": 1}))})),
    (Recommendations, st.fixed_dictionaries({"id": st.text(), **dict.fromkeys(("count", "users", "rows"), st.just(1)),
        "parts": st.lists(st.just({"path": "a", "rows": 2, "checksum": "b", "users": 1}))})),
    (RankingScores, st.sampled_from([RANKED, MORE_RANKED, {**MORE_RANKED, "also": [MORE_RANKED]}]).map(
        lambda ranked: {"id": "a", "threshold": 4.0, "users": 2, **ranked})),
    (SavedReport, st.just({"id": "a"})),
]  # fmt: skip
WHOLE = {Dataset: a_dataset().content(), Split: a_split().content(), Grid: a_grid().content()}


@given(st.data(), OTHERS, st.sampled_from(KINDS))
def test_what_is_read_is_what_is_written(
    data: st.DataObject, others: dict[str, Any], chosen: tuple[type[Manifest], st.SearchStrategy[dict[str, Any]]]
) -> None:
    kind, contents = chosen
    written = {**WHOLE.get(kind, {}), **data.draw(contents), **others}
    written |= {"kind": kind.kind, "format_version": 3, "files": {"a": 1}}
    as_json = json.dumps(written, sort_keys=True)
    manifest = kind.from_content("somewhere", json.loads(as_json))
    assert json.dumps(manifest.content(), sort_keys=True) == as_json
    assert kind.from_content("elsewhere", manifest.content()) == manifest


def test_one_comes_back_byte_for_byte_from_disk(tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in ("first", "second")]
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "part").write_bytes(b"four")
    content = {name: value for name, value in a_dataset().content().items() if name not in ("kind", "format_version")}
    publish(folders[0], "dataset", **{**content, "files": ["part"]})
    found = Dataset.published(folders[0])
    assert found is not None
    assert (found.folder, found.files) == (folders[0], {"part": 4})
    again = found.publish(["part"])
    assert again == found
    assert a_dataset(folders[0]).publish(["part"]) == found
    first = (tmp_path / "first" / "manifest.json").read_bytes()
    publish(folders[0], "dataset", **{**content, "files": ["part"]})
    assert (tmp_path / "first" / "manifest.json").read_bytes() == first


def test_one_that_lacks_what_its_kind_has_is_named(tmp_path: Path) -> None:
    publish(str(tmp_path), "grid", id="made")
    with pytest.raises(DamagedFile, match=r"manifest\.json: not a whole manifest of grid .*delete .* and run again"):
        Grid.published(str(tmp_path))
