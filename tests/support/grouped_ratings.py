"""Ratings of users in groups, who rate their own group's items: a set whose rankings can be learnt.

Covers: the set, and writing ratings as CSV. Does not cover: what a ranking of them reaches (test_goal.py,
test_split_users.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

GROUPS, USERS, ITEMS = 5, 200, 60


def of_groups(path: Path) -> Path:
    """Users rate most of their own group's items, and hardly any other: what is most rated says little."""
    rng = np.random.default_rng(4)
    users, items = (each.ravel() for each in np.indices((USERS, ITEMS)))
    own = users % GROUPS == items % GROUPS
    kept = rng.random(len(users)) < np.where(own, 0.8, 0.03)
    return written(path, users[kept], items[kept], rng.integers(4, 6, kept.sum()))


def written(path: Path, users: Any, items: Any, ratings: Any) -> Path:
    pd.DataFrame({"user": users, "item": items, "rating": ratings}).to_csv(path, index=False)
    return path
