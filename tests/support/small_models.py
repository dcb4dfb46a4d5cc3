"""A model in memory, small enough to check by hand.

Covers: random numbers with ids of either kind. Does not cover: models of a run (factorised.py).
"""

from __future__ import annotations

import numpy as np

from funkflow.tasks.model.about import About
from funkflow.tasks.model.model import Model


def small_model(ids: str = "integer") -> Model:
    """Return a model of 5 users, 4 items and rank 3; `ids` : "integer", or "string" for texts."""
    rng = np.random.default_rng(1)
    users, items = (np.arange(count, dtype=np.int64) * 7 for count in (5, 4))
    if ids == "string":
        users, items = (np.array([f"id {each}" for each in side], dtype=object) for side in (users, items))
    user_biases, item_biases = (rng.normal(size=count).astype(np.float32) for count in (5, 4))
    user_factors, item_factors = (rng.normal(size=(count, 3)).astype(np.float32) for count in (5, 4))
    about: About = {"rmse": 0.9}
    return Model(3.5, (1.0, 5.0), users, items, user_biases, item_biases, user_factors, item_factors, about)
