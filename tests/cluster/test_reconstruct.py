"""The whole matrix A_ρ, written piece by piece and as a lazy array, beside the model in memory.

Covers: pipeline/stages/reconstruct.py, pipeline/models/row_pieces.py and pipeline/models/lazy_array.py,
tasks/storage/zarr_arrays.py, and `funkflow reconstruct`.
Does not cover: the products (test_low_rank.py).
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import zarr
from conftest import Heard
from factorised import model_of, saved_in_parts
from hypothesis import given
from hypothesis import strategies as st
from program import CHECKOUT, funkflow, funkflow_anew
from sessions import only_long

from funkflow import Model, reconstruction
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import Noticed, StageFinished
from funkflow.pipeline.root.store import SCRATCH
from funkflow.pipeline.stages.reconstruct import Form, ReconstructOptions, reconstruct
from funkflow.pipeline.stages.spectrum import spectrum
from funkflow.tasks.errors import BadInput, CannotFit, SettingsError
from funkflow.tasks.model.pieces import cut_rows

ROW_BYTES = 17 * 4
PIECE = 7 * ROW_BYTES
"""Seven of 40 rows: pieces that end within parts, and a last one that is shorter."""


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return saved_in_parts(model_of(np.random.default_rng(6)), str(tmp_path / "model"), 3)


def read(folder: Path, form: Form) -> tuple[npt.NDArray[Any], list[Any], list[Any]]:
    """The matrix that was written, and the raw ids of its rows and columns."""
    if form == "zarr":
        group = zarr.open_group(str(folder / "reconstruction.zarr"), mode="r")
        return np.asarray(group["ratings"]), np.asarray(group["user"]).tolist(), np.asarray(group["item"]).tolist()
    rows = pd.read_parquet(folder / "reconstruction.parquet")
    items = pd.read_parquet(folder / "items.parquet")["raw_id"].tolist()
    return np.stack(rows["ratings"].to_list()), rows["raw_id"].tolist(), items


@pytest.mark.parametrize("form", ["parquet", "zarr"])
@pytest.mark.parametrize(("rank", "clip"), [(None, True), (2, True), (0, False)])
def test_what_is_written_is_the_model(
    tmp_path: Path, model: Model, context: Context, form: Form, rank: int | None, clip: bool
) -> None:
    reconstruct(context, str(tmp_path / "model"), str(tmp_path / "out"), ReconstructOptions(form, rank, clip, PIECE))
    made, users, items = read(tmp_path / "out", form)
    np.testing.assert_allclose(made, model.reconstruct(rank=rank, clip=clip), atol=1e-5)
    assert users == model.user_ids.tolist()
    assert items == model.item_ids.tolist()
    assert not (tmp_path / "out" / SCRATCH).exists()


def test_text_ids_and_a_spectrum_that_is_there_already(tmp_path: Path, context: Context) -> None:
    model = saved_in_parts(model_of(np.random.default_rng(7), text_ids=True), str(tmp_path / "model"), 2)
    spectrum(context, str(tmp_path / "model"))
    reconstruct(
        context, str(tmp_path / "model"), str(tmp_path / "out"), ReconstructOptions("zarr", 3, piece_bytes=PIECE)
    )
    made, users, items = read(tmp_path / "out", "zarr")
    np.testing.assert_allclose(made, model.reconstruct(rank=3), atol=1e-5)
    assert (users, items) == (model.user_ids.tolist(), model.item_ids.tolist())


@pytest.mark.parametrize("rank", [None, 2])
def test_the_lazy_array_is_the_model(tmp_path: Path, model: Model, rank: int | None) -> None:
    lazy = reconstruction(str(tmp_path / "model"), rank, piece_bytes=PIECE)
    assert (lazy.shape, lazy.dtype, lazy.numblocks) == ((40, 17), np.float32, (6, 1))
    expected = model.reconstruct(rank=rank)
    np.testing.assert_allclose(lazy.compute(scheduler="synchronous"), expected, atol=1e-5)
    part = lazy[12:16, ::5].mean(axis=0)
    np.testing.assert_allclose(part.compute(scheduler="threads"), expected[12:16, ::5].mean(axis=0), atol=1e-5)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(1, 15))
def test_pieces_have_every_row_once_and_in_order(counts: list[int], rows: int) -> None:
    cuts = cut_rows(counts, rows)
    found = [(part, row) for cut in cuts for part, first, after in cut.slices for row in range(first, after)]
    assert found == [(part, row) for part, count in enumerate(counts) for row in range(count)]
    assert all(cut.rows == sum(after - first for _, first, after in cut.slices) for cut in cuts)
    assert all(cut.rows == rows for cut in cuts[:-1])
    assert [cut.start for cut in cuts] == [number * rows for number in range(len(cuts))]


MARKER = "[0-9]" * 6 + ".json"
"""A marker's name: what the kill left half-written stands under another one."""

KILLED = """
import os, signal, sys
from funkflow import Settings
from funkflow.pipeline.running import saved_model
from funkflow.pipeline.progress.events import StageAdvanced
from funkflow.pipeline.stages.reconstruct import ReconstructOptions

def stop(event):
    if isinstance(event, StageAdvanced) and event.doing == "write-piece" and event.done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    settings, (model, out, form, size) = Settings.build({"cluster": {"threads": 1}}), sys.argv[1:]
    options = ReconstructOptions(form, piece_bytes=int(size))
    saved_model.reconstruct_with(settings, model, out, options, listeners=[stop])
"""


@pytest.mark.parametrize("form", ["parquet", only_long("zarr")])
def test_a_killed_one_goes_on_from_the_pieces_that_are_there(
    tmp_path: Path, model: Model, heard: Heard, form: Form
) -> None:
    folder, script = tmp_path / "out", tmp_path / "killed.py"
    script.write_text(KILLED)
    words = [sys.executable, str(script), str(tmp_path / "model"), str(folder), form, str(ROW_BYTES)]
    done = subprocess.run(
        words, check=False, capture_output=True, timeout=120, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    markers = list((folder / SCRATCH).glob(MARKER))
    assert len(markers) >= 3
    before = {path: (folder / path).stat().st_mtime_ns for marker in markers for path in json.loads(marker.read_text())}
    (cut_short, _), *_ = before.items()
    (folder / cut_short).write_bytes(b"cut short")
    reconstruct(heard.context, str(tmp_path / "model"), str(folder), ReconstructOptions(form, piece_bytes=ROW_BYTES))
    kept = {path for path, written in before.items() if (folder / path).stat().st_mtime_ns == written}
    assert kept == set(before) - {cut_short}
    np.testing.assert_allclose(read(folder, form)[0], model.reconstruct(), atol=1e-5)
    (said,) = [event.message for event in heard.events if isinstance(event, Noticed)]
    assert "in 40 pieces" in said
    assert "already written" in said


def test_a_whole_one_is_kept_and_another_refused(tmp_path: Path, model: Model, heard: Heard) -> None:
    places = str(tmp_path / "model"), str(tmp_path / "out")
    for _ in range(2):
        reconstruct(heard.context, *places, ReconstructOptions(rank=2, piece_bytes=PIECE))
    assert [event.reused for event in heard.events if isinstance(event, StageFinished)] == [False, True]
    with pytest.raises(SettingsError, match="holds files other than this reconstruction; name another folder"):
        reconstruct(heard.context, *places, ReconstructOptions(rank=3, piece_bytes=PIECE))
    with pytest.raises(BadInput, match="rank 7: this model has rank 6"):
        reconstruct(heard.context, *places, ReconstructOptions(rank=7))


def test_what_no_disk_holds_is_refused_with_both_numbers(tmp_path: Path, context: Context) -> None:
    """A million users and items: 3.6 TiB of ratings from a model of 32 MB."""
    wide = model_of(np.random.default_rng(0), users=1_000_000, items=1_000_000, rank=1)
    saved_in_parts(wide, str(tmp_path / "model"), 1)
    with pytest.raises(CannotFit, match=r"needs 3\.64 TiB of disk, and .* is free; free some, name another folder"):
        reconstruct(context, str(tmp_path / "model"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_size_is_told_first(tmp_path: Path, model: Model, heard: Heard) -> None:
    reconstruct(heard.context, str(tmp_path / "model"), str(tmp_path / "out"), ReconstructOptions(piece_bytes=PIECE))
    told = heard.events[0]
    assert isinstance(told, Noticed)
    assert told.message.startswith(f"2.66 kiB in 6 pieces to {tmp_path / 'out'}; ")


def csv_of(words: list[str]) -> pd.DataFrame:
    done = funkflow("reconstruct", *words)
    assert done.returncode == 0, done.stderr
    return pd.read_csv(io.StringIO(done.stdout))


def test_the_command_prints_rows_columns_and_cells(tmp_path: Path, model: Model) -> None:
    words = ["--model", str(tmp_path / "model"), "--rank", "2"]
    block = csv_of([*words, "--user", "8", "--user", "5", "--item", "104"])
    assert block["user"].tolist() == [8, 5]
    np.testing.assert_allclose(block["104"], model.reconstruct([8, 5], [104], rank=2)[:, 0], atol=1e-4)
    assert csv_of([*words, "--user", "8"]).shape == (1, 18)
    assert csv_of([*words, "--item", "104"]).shape == (40, 2)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("user,item\n5,100\n8,104\n")
    cells = csv_of([*words, "--pairs", str(pairs), "--no-clip"])
    expected = model.reconstruct([5, 8], [100, 104], rank=2, clip=False, cells=True)
    np.testing.assert_allclose(cells["rating"], expected, atol=1e-4)


def test_the_command_writes_the_whole_matrix(tmp_path: Path, model: Model) -> None:
    out = tmp_path / "out"
    done = funkflow("reconstruct", "--model", str(tmp_path / "model"), "--out", str(out), "--form", "zarr", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == 40 * ROW_BYTES
    assert "2.66 kiB in 1 pieces" in done.stderr
    np.testing.assert_allclose(read(out, "zarr")[0], model.reconstruct(), atol=1e-5)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--user", "6"], 3, "user 6: this id is not in the model; leave it out"),
        (["--item", "x"], 2, "--item x: the ids of this model are integers"),
        (["--user", "5", "--rank", "9"], 3, "rank 9: this model has rank 6; give a whole number from 0 to 6"),
        ([], 2, "name a part (--user, --item or --pairs), or a folder for the whole matrix (--out)"),
        (["--user", "5", "--out", "x"], 2, "name a part (--user, --item or --pairs), or a folder"),
        (["--user", "5", "--pairs", "x"], 2, "--pairs names single cells; leave out --user and --item"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, model: Model, words: list[str], code: int, message: str) -> None:
    done = funkflow("reconstruct", "--model", str(tmp_path / "model"), *words)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert message in done.stderr


def test_zarr_that_is_not_installed_is_one_line(tmp_path: Path, model: Model) -> None:
    """A module of that name that cannot be imported stands before the real one."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "zarr.py").write_text("raise ImportError('not here')\n")
    words = ["--model", str(tmp_path / "model"), "--out", str(tmp_path / "out"), "--form", "zarr"]
    done = funkflow_anew("reconstruct", *words, PYTHONPATH=f"{tmp_path / 'hidden'}:{CHECKOUT}")
    assert done.returncode == 2
    assert done.stderr == "funkflow: --form zarr needs the package zarr: pip install 'funkflow[zarr]'\n"
