"""Items and their ratings as words of a command.

Covers: a word as a raw id of a model's items, and the words of --rated as ratings.
Does not cover: the commands (pipeline/commands/recommend.py), folding ratings in (tasks/model/fold/fold_in.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.items import Recommender
from funkflow.tasks.transform import as_ratings


def ratings_in(words: list[str], model: Recommender) -> dict[Any, float]:
    """Return the ratings that --rated gives, by raw id.

    An id may have commas and equals signs in it: a word is cut at commas only if it is not one item, alone or with a
    rating, which has no comma.
    """
    found: dict[Any, float] = {}
    for word in words:
        item, equals, text = word.rpartition("=")
        whole = _is_item(model, word) or (bool(equals) and "," not in text and _is_item(model, item))
        for each in [word] if whole else word.split(","):
            item, equals, text = (each, "", "") if _is_item(model, each) else each.rpartition("=")
            try:
                rating = float(text) if equals else greatest_rating(model, "--rated")
            except ValueError as cause:
                raise BadInput(
                    f"--rated {each}: {text!r} is not a number; write {item}=4.5, or {item} alone"
                ) from cause
            found[raw_item(model, (item if equals else each).strip())] = rating
    return found


def greatest_rating(model: Recommender, where: str) -> float:
    """Return the rating that an item without one counts as; `where` : what a refusal begins with."""
    if model.about.get("counts"):
        return 1.0
    if model.scale is None:
        raise BadInput(f"{where}: this model has no greatest rating; give a rating with each item")
    return float(as_ratings(np.array(model.scale[1]), model.transform))


def _is_item(model: Recommender, word: str) -> bool:
    try:
        raw_item(model, word.strip())
    except BadInput:
        return False
    return True


def raw_item(model: Recommender, word: str) -> Any:
    """Return a word as a raw id of the model's items."""
    if np.issubdtype(model.item_ids.dtype, np.integer):
        try:
            raw_id: Any = int(word)
        except ValueError as cause:
            raise BadInput(f"item {word!r}: the item ids of this model are integers; give one") from cause
    else:
        raw_id = word
    model.known_rows([raw_id], "items")
    return raw_id
