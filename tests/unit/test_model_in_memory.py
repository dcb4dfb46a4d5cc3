"""A model as NumPy arrays, Arrow tables and pandas frames.

Covers: tasks/model/forms/in_memory.py. Does not cover: files for other programs (test_model_files.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_models import small_model

from funkflow.tasks.model.model import Model
from funkflow.tasks.model.parts import factor_columns


@pytest.mark.parametrize("ids", ["integer", "string"])
def test_a_model_survives_arrow_and_pandas(ids: str) -> None:
    model = small_model(ids)
    again = [factor_columns(table, model.rank) for table in model.to_arrow()]
    frames = model.to_pandas()
    for side, frame, (raw_ids, biases, factors) in zip(("user", "item"), frames, again, strict=True):
        own = [getattr(model, f"{side}_{name}") for name in ("ids", "biases", "factors")]
        for one, other in zip(own, (raw_ids, biases, factors), strict=True):
            np.testing.assert_array_equal(one, other)
        assert frame.index.name == side
        np.testing.assert_array_equal(frame.index, own[0])
        assert list(frame.columns) == ["bias", "factor_0", "factor_1", "factor_2"]
        assert set(frame.dtypes) == {np.dtype(np.float32)}
        np.testing.assert_array_equal(frame.to_numpy(), np.column_stack(own[1:]))


def test_a_score_is_the_formula_over_the_arrays() -> None:
    model = small_model()
    of = model.to_numpy()
    scores = of.mean + of.user_biases[:, None] + of.item_biases + of.user_factors @ of.item_factors.T
    users, items = (side.ravel() for side in np.meshgrid(of.user_ids, of.item_ids, indexing="ij"))
    np.testing.assert_allclose(scores.ravel(), model.predict(users, items, clip=False), rtol=1e-6)


def test_numbers_are_not_copied() -> None:
    model = small_model()
    assert model.to_numpy().user_factors is model.user_factors
    users = model.to_arrow().users
    for name, own in (("raw_id", model.user_ids), ("bias", model.user_biases)):
        assert np.shares_memory(users[name].chunk(0).to_numpy(), own)
    assert np.shares_memory(users["factors"].chunk(0).values.to_numpy(), model.user_factors)
    factors = model.to_pandas().users.drop(columns="bias").to_numpy(copy=False)
    assert np.shares_memory(factors, model.user_factors)


def test_the_columns_are_those_of_the_files(tmp_path: Path) -> None:
    model = small_model("string")
    model.save(str(tmp_path))
    written = pq.read_table(tmp_path / "item_factors.parquet" / "part.00000.parquet")
    assert model.to_arrow().items.equals(written)
    loaded = Model.load(str(tmp_path)).to_pandas().items
    pd.testing.assert_frame_equal(loaded, model.to_pandas().items)
