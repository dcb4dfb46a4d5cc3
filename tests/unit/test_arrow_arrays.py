"""Columns between Arrow and NumPy are those of `pa.array` and `to_numpy`.

Covers: tasks/storage/arrow_arrays.py. Does not cover: that it loads no pandas (test_start.py).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from funkflow.tasks.storage.arrow_arrays import as_column, as_texts, numbers_of


@pytest.mark.parametrize("kind", ["int16", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("step", [1, 3])
def test_numbers_go_there_and_back(kind: str, step: int) -> None:
    numbers = np.arange(12).astype(kind)[::step]
    column = as_column(numbers)
    assert column.equals(pa.array(numbers))
    for each in (column, column.slice(1, 2), column.slice(0, 0)):
        for whole in (
            each,
            pa.chunked_array([each]),
            pa.chunked_array([each, column]),
            pa.chunked_array([], each.type),
        ):
            back = numbers_of(whole)
            assert back.dtype == numbers.dtype
            np.testing.assert_array_equal(back, whole.to_numpy())


def test_a_null_is_no_number() -> None:
    with pytest.raises(pa.ArrowTypeError):
        numbers_of(pa.array([1, None]))


@pytest.mark.parametrize("texts", [[], [""], ["a", "", "Zürich", "日本"]])
def test_texts_become_a_column(texts: list[str]) -> None:
    assert as_texts(texts).equals(pa.array(texts, pa.large_string()))


def test_a_text_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        as_texts(["\udc80"])
