"""The command `index`: an index of faiss beside exact lists of the model, and the message without faiss.

Covers: pipeline/commands/reconstruct.py, pipeline/models/item_index.py, tasks/storage/faiss_index.py.
Does not cover: the vectors (tests/unit/test_item_vectors.py).
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from program import SMALL, funkflow
from stand_in import funkflow as started

from funkflow import Model
from funkflow.tasks.storage import faiss_index, files

needs_faiss = pytest.mark.skipif(find_spec("faiss") is None, reason="makes an index of faiss")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("root")
    done = funkflow("export", "demo", "--root", str(root), *SMALL)
    assert done.returncode == 0, done.stderr
    (folder,) = root.glob("runs/*/model")
    return str(folder)


@needs_faiss
def test_a_search_finds_what_the_model_recommends(model: str, tmp_path: Path) -> None:
    out = tmp_path / "index"
    done = funkflow("index", "--model", model, "--out", str(out), "--recall", "1", "--users", "40", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    manifest = json.loads((out / "manifest.json").read_text())
    loaded = Model.load(model)
    assert manifest["recall"] == told["recall"] == {"10": 1.0, "100": 1.0}
    assert (manifest["items"], manifest["width"], manifest["biases"]) == (len(loaded.item_ids), 5, True)
    table = pq.read_table(out / "items.parquet")
    assert table["place"].to_pylist() == list(range(manifest["items"]))
    raw_ids = table["raw_id"].to_numpy()
    np.testing.assert_array_equal(raw_ids, loaded.item_ids)
    index = faiss_index.read_index(str(out / "items.faiss"), manifest["checksums"]["items.faiss"])
    assert (index.ntotal, index.nprobe) == (manifest["items"], manifest["probed"])
    query = np.append(loaded.user_factors[3], np.float32(1))[None]
    found = faiss_index.search_index(index, query, 10, index.nlist)[0]
    assert raw_ids[found].tolist() == loaded.recommend(loaded.user_ids[3], 10, exclude=()).items.tolist()


@needs_faiss
def test_faiss_makes_an_index_once(model: str, tmp_path: Path) -> None:
    words = ("index", "--model", model, "--out", str(tmp_path / "index"), "--users", "10")
    first = funkflow(*words)
    assert "recall@10" in first.stdout
    assert "ms a search" in first.stdout
    assert "ms a search" not in funkflow(*words).stdout
    files.write_bytes(str(tmp_path / "other" / "file"), b"")
    done = funkflow(*words[:-3], str(tmp_path / "other"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is not empty and holds no index" in done.stderr
    done = funkflow(*words[:-3], str(tmp_path / "other" / "file"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "other/file: is a file, or in one; name a folder" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--out is missing: name a folder for the index"),
        (["--out", "x", "--recall", "1.5"], "--recall 1.5: must be above 0 and at most 1"),
        (["--out", "x", "--users", "1"], "--users 1: half of them choose and half measure"),
    ],
)
def test_mistakes_are_one_line(words: list[str], said: str) -> None:
    done = funkflow("index", "--model", "nowhere", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_faiss_the_remedy_is_named() -> None:
    code = "import sys; sys.modules['faiss'] = None; from funkflow.pipeline.cli import run_program; run_program()"
    done = started("index", "--model", "nowhere", "--out", "x", code=code)
    assert done.returncode == 2
    assert done.stderr == "funkflow: funkflow index needs the package faiss: pip install 'funkflow[index]'\n"
