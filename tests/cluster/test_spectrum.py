"""The spectrum of a saved model as made on Dask, part by part, beside the model in one piece.

Covers: pipeline/stages/spectrum.py and pipeline/stages/vectors.py, pipeline/models/canonical_graph.py, and the command
`funkflow spectrum`.
Does not cover: the arithmetic (test_canonical.py, test_low_rank.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Heard
from factorised import model_of, projector, saved_in_parts
from program import funkflow, overrides
from ungated import UNGATED

from funkflow import Model
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.models.canonical_graph import saved_rotations
from funkflow.pipeline.progress.events import StageFinished
from funkflow.pipeline.stages.spectrum import spectrum
from funkflow.pipeline.stages.vectors import write_canonical_vectors
from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.model.about import read_about


@pytest.mark.parametrize("fold_biases", [False, True])
@pytest.mark.parametrize("parts", [1, 3, 8])
def test_the_parts_come_to_the_models_own_svd(tmp_path: Path, context: Context, parts: int, fold_biases: bool) -> None:
    """Eight parts: of the 17 items, and of users fewer in a part than there are factors."""
    model = saved_in_parts(model_of(np.random.default_rng(1)), str(tmp_path), parts)
    manifest = spectrum(context, str(tmp_path), fold_biases=fold_biases)
    U, s, Vt = model.svd(fold_biases)
    table = pd.read_parquet(tmp_path / manifest.table)
    np.testing.assert_allclose(table["singular_value"], s, rtol=1e-10)
    assert table["cumulative_energy"].iloc[-1] == pytest.approx(1.0)
    assert table["rmse"].isna().all()
    rotations = saved_rotations(str(tmp_path), read_about(str(tmp_path)), fold_biases)
    assert rotations is not None
    if not fold_biases:
        np.testing.assert_allclose(model.user_factors @ rotations.users, U * s, atol=1e-9 * s[0])
        np.testing.assert_allclose(model.item_factors @ rotations.items, Vt.T * s, atol=1e-9 * s[0])


@pytest.mark.parametrize("fold_biases", [False, True])
@pytest.mark.parametrize("balanced", [False, True])
def test_written_vectors_are_the_models(tmp_path: Path, context: Context, balanced: bool, fold_biases: bool) -> None:
    model = saved_in_parts(model_of(np.random.default_rng(2), text_ids=True), str(tmp_path / "model"), 3)
    manifest = write_canonical_vectors(context, str(tmp_path / "model"), str(tmp_path / "out"), fold_biases, balanced)
    users, items = (pd.read_parquet(tmp_path / "out" / f"{side}_vectors.parquet") for side in ("user", "item"))
    left, right = (np.stack(side["vector"].to_list()) for side in (users, items))
    U, s, Vt = model.svd(fold_biases)
    stretch = np.sqrt(s) if balanced else np.ones(len(s))
    assert users["raw_id"].tolist() == model.user_ids.tolist()
    assert items["raw_id"].tolist() == model.item_ids.tolist()
    np.testing.assert_allclose(manifest.singular_values, s, rtol=1e-10)
    np.testing.assert_allclose(left, U * stretch, atol=1e-10 * stretch[0])
    np.testing.assert_allclose(right, Vt.T * stretch, atol=1e-10 * stretch[0])


def test_vectors_are_orthonormal_where_the_rank_is_not_full(tmp_path: Path, context: Context) -> None:
    model = model_of(np.random.default_rng(3))
    model.user_factors[:, 3:] = model.user_factors[:, :3]
    saved_in_parts(model, str(tmp_path / "model"), 4)
    write_canonical_vectors(context, str(tmp_path / "model"), str(tmp_path / "out"))
    for side in ("user", "item"):
        rows = np.stack(pd.read_parquet(tmp_path / "out" / f"{side}_vectors.parquet")["vector"].to_list())
        np.testing.assert_allclose(projector(rows.T), np.eye(6), atol=1e-12)


def test_a_spectrum_is_kept_until_the_model_changes(tmp_path: Path, heard: Heard) -> None:
    model = model_of(np.random.default_rng(4))
    reused = []
    for rank in (6, 6, 5):
        saved_in_parts(model_of(np.random.default_rng(4), rank=rank) if rank < 6 else model, str(tmp_path), 2)
        spectrum(heard.context, str(tmp_path))
        (event,) = [event for event in heard.events if isinstance(event, StageFinished)]
        heard.events.clear()
        reused.append(event.reused)
    assert reused == [False, True, False]
    assert len(pd.read_parquet(tmp_path / "spectrum.parquet")) == 5


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, context: Context) -> None:
    saved_in_parts(model_of(np.random.default_rng(4)), str(tmp_path / "model"), 2)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="holds files other than these vectors; name another folder"):
        write_canonical_vectors(context, str(tmp_path / "model"), str(tmp_path))


def test_a_model_of_zeros_has_no_spectrum(tmp_path: Path, context: Context) -> None:
    model = model_of(np.random.default_rng(4))
    model.user_factors[:] = 0.0
    saved_in_parts(model, str(tmp_path), 2)
    with pytest.raises(BadInput, match="a matrix of zeros, which has no directions; train a model first"):
        spectrum(context, str(tmp_path))
    assert not (tmp_path / "spectrum.parquet").exists()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, Any]]:
    """The words of a small run's command, and its result."""
    root = tmp_path_factory.mktemp("root")
    words = [
        "demo",
        "--root",
        str(root),
        *overrides("synth.fraction=0.02", "train.rank=6", "train.epochs=6", UNGATED),
        "--json",
    ]
    done = funkflow("run", *words)
    assert done.returncode == 0, done.stderr
    return words, json.loads(done.stdout.splitlines()[-1])


def test_a_run_writes_the_spectrum_with_the_errors_of_every_rank(ran: tuple[list[str], dict[str, Any]]) -> None:
    """At full rank the errors are those of evaluate, which has other code; below, those of cells made one by one."""
    result = ran[1]
    folder = Path(result["paths"]["model"])
    table = pd.read_parquet(folder / "spectrum.parquet")
    assert table["rmse"].iloc[-1] == pytest.approx(result["rmse"], rel=1e-6)
    assert table["mae"].iloc[-1] == pytest.approx(result["mae"], rel=1e-6)
    split, dataset = Path(result["paths"]["split"]), Path(result["paths"]["dataset"])
    held_out = pd.read_parquet(split / "validation")
    model = Model.load(str(folder))
    users, items = (pd.read_parquet(dataset / f"{side}.parquet")["raw_id"].to_numpy() for side in ("users", "items"))
    known = held_out[(held_out["user"] >= 0) & (held_out["item"] >= 0)]
    assert len(known) == len(held_out)
    pairs = users[known["user"]], items[known["item"]]
    moved = model.predict(*pairs, clip=False, times=known["timestamp"]) - model.predict(*pairs, clip=False)
    for rank in (1, 3):
        made = np.clip(model.reconstruct(*pairs, rank=rank, cells=True, clip=False) + moved, 1.0, 5.0)
        rmse = np.sqrt(np.mean((made - known["rating"]) ** 2))
        assert table["rmse"].iloc[rank - 1] == pytest.approx(rmse, rel=1e-6)


def test_the_command_prints_what_the_file_holds(ran: tuple[list[str], dict[str, Any]], tmp_path: Path) -> None:
    words, result = ran
    folder = Path(result["paths"]["model"])
    done = funkflow("spectrum", "--model", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout.splitlines()[-1])
    assert printed["ranks"] == pd.read_parquet(folder / "spectrum.parquet").to_dict(orient="records")
    assert (printed["of"], printed["split"]) == ("U Vᵀ", "probe.txt")
    out = str(tmp_path / "vectors")
    whole = funkflow("spectrum", *words, "--fold-biases", "--vectors", out)
    assert whole.returncode == 0, whole.stderr
    ranks = json.loads(whole.stdout.splitlines()[-1])["ranks"]
    assert [row["rank"] for row in ranks] == list(range(1, 9))
    assert ranks[-1]["rmse"] == pytest.approx(result["rmse"], rel=1e-6)
    assert len(pd.read_parquet(f"{out}/user_vectors.parquet")["vector"].iloc[0]) == 8
    table = funkflow("spectrum", "--model", str(folder))
    assert "spectrum of U Vᵀ, validation: probe.txt" in table.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "nowhere"], "nowhere: there is no model here (no model.json)"),
        (["demo", "--model", "nowhere"], "--model takes the place of CONF"),
        (["--model", "nowhere", "--balanced"], "--balanced goes with --vectors"),
        ([], "nothing to run: name a settings file or preset"),
    ],
)
def test_errors_of_the_command_are_one_line(words: list[str], message: str) -> None:
    done = funkflow("spectrum", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
