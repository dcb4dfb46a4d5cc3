"""Made ratings whose few greatest outweigh all others, and ratings that nothing can be learnt from.

Covers: CSV files of both. Does not cover: any check.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

USERS, ITEMS, COUNTS = 90, 50, 2_400


def counts(rows: int = COUNTS, seed: int = 1) -> pd.DataFrame:
    """Return user, item and how often they met: exp of a planted model, from 0 to some ten thousand."""
    rng = np.random.default_rng(seed)
    cells = rng.choice(USERS * ITEMS, size=rows, replace=False)
    users, items = cells // ITEMS, cells % ITEMS
    strength = rng.normal(1.5, 1.2, USERS)[users] + rng.normal(0.0, 1.2, ITEMS)[items]
    taste = 0.7 * rng.normal(size=USERS)[users] * rng.normal(size=ITEMS)[items]
    met = np.floor(np.exp(strength + taste + 0.3 * rng.normal(size=rows)))
    return pd.DataFrame({"user": users, "item": items, "rating": met})


def noise(rows: int = 900, seed: int = 2) -> pd.DataFrame:
    """Return ratings from 1 to 5 that have nothing to do with users or items."""
    rng = np.random.default_rng(seed)
    cells = rng.choice(USERS * ITEMS, size=rows, replace=False)
    return pd.DataFrame({"user": cells // ITEMS, "item": cells % ITEMS, "rating": rng.integers(1, 6, rows)})


def written(frame: pd.DataFrame, path: Path) -> str:
    """Write a table as CSV, and return where it lies."""
    frame.to_csv(path, index=False)
    return str(path)
