"""Recommendations, rankings and similar items from a model that is read part by part: the bytes of one held in memory.

Covers: tasks/serving/served_model.py, `Context.reads_model_in_parts`, pipeline/planning/serving_memory.py.
Does not cover: shards of any size (tests/unit/test_best.py), what the stages write (test_recommend.py,
test_similar.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import made_ratings
from distributed import Client
from ungated import UNGATED_SECTION

from funkflow import RunResult, Settings, run
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.planning.budget import Allowance, Size, Workload
from funkflow.pipeline.planning.serving_memory import choose_serving, predict_serving, predict_similar
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import RankingSettings, RecommendSettings
from funkflow.pipeline.stages.ranking import ranking
from funkflow.pipeline.stages.recommend import recommend, similar
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.parts import ModelParts
from funkflow.tasks.serving.served_model import ServedModel, read_served_model
from funkflow.tasks.storage import files

MILLION = 1_000_000
GIB = 2**30


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """Trained on made ratings, with ids that are words; items of one part end inside the tile of another."""
    folder = tmp_path_factory.mktemp("parts")
    made = made_ratings(items=1300, count=4000)
    lines = [f"u{u},i{i},{r}" for u, i, r in zip(made.users, made.items, made.ratings, strict=True)]
    (folder / "ratings.csv").write_text("user,item,rating\n" + "\n".join(lines) + "\n")
    content = {
        "root": str(folder / "root"),
        "ingest": {"ratings": [str(folder / "ratings.csv")], "partition_ratings": 1500},
        "grid": {"shards": 3},
        "train": {"rank": 4, "epochs": 3},
        "gate": UNGATED_SECTION,
    }
    return run(Settings.build(content), until="export")


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet")) if path.is_file()
    }


def test_stages_write_the_same_bytes(made: RunResult, client: Client, tmp_path: Path) -> None:
    dataset, split = Dataset.published(made.paths["dataset"]), Split.published(made.paths["split"])
    assert dataset is not None
    assert split is not None
    assert len(dataset.parts) > 1
    model, found = made.paths["model"], []
    for name, is_in_parts in (("held", bool), ("parts", lambda: True)):
        folder = str(tmp_path / name)
        context = Context(client, Store(folder), print, name, reads_model_in_parts=is_in_parts)
        recommend(context, dataset, split, model, RecommendSettings(count=7, batch_users=20), folder)
        similar(context, model, 5, folder)
        scores = ranking(context, dataset, split, model, RankingSettings(count=5, also=(2, 20), users=0), folder)
        found.append((all_bytes(Path(folder)), scores))
    assert found[0] == found[1]
    assert len(found[0][0]) > 3
    assert found[0][1]["users"] > 0


def test_both_forms_of_a_model_have_the_same_rows(made: RunResult) -> None:
    folder = made.paths["model"]
    held = read_served_model(ModelParts.of(folder, read_about(folder)), held=True)
    read = ServedModel.of_files(folder)
    assert held.held is not None
    assert read.held is None
    users = np.array([5, 0, 11, 5], np.int32)
    for wanted in (users, users[:0]):
        one, other = held.user_rows(wanted), read.user_rows(wanted)
        np.testing.assert_array_equal(one.factors, other.factors)
        np.testing.assert_array_equal(one.scores, other.scores)
        assert one.ids.equals(other.ids)
        assert held.item_ids(wanted).equals(read.item_ids(wanted))
    (whole,), shards = held.item_shards(), list(read.item_shards())
    assert len(shards) == 3
    np.testing.assert_array_equal(np.concatenate(shards), whole)


def test_a_damaged_part_is_named(made: RunResult, tmp_path: Path) -> None:
    parts = ModelParts.of(made.paths["model"], read_about(made.paths["model"]))
    url = str(tmp_path / "part.00001.parquet")
    files.write_bytes(url, files.read_bytes(parts.items[1][0])[:-1])
    places = (parts.items[0], (url, parts.items[1][1]), parts.items[2])
    with pytest.raises(DamagedFile, match=r"part\.00001\.parquet: .* do not match checksum"):
        list(ServedModel(ModelParts(**{**vars(parts), "items": places})).item_shards())


def work(shards: int, streamed: bool = False) -> Workload:
    size = Size(4 * MILLION, MILLION, MILLION, raw_bytes=0)
    return Workload(size, 64, shards, workers=1, threads=2, streamed=streamed)


@pytest.mark.parametrize(("memory", "in_parts"), [(4 * GIB, False), (5 * GIB // 4, True)])
def test_a_worker_holds_the_model_if_it_fits(memory: int, in_parts: bool) -> None:
    allowance = Allowance(1, 2, memory, "root")
    need = choose_serving(work(16), 100, 20_000, MILLION, allowance)
    assert need.in_parts is in_parts
    assert need == predict_serving(work(16, in_parts), 100, 20_000, MILLION)
    assert allowance.fits(*need.both)


def test_smaller_parts_need_less() -> None:
    few, many = (predict_serving(work(shards, True), 100, 20_000, MILLION).worker_bytes for shards in (4, 16))
    assert many < few < predict_serving(work(4), 100, 20_000, MILLION).worker_bytes


@pytest.mark.parametrize(("shards", "in_parts", "measured"), [(4, True, 611), (4, False, 594), (16, True, 551)])
def test_similar_items_of_a_catalogue_as_measured(shards: int, in_parts: bool, measured: int) -> None:
    """The resident size of a worker in MiB: 50 items for each of 300,000, rank 64, two threads."""
    size = Size(1_200_000, 300_000, 300_000, raw_bytes=0)
    of = Workload(size, 64, shards, workers=1, threads=2, streamed=in_parts)
    assert measured <= predict_similar(of, 50).worker_bytes / 2**20 < 1.25 * measured
    assert predict_similar(of, 100).worker_bytes > predict_similar(of, 50).worker_bytes + 2 * 20_000 * 50 * 8


def test_the_larger_of_lists_for_users_and_for_items_counts() -> None:
    allowance = Allowance(1, 2, 64 * GIB, "root")
    users, items = predict_serving(work(4), 10, 20_000, MILLION), predict_similar(work(4), 1_000)
    assert choose_serving(work(4), 10, 20_000, MILLION, allowance, 1_000) == items
    assert items.worker_bytes > users.worker_bytes
    assert choose_serving(work(4), 10, 20_000, MILLION, allowance) == users
    assert choose_serving(work(4), 0, 20_000, MILLION, allowance, 10) == predict_similar(work(4), 10)


def test_a_file_is_read_in_batches(tmp_path: Path) -> None:
    table = pa.table({"bias": np.arange(10, dtype=np.float32), "other": np.arange(10)})
    url = str(tmp_path / "table.parquet")
    checksum = files.write_table(url, table)
    found = list(files.read_batches(url, ["bias"], checksum, 4))
    assert [each.num_rows for each in found] == [4, 4, 2]
    assert pa.concat_tables(found).equals(table.select(["bias"]))


def test_parts_as_large_as_the_model_are_not_read_one_by_one() -> None:
    """Two threads that each read all of a side need more than a worker that holds both once."""
    assert not choose_serving(work(1), 100, 20_000, MILLION, Allowance(1, 2, GIB // 2, "root")).in_parts
