"""The saved model: what other programs read, and predictions without Dask.

Covers: tasks/model/model.py. Does not cover: how a run exports it (test_flow.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_models import small_model

from funkflow.tasks.errors import BadInput, DamagedFile, SettingsError
from funkflow.tasks.model.model import Model


@pytest.mark.parametrize("ids", ["integer", "string"])
def test_a_saved_model_predicts_the_same(tmp_path: Path, ids: str) -> None:
    model = small_model(ids)
    model.save(str(tmp_path))
    loaded = Model.load(str(tmp_path))
    users, items = (side.ravel() for side in np.meshgrid(model.user_ids, model.item_ids))
    np.testing.assert_array_equal(loaded.predict(users, items), model.predict(users, items))
    assert loaded.about["rmse"] == 0.9
    assert loaded.rank == 3


def test_prediction_is_the_formula() -> None:
    model = small_model()
    expected = 3.5 + model.user_biases[2] + model.item_biases[1] + model.user_factors[2] @ model.item_factors[1]
    assert model.predict([14], [7], clip=False) == pytest.approx(expected, rel=1e-6)


def test_predictions_are_clipped_to_the_scale() -> None:
    model = small_model()
    users, items = (side.ravel() for side in np.meshgrid(model.user_ids, model.item_ids))
    raw = model.predict(users, items, clip=False)
    assert raw.min() < 1.0 or raw.max() > 5.0
    np.testing.assert_array_equal(model.predict(users, items), np.clip(raw, 1, 5))


def test_unseen_ids_fall_back_to_known_biases() -> None:
    model = small_model()
    known_user, known_item, neither = model.predict([7, -1, -1], [-1, 7, -1], clip=False)
    assert known_user == pytest.approx(3.5 + model.user_biases[1])
    assert known_item == pytest.approx(3.5 + model.item_biases[1])
    assert neither == 3.5


def test_many_pairs_equal_one_at_a_time() -> None:
    """More pairs than one batch holds."""
    model = small_model()
    rng = np.random.default_rng(0)
    users, items = rng.choice(model.user_ids, 70_000), rng.choice(model.item_ids, 70_000)
    together = model.predict(users, items)
    for place in (0, 65_535, 65_536, 69_999):
        assert together[place] == model.predict(users[place], items[place])[0]


@pytest.mark.parametrize(("ids", "asked"), [("integer", "7"), ("string", 7)])
def test_ids_of_the_other_kind_are_refused(ids: str, asked: object) -> None:
    """They would all be unseen, and the answers silently the mean."""
    with pytest.raises(BadInput, match=r"users such as .*7.* convert them"):
        small_model(ids).predict([asked], [asked])


def test_lists_that_differ_in_length_are_refused() -> None:
    with pytest.raises(BadInput, match="2 users but 1 items"):
        small_model().predict([0, 7], [0])


def test_the_tables_open_with_pandas(tmp_path: Path) -> None:
    model = small_model()
    model.save(str(tmp_path))
    table = pd.read_parquet(tmp_path / "user_factors.parquet")
    assert list(table.columns) == ["raw_id", "bias", "factors"]
    np.testing.assert_array_equal(np.stack(table["factors"].to_list()), model.user_factors)


@pytest.mark.parametrize("damage", ["flip", "missing", "version", "not json"])
def test_a_damaged_model_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    small_model().save(str(tmp_path))
    about, part = tmp_path / "model.json", tmp_path / "item_factors.parquet" / "part.00000.parquet"
    if damage == "flip":
        content = bytearray(part.read_bytes())
        content[60] ^= 1
        part.write_bytes(content)
    elif damage == "missing":
        part.unlink()
    elif damage == "version":
        about.write_text(json.dumps({**json.loads(about.read_text()), "format_version": 99}))
    else:
        about.write_text("{")
    culprit = "part.00000.parquet" if damage in ("flip", "missing") else "model.json"
    with pytest.raises(DamagedFile, match=culprit):
        Model.load(str(tmp_path))


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere: there is no model here"):
        Model.load(str(tmp_path / "nowhere"))


def test_predicting_imports_no_dask(tmp_path: Path) -> None:
    small_model().save(str(tmp_path))
    program = (
        "import sys; from funkflow import Model;"
        f"print(Model.load({str(tmp_path)!r}).predict([7], [7])[0]);"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('dask', 'distributed')))"
    )
    checkout = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=checkout)
    value, imported = done.stdout.splitlines()
    assert float(value) == small_model().predict([7], [7])[0]
    assert imported == "[]"
