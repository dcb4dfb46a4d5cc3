"""A saved model as npz, safetensors and ONNX, read by the packages of these formats.

Covers: pipeline/models/saved_forms.py, tasks/model/forms/. Does not cover: the command (test_export_command.py).
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy
from safetensors import safe_open
from small_models import small_model

from chaos.object_store import ObjectStore
from funkflow.pipeline.models.saved_forms import FormName, write_form
from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.model.about import About
from funkflow.tasks.model.forms import onnx_graph
from funkflow.tasks.model.model import Model
from funkflow.tasks.storage import files

IDS = ["integer", "string"]


def saved(folder: Path, ids: str = "integer", **about: Any) -> Model:
    """Save a small model in two parts a side, and load it."""
    facts: About = {"run_id": "a" * 16, **about}  # type: ignore[typeddict-item]
    replace(small_model(ids), about=facts).save(str(folder / "model"), part_rows=3)
    return Model.load(str(folder / "model"))


def assert_numbers(model: Model, found: Any) -> None:
    for name in ("user_biases", "item_biases", "user_factors", "item_factors"):
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], getattr(model, name))


@pytest.mark.parametrize("ids", IDS)
def test_numpy_reads_the_npz_without_pickle(tmp_path: Path, ids: str) -> None:
    model, out = saved(tmp_path, ids, goal="ranking"), tmp_path / "model.npz"
    write_form(model.folder, "npz", str(out))
    with np.load(out, allow_pickle=False) as found:
        assert_numbers(model, found)
        for name in ("user_ids", "item_ids"):
            np.testing.assert_array_equal(found[name], getattr(model, name).astype(found[name].dtype))
            assert found[name].dtype.kind == ("U" if ids == "string" else "i")
        told = json.loads(str(found["metadata"]))
        assert float(found["mean"]) == model.mean == told["mean"]
    assert (told["run_id"], told["goal"], told["scale"], told["clip"]) == ("a" * 16, "ranking", [1.0, 5.0], False)
    first = out.read_bytes()
    write_form(model.folder, "npz", str(out))
    assert out.read_bytes() == first


@pytest.mark.parametrize("ids", IDS)
def test_safetensors_reads_numbers_ids_and_metadata(tmp_path: Path, ids: str) -> None:
    model, out = saved(tmp_path, ids), tmp_path / "new" / "model.safetensors"
    write_form(model.folder, "safetensors", str(out))
    with safe_open(out, framework="numpy") as file:
        assert_numbers(model, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        for name in ("user_ids", "item_ids"):
            if ids == "integer":
                found = file.get_tensor(name).tolist()
            else:
                ends, text = file.get_tensor(f"{name}_offsets"), file.get_tensor(f"{name}_utf8").tobytes()
                found = [text[a:b].decode() for a, b in pairwise(ends)]
            assert found == getattr(model, name).tolist()
        told = file.metadata()
    assert (told["goal"], told["clip"], json.loads(told["scale"])) == ("ratings", "true", [1.0, 5.0])
    assert float(told["mean"]) == model.mean


def scores(path: Path, users: Any, items: Any) -> Any:
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = {name: np.asarray(rows, np.int64) for name, rows in (("user", users), ("item", items))}
    (found,) = session.run(["score"], given)
    assert found.dtype == np.float32
    return found


def every_pair(model: Model) -> tuple[Any, Any, Any, Any]:
    """Return rows and raw ids of all pairs; row -1 is an id that the model does not have."""
    rows = [np.arange(-1, len(side)) for side in (model.user_ids, model.item_ids)]
    users, items = (side.ravel() for side in np.meshgrid(*rows, indexing="ij"))
    raw_users, raw_items = (
        np.where(side < 0, -1, ids[side]) for side, ids in ((users, model.user_ids), (items, model.item_ids))
    )
    return users, items, raw_users, raw_items


@pytest.mark.parametrize("about", [{}, {"goal": "ranking"}, {"transform": "log1p"}], ids=str)
def test_onnxruntime_scores_as_the_model_predicts(tmp_path: Path, about: dict[str, Any]) -> None:
    model, out = saved(tmp_path, **about), tmp_path / "model.onnx"
    users, items, raw_users, raw_items = every_pair(model)
    write_form(model.folder, "onnx", str(out))
    expected = model.predict(raw_users, raw_items, clip=about.get("goal") != "ranking")
    np.testing.assert_allclose(scores(out, users, items), expected, rtol=1e-5, atol=1e-5)
    assert not (tmp_path / "model.onnx.data").exists()
    with np.load(tmp_path / "model.onnx.ids.npz") as found:
        np.testing.assert_array_equal(found["user_ids"], model.user_ids)
    told = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert told["run_id"] == "a" * 16


def test_large_tables_lie_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, out = saved(tmp_path, "string"), tmp_path / "model.onnx"
    users, items, *_ = every_pair(model)
    write_form(model.folder, "onnx", str(out))
    inside = scores(out, users, items)
    whole = out.stat().st_size
    monkeypatch.setattr(onnx_graph, "INLINE_BYTES", 0)
    write_form(model.folder, "onnx", str(out))
    assert (tmp_path / "model.onnx.data").stat().st_size > out.stat().st_size
    assert out.stat().st_size < whole + 500
    np.testing.assert_array_equal(scores(out, users, items), inside)


def test_a_damaged_part_leaves_no_file(tmp_path: Path) -> None:
    model = saved(tmp_path)
    part = Path(model.folder) / "item_factors.parquet" / "part.00001.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    for form in get_args(FormName):
        with pytest.raises(DamagedFile, match=r"part\.00001"):
            write_form(model.folder, form, str(tmp_path / "out" / f"model.{form}"))
        assert not [each for each in (tmp_path / "out").glob("*") if not each.name.endswith(".ids.npz")]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder; name a file"):
        write_form(saved(tmp_path).folder, "npz", str(tmp_path))


def test_a_model_in_an_object_store_is_written_there(object_store: ObjectStore) -> None:
    root, model = object_store.new_root(), small_model("string")
    model.save(f"{root}/model", part_rows=3)
    for form in get_args(FormName):
        write_form(f"{root}/model", form, f"{root}/model.{form}")
    with np.load(io.BytesIO(files.read_bytes(f"{root}/model.npz"))) as found:
        assert_numbers(model, found)
    assert_numbers(model, safetensors.numpy.load(files.read_bytes(f"{root}/model.safetensors")))
    onnx.checker.check_model(onnx.load_from_string(files.read_bytes(f"{root}/model.onnx")))
