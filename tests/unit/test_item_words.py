"""Words of --rated as ratings.

Covers: several items in one word, with ratings and without, and ids that have commas and equals signs in them.
Does not cover: the command (test_recommend_command.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funkflow import Model
from funkflow.pipeline.models.item_words import ratings_in
from funkflow.tasks.errors import BadInput


def model_of(*items: object) -> Model:
    ids = np.array(items, dtype=None if isinstance(items[0], int) else object)
    zeros = np.zeros((len(ids), 1), np.float32)
    return Model(3.0, (1.0, 5.0), ids, ids, zeros[:, 0], zeros[:, 0], zeros, zeros)


@pytest.mark.parametrize(
    ("words", "ratings"),
    [
        (["12=5,34"], {12: 5.0, 34: 5.0}),
        (["34,12=2"], {34: 5.0, 12: 2.0}),
        (["12=1.5, 34=4", "56"], {12: 1.5, 34: 4.0, 56: 5.0}),
    ],
)
def test_a_word_may_name_several_items(words: list[str], ratings: dict[Any, float]) -> None:
    assert ratings_in(words, model_of(12, 34, 56)) == ratings


def test_an_id_with_a_comma_stays_whole() -> None:
    model = model_of("a,b", "c=d", "a")
    assert ratings_in(["a,b=2", "c=d"], model) == {"a,b": 2.0, "c=d": 5.0}
    assert ratings_in(["a=1,c=d=3"], model) == {"a": 1.0, "c=d": 3.0}


def test_a_rating_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadInput, match=r"'x' is not a number; write 12=4\.5, or 12 alone"):
        ratings_in(["12=x"], model_of(12))
