"""The items of a saved model as an index of faiss, with the raw ids beside it and its recall in the manifest.

Covers: the files, how many lists a search looks through, and the recall beside exact lists.
Does not cover: the vectors (tasks/serving/item_vectors.py), the index (tasks/storage/faiss_index.py).

    items.faiss, items.parquet (`place` in the index, `raw_id`), manifest.json
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.pipeline.root.model_manifests import ItemIndex
from funkflow.pipeline.root.store import content_id, nothing_half_written
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.serving import item_vectors
from funkflow.tasks.serving.served_model import ServedModel
from funkflow.tasks.storage import faiss_index, files

INDEX, IDS = "items.faiss", "items.parquet"
_LONGEST, _SEED = 100, 0
_CHOOSING, _MEASURING = slice(0, None, 2), slice(1, None, 2)
"""Of sampled users: half to choose the lists of a search by, and half to measure its recall on."""


@dataclass(frozen=True)
class Timings:
    """Milliseconds a user for the 100 best items: by the index, and among all items."""

    index: float
    exact: float


@dataclass(frozen=True)
class _Sample:
    """Sampled users: their queries, the exact lists, and the milliseconds that one list took."""

    queries: npt.NDArray[np.float32]
    exact: npt.NDArray[np.int32]
    milliseconds: float

    def recall(self, index: Any, probed: int, count: int, users: slice) -> float:
        found = faiss_index.search_index(index, self.queries[users], self.exact.shape[1], probed)
        return item_vectors.recall(found, self.exact[users], count)


def write_item_index(
    model_folder: str, folder: str, least_recall: float, users: int
) -> tuple[ItemIndex, Timings | None]:
    """Write the index of a model's items into `folder`; return its manifest, and times unless it was there.

    A search looks through the fewest lists, of 1, 2, 4, … and all, that find `least_recall` of the exact lists on one
    half of `users` sampled users. The recall in the manifest is that of the other half.

    Raises
    ------
    SettingsError
        faiss is not installed, or the folder has other files.
    """
    faiss_index.require_faiss()
    about = read_about(model_folder)
    identity = content_id(what="item index", model=about["parts"], recall=least_recall, users=users)
    manifest = ItemIndex.published(folder)
    if manifest is not None and manifest.id == identity:
        return manifest, None
    if manifest is None and files.names(folder):
        raise SettingsError(f"{folder}: is not empty and holds no index; name a new folder, or delete it")
    files.remove_tree(folder)
    with nothing_half_written(folder):
        return _write(ServedModel(ModelParts.of(model_folder, about)), identity, folder, least_recall, users=users)


def _write(
    model: ServedModel, identity: str, folder: str, least_recall: float, users: int
) -> tuple[ItemIndex, Timings]:
    lists = faiss_index.lists_for(model.items)
    items, has_biases = item_vectors.sample_items(model, lists * faiss_index.SAMPLED_A_LIST, _SEED)
    vectors = item_vectors.item_vectors(model, has_biases)
    index = faiss_index.build_index(item_vectors.as_vectors(items, has_biases), vectors, lists)
    sample = _sampled(model, has_biases, users)
    count = sample.exact.shape[1]
    probed = next(
        each
        for each in _growing(lists)
        if each == lists or sample.recall(index, each, count, _CHOOSING) >= least_recall
    )
    started = time.perf_counter()
    faiss_index.search_index(index, sample.queries, count, probed)
    took = 1e3 * (time.perf_counter() - started) / len(sample.queries)
    places = np.arange(model.items)
    ids = pa.table({"place": pa.array(places), "raw_id": model.item_ids(places)})
    checksums = {
        INDEX: faiss_index.write_index(files.join(folder, INDEX), index),
        IDS: files.write_table(files.join(folder, IDS), ids),
    }
    manifest = ItemIndex(
        folder=folder, id=identity, items=model.items, width=sample.queries.shape[1], biases=has_biases,
        form="IVF, flat, inner product", lists=lists, probed=probed, users=len(sample.queries[_MEASURING]),
        recall={str(each): sample.recall(index, probed, each, _MEASURING) for each in sorted({min(10, count), count})},
        checksums=checksums,
    ).publish([INDEX, IDS])  # fmt: skip
    return manifest, Timings(took, sample.milliseconds)


def _sampled(model: ServedModel, has_biases: bool, count: int) -> _Sample:
    users = sum(model.parts.user_counts)
    chosen = np.random.default_rng(_SEED).permutation(users)[:count]
    rows = model.users_at(chosen)
    item_vectors.exact_lists(model, rows.take(np.arange(1)), 1)  # compiles
    started = time.perf_counter()
    exact = item_vectors.exact_lists(model, rows, min(_LONGEST, model.items))
    return _Sample(
        item_vectors.user_vectors(rows, has_biases), exact, 1e3 * (time.perf_counter() - started) / len(chosen)
    )


def _growing(lists: int) -> Iterator[int]:
    """Yield 1, 2, 4, … below `lists`, and `lists`."""
    probed = 1
    while probed < lists:
        yield probed
        probed *= 2
    yield lists
