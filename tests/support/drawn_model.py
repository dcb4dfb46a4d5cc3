"""A model of one shard with draws, and ratings of all its pairs in their distributions.

Covers: writing the model from its rows in each draw, and placing a rating of every pair.
Does not cover: what is asserted (tests/unit/test_calibration.py, tests/unit/test_noise_by_rating.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.evaluation.calibration import CalibrationJob, PlacedRatings, RatingGrid, place_shard
from funkflow.tasks.model.about import About, read_about, write_about
from funkflow.tasks.model.draws.about_draws import FOLDERS, PRIORS, DrawsAbout, NoiseByRating
from funkflow.tasks.model.draws.drawn_rows import ColumnSums, DrawnRows, write_part, write_priors
from funkflow.tasks.model.model import write_factor_table
from funkflow.tasks.storage import files, npy
from funkflow.tasks.training.score import held_out_table


def write_drawn_model(
    folder: str, rows: Sequence[DrawnRows], mean: float, noise: float, by_rating: NoiseByRating | None = None,
    by_user: npt.NDArray[np.float32] | None = None,
) -> None:  # fmt: skip
    """Write a model with a scale from 1 to 5.

    Parameters
    ----------
    rows : of users and of items, float32 (n, D, k + 1); by_user : factors of the noise, float32 (users, D).
    """
    draws, width = rows[0].shape[1:]
    parts: dict[str, list[Any]] = {}
    drawn: dict[str, list[Any]] = {}
    for side, own in zip(("user", "item"), rows, strict=True):
        ids = np.arange(len(own))
        factors = own.mean(axis=1)
        parts[side] = [
            write_factor_table(f"{folder}/{side}_factors.parquet/part", ids, factors[:, -1], factors[:, :-1])
        ]
        url = f"{folder}/{FOLDERS[side]}/part"
        batch, widths = {"draws": own}, {"draws": draws * width}
        if side == "user" and by_user is not None:
            batch, widths = batch | {"noise": by_user}, widths | {"noise": draws}
        checksum = write_part(url, pa.array(ids), [batch], widths)
        drawn[side] = [{"path": "part", "rows": len(own), "bytes": files.size(url), "checksum": checksum}]
    checksum = write_priors(f"{folder}/{PRIORS}", *(ColumnSums.of(own).priors() for own in rows))
    about_draws: DrawsAbout = {
        "count": draws, "rank": width - 1, "noise": [noise] * draws, "parts": drawn,
        "priors": {"path": PRIORS, "checksum": checksum}, "noise_by_user": by_user is not None,
    }  # fmt: skip
    if by_rating:
        about_draws["noise_by_rating"] = by_rating
    about: About = {"draws": about_draws}
    write_about(folder, mean, (1.0, 5.0), rank=width - 1, parts=parts, about=about)


def place_every_pair(
    folder: str, scratch: Path, ratings: Any, grid: RatingGrid, constants: tuple[float, ...], part: float = 1.0
) -> PlacedRatings:
    """Place a rating of every pair; ratings (users * items,)."""
    parts = read_about(folder)["parts"]
    count, items = (parts[side][0]["rows"] for side in ("user", "item"))
    pairs = np.divmod(np.arange(count * items), items)
    held_out = f"{scratch}/held-out.parquet"
    checksum = files.write_table(held_out, held_out_table(*pairs, ratings.astype(np.float32), 1, 0))
    counts = f"{scratch}/counts.npy"
    job = CalibrationJob(folder, (counts, npy.write_array(counts, np.arange(count) + 1)), grid, constants, part)
    return place_shard(job, (held_out, checksum), 0)
