"""A model mapped into memory: its answers are those of the model in memory, exactly, whoever else is asked about.

Covers: tasks/serving/mapped_model.py, tasks/serving/mapped_files.py, tasks/serving/id_rows.py and
pipeline/models/mapped.py, on models in parts.
Does not cover: rated items of real data, and requests over HTTP (test_serve.py).
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from factorised import model_of, saved_in_parts
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.pipeline.models import mapped as mapped_files
from funkflow.pipeline.models.mapped import map_model
from funkflow.tasks.errors import BadInput, DamagedFile, SettingsError, UnknownId
from funkflow.tasks.model.model import Model
from funkflow.tasks.serving import mapped_files as tasks_files
from funkflow.tasks.serving import mapped_model
from funkflow.tasks.serving.mapped_model import MappedModel
from funkflow.tasks.storage.npy import map_array, write_array


def both(folder: Path, text_ids: bool = False, users: int = 30, items: int = 90) -> tuple[Model, MappedModel]:
    made = model_of(np.random.default_rng(3), users, items, text_ids=text_ids)
    saved = saved_in_parts(made, str(folder), 3)
    return saved, map_model(str(folder)).model


@pytest.mark.parametrize("text_ids", [False, True])
def test_recommendations_are_the_highest_predictions(tmp_path: Path, text_ids: bool) -> None:
    model, mapped = both(tmp_path, text_ids)
    for user in model.user_ids.tolist():
        (best,) = mapped.recommend_rows([mapped.users.row(user)], [7])
        items, scores = model.recommend(user, 7, exclude=())
        assert mapped.items.at(best.items) == items.tolist()
        np.testing.assert_allclose(best.scores, scores, rtol=1e-6)
        np.testing.assert_allclose(best.scores, model.predict([user] * 7, items, clip=False), rtol=1e-12)


@settings(max_examples=examples(20), deadline=None)
@given(rows=st.lists(st.integers(0, 29), min_size=1, max_size=12), count=st.integers(1, 95))
def test_an_answer_does_not_depend_on_its_batch(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int], count: int
) -> None:
    _, mapped = both(tmp_path_factory.mktemp("model"))
    for row, best in zip(rows, mapped.recommend_rows(rows, [count] * len(rows)), strict=True):
        (alone,) = mapped.recommend_rows([row], [count])
        assert best.items.tolist() == alone.items.tolist()
        assert best.scores.tolist() == alone.scores.tolist()


def test_where_float32_cannot_tell_all_scores_are_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly equal items: with nothing beyond those that are asked for, the order of float32 would be another."""
    made = model_of(np.random.default_rng(3), 5, 400)
    made.item_factors[:] = made.item_factors[0] * (1 + 1e-7 * np.arange(400)[:, None]).astype(np.float32)
    made.item_biases[:] = 0
    model = saved_in_parts(made, str(tmp_path), 2)
    mapped = map_model(str(tmp_path)).model
    monkeypatch.setattr(mapped_model, "_MORE", 0)
    for row, user in enumerate(model.user_ids.tolist()):
        (best,) = mapped.recommend_rows([row], [9])
        exact = model.item_factors.astype(np.float64) @ model.user_factors[row].astype(np.float64)
        np.testing.assert_allclose(
            best.scores - model.mean - model.user_biases[row], np.sort(exact)[::-1][:9], rtol=1e-9
        )
        assert mapped.users.row(user) == row


def test_similar_items_are_those_of_the_model(tmp_path: Path) -> None:
    made = model_of(np.random.default_rng(3), 10, 60)
    made.item_factors[7] = 0
    model = saved_in_parts(made, str(tmp_path), 3)
    mapped = map_model(str(tmp_path)).model
    untrained = int(made.item_ids[7])
    for item in model.item_ids.tolist():
        if item == untrained:
            with pytest.raises(BadInput, match="no training ratings"):
                mapped.similar_rows(mapped.items.row(item), 5)
            continue
        found, (items, cosines) = mapped.similar_rows(mapped.items.row(item), 60), model.similar(item, 60)
        assert mapped.items.at(found.items) == items.tolist()
        assert untrained not in items
        np.testing.assert_allclose(found.cosines, cosines, rtol=1e-12)


def test_predictions_are_those_of_the_model(tmp_path: Path) -> None:
    model, mapped = both(tmp_path)
    users, items = [0, 4, -1, 3], [2, -1, 5, 80]
    raw_users, raw_items = (
        [int(ids[row]) if row >= 0 else -7 for row in rows]
        for ids, rows in ((model.user_ids, users), (model.item_ids, items))
    )
    np.testing.assert_allclose(mapped.predict_rows(users, items), model.predict(raw_users, raw_items), rtol=1e-12)


@pytest.mark.parametrize("text_ids", [False, True])
def test_an_id_leads_to_its_row_and_back(tmp_path: Path, text_ids: bool) -> None:
    model, mapped = both(tmp_path, text_ids)
    for ids, rows in ((model.user_ids, mapped.users), (model.item_ids, mapped.items)):
        every = ids.tolist()
        assert [rows.row(each) for each in every] == list(range(len(every)))
        assert rows.at(np.arange(len(every))) == every
        assert rows.find("id 999" if text_ids else 10**30) == -1
        assert rows.find("" if text_ids else -1) == -1
    if not text_ids:
        assert mapped.users.plain("5") == 5


def test_an_id_that_is_not_there_or_of_another_kind_is_one_line(tmp_path: Path) -> None:
    _, mapped = both(tmp_path / "integers")
    _, of_texts = both(tmp_path / "texts", text_ids=True)
    with pytest.raises(UnknownId, match="user 6: this id is not in the model"):
        mapped.users.row("6")
    for wrong in ("six", "6.0", " 6", "٦", "a\nb" * 40):
        with pytest.raises(BadInput, match="the user ids of this model are integers") as raised:
            mapped.users.row(wrong)
        assert len(raised.value.message.splitlines()) == 1
    with pytest.raises(BadInput, match="the item ids of this model are texts"):
        of_texts.items.row(6)


def test_arrays_are_written_once_and_again_for_another_model(tmp_path: Path) -> None:
    model, _ = both(tmp_path)
    written = tmp_path / "mapped" / "items.npy"
    before = written.stat().st_mtime_ns
    mapped = map_model(str(tmp_path))
    assert (written.stat().st_mtime_ns, mapped.knows_rated) == (before, False)
    saved_in_parts(model_of(np.random.default_rng(4), 12, 8), str(tmp_path), 2)
    assert map_model(str(tmp_path)).model.columns.shape == (7, 8)
    assert mapped.model.columns.shape == (7, 90)  # the old pages stay while they are in use
    np.testing.assert_array_equal(mapped.model.user_factors, model.user_factors)


def test_two_processes_that_begin_at_once_write_one_set(tmp_path: Path) -> None:
    saved_in_parts(model_of(np.random.default_rng(3)), str(tmp_path), 3)
    threads = [threading.Thread(target=map_model, args=(str(tmp_path),)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert map_model(str(tmp_path)).model.columns.shape == (7, 17)


def test_arrays_of_a_large_model_are_written_by_a_process_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = saved_in_parts(model_of(np.random.default_rng(3)), str(tmp_path), 3)
    monkeypatch.setattr(mapped_files, "_APART_BYTES", 0)
    monkeypatch.setattr(tasks_files, "write_ids", None)  # in this process
    np.testing.assert_array_equal(map_model(str(tmp_path)).model.user_factors, model.user_factors)
    part = next((tmp_path / "item_factors.parquet").iterdir())
    part.write_bytes(part.read_bytes()[:-1] + b"!")
    (tmp_path / "mapped" / "manifest.json").unlink()
    with pytest.raises(DamagedFile, match="do not match checksum"):
        map_model(str(tmp_path))


def test_arrays_may_lie_elsewhere(tmp_path: Path) -> None:
    saved_in_parts(model_of(np.random.default_rng(3)), str(tmp_path / "model"), 3)
    mapped = map_model(str(tmp_path / "model"), str(tmp_path / "arrays"))
    assert (tmp_path / "arrays" / mapped.id / "items.npy").exists()
    assert not (tmp_path / "model" / "mapped").exists()


def test_a_model_in_a_store_needs_a_local_folder(tmp_path: Path) -> None:
    made = model_of(np.random.default_rng(3))
    made.save("memory://models/one")
    with pytest.raises(SettingsError, match="name a local folder for the model's arrays with --mapped"):
        map_model("memory://models/one")
    assert map_model("memory://models/one", str(tmp_path)).model.columns.shape == (7, 17)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    saved_in_parts(model_of(np.random.default_rng(3)), str(tmp_path / "model"), 3)
    with pytest.raises(SettingsError, match=r"cannot be written there .*; name a local folder for them with --mapped"):
        map_model(str(tmp_path / "model"), "/proc/arrays")


@pytest.mark.parametrize("cut", [0, 20, 130])
def test_a_mapped_file_that_was_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.npy"
    write_array(str(path), np.arange(40, dtype=np.float32))
    np.testing.assert_array_equal(map_array(str(path)), np.arange(40))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DamagedFile):
        map_array(str(path))
    with pytest.raises(DamagedFile, match="cannot be read"):
        map_array(str(tmp_path / "gone.npy"))
