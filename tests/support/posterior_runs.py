"""A small run that draws from the posterior of planted ratings and keeps draws.

Covers: its ratings, its settings, and one run for the tests of a module.
Does not cover: what is asserted (tests/cluster/test_intervals.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from distributed import Client
from growing_ratings import address_of
from ungated import UNGATED_SECTION

from funkflow import Settings

USERS, ITEMS, NOISE = 150, 60, 0.5


def planted_frame(count: int = 3600, seed: int = 2) -> pd.DataFrame:
    """Return ratings of rank 2 about 3, with biases and noise; ids of users from 1000 on, of items from 5000 on."""
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.choice(USERS * ITEMS, count, replace=False))
    users, items = cells // ITEMS, cells % ITEMS
    u, v = rng.normal(size=(USERS, 2)), rng.normal(size=(ITEMS, 2))
    scores = 3.0 + 0.4 * np.einsum("nk,nk->n", u[users], v[items]) + 0.4 * rng.normal(size=USERS)[users]
    ratings = scores + 0.4 * rng.normal(size=ITEMS)[items] + NOISE * rng.normal(size=count)
    return pd.DataFrame({"user": 1000 + users, "item": 5000 + items, "rating": ratings.round(3)})


def posterior_settings(folder: Path, client: Client, **sections: dict[str, Any]) -> Settings:
    """Return settings of a short run on these ratings, which are written below the folder."""
    ratings = folder / "ratings.csv"
    if not ratings.exists():
        planted_frame().to_csv(ratings, index=False)
    train = {
        "method": "bayes",
        "rank": 2,
        "keep_draws": 24,
        "bayes": {"burn_in": 4, "draws": 12, "chains": 2, "pair_steps": 2},
    }
    return Settings.build(
        {
            "root": str(folder / "root"),
            "ingest": {"ratings": str(ratings)},
            "grid": {"shards": 3},
            "gate": UNGATED_SECTION,
            "ranking": {"count": 0},
            "report": {"write": False},
            "cluster": {"scheduler": address_of(client)},
            **sections,
            "train": {**train, **sections.get("train", {})},
        }
    )
