"""Texts hash as pandas hashes them, whatever their letters and lengths.

Covers: tasks/parsing/text_hash.py. Does not cover: buckets (test_ids.py).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funkflow.tasks.parsing import text_hash
from funkflow.tasks.parsing.ids import hash_ids
from funkflow.tasks.parsing.text_hash import hash_texts

TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=20) | st.integers(0, 40).map("x".__mul__), max_size=30)


def by_pandas(texts: list[str]) -> list[int]:
    found: list[int] = pd.util.hash_array(np.array(texts, object), categorize=False).tolist() if texts else []
    return found


@given(TEXTS, st.integers(0, 5))
def test_hashes_are_those_of_pandas(texts: list[str], first: int) -> None:
    assert hash_texts(pa.array(texts, pa.string()).slice(first)).tolist() == by_pandas(texts[first:])


def test_many_texts_are_hashed_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_hash, "_PIECE", 7)
    texts = [f"{'user' * (n % 5)}{n}" for n in range(100)]
    assert hash_texts(pa.array(texts)).tolist() == by_pandas(texts)


def test_chunks_hash_as_one() -> None:
    chunks = pa.chunked_array([["a", "bc"], [], ["d" * 9]], pa.string())
    assert hash_ids(chunks).tolist() == hash_ids(chunks.combine_chunks()).tolist()
