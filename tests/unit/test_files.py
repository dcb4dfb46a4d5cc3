"""Whole files, atomically, with checksums. Covers: tasks/storage/files.py. Does not cover: what is in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.storage import files, npy

DTYPES = st.sampled_from(["float32", "float64", "int32", "int64", "uint8", "bool"])


@given(
    array=DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)))
)
def test_an_array_comes_back_as_numpy_reads_it(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("array") / "array.npy"
    checksum = npy.write_array(str(path), array)
    back = npy.read_array(str(path), checksum)
    by_numpy = np.load(path)
    assert back.dtype == by_numpy.dtype
    assert back.shape == by_numpy.shape
    assert back.tobytes() == by_numpy.tobytes() == array.tobytes()
    assert not back.flags.writeable


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DamagedFile, match="not an npy file of numbers"):
        npy.read_array(str(path))


@pytest.mark.parametrize("cut", [4, 100, -3])
def test_an_array_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "array.npy"
    np.save(path, np.arange(10.0))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DamagedFile):
        npy.read_array(str(path))


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_bytes(str(path), b"before")
    with pytest.raises(TypeError):
        files.write_bytes(str(path), "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"before"
    assert files.names(str(tmp_path)) == ["file"]


@pytest.mark.parametrize("root", ["{tmp_path}", "memory://files"])
def test_every_kind_of_file_on_every_kind_of_store(tmp_path: Path, root: str) -> None:
    folder = root.format(tmp_path=tmp_path)
    table = pa.table({"a": [1, 2, 3]})
    checksum = files.write_table(files.join(folder, "deep", "table.parquet"), table)
    assert files.read_table(files.join(folder, "deep", "table.parquet"), expected_checksum=checksum).equals(table)
    files.write_json(files.join(folder, "content.json"), {"b": [1, None]})
    assert files.read_json(files.join(folder, "content.json")) == {"b": [1, None]}
    assert files.names(folder) == ["content.json", "deep"]
    files.remove_tree(files.join(folder, "deep"))
    assert files.names(folder) == ["content.json"]
    assert files.names(files.join(folder, "nowhere")) == []


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    checksum = files.write_table(str(path), pa.table({"a": [1]}))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFile, match=r"table\.parquet: \d+ bytes do not match checksum"):
        files.read_table(str(path), expected_checksum=checksum)
    with pytest.raises(DamagedFile, match="not a readable Parquet file"):
        files.read_table(str(path))
    with pytest.raises(DamagedFile, match="nowhere: the file is missing"):
        files.read_bytes(str(tmp_path / "nowhere"))
