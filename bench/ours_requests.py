"""A root with a model of any size in use, as bench/requests.py serves it, written directly.

Covers: random factors, lists of rated items with a long tail, and the records that lead from one to the other.
Does not cover: the server, or requests to it (requests.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow import Model
from funkflow.pipeline.root.store import content_id
from funkflow.tasks.model.about import About
from funkflow.tasks.parsing.ids import buckets_of
from funkflow.tasks.storage import files

_PARTS = 16
_RUN = content_id(what="bench of requests")
_SPREAD = 1.2
"""Standard deviation of the logarithm of ratings a user."""


def write_root(root: Path, users: int, items: int, rank: int, rated: int) -> None:
    """Write a root whose model in use has these users and items; each user rated `rated` items on average.

    Dense ids are raw ids less 1, and the model has one part a side, so that its rows are the dense ids.
    """
    rng, folder = np.random.default_rng(0), str(root)
    scales = np.geomspace(1.0, 0.1, rank).astype(np.float32) / np.float32(rank) ** 0.25
    about: About = {"run_id": _RUN, "goal": "ranking", "l2": 0.02, "deviation": 1.0, "rmse": None}
    about["settings"] = {"train": {"biases": True}}
    user_factors, item_factors = (rng.standard_normal((rows, rank), np.float32) * scales for rows in (users, items))
    user_biases, item_biases = (0.4 * rng.standard_normal(rows, np.float32) for rows in (users, items))
    user_ids, item_ids = np.arange(1, users + 1), np.arange(1, items + 1)
    model = Model(
        3.6, (1.0, 5.0), user_ids, item_ids, user_biases, item_biases, user_factors, item_factors, about
    )  # fmt: skip
    run = files.join(folder, "runs", _RUN)
    model.save(files.join(run, "model"))
    files.write_json(files.join(run, "record.json"), {"dataset": "made", "split": "made"})
    parts, none = [], []
    bucket = buckets_of(pa.array(user_ids), _PARTS)
    nothing = pa.table({name: pa.array([], pa.int32()) for name in ("user", "item", "row")})
    for number in range(_PARTS):
        own = np.flatnonzero(bucket == number).astype(np.int32)
        parts.append(_write(folder, f"datasets/made/{number}.parquet", _rated(rng, own, items, rated)))
        none.append(_write(folder, f"splits/made/{number}.parquet", nothing))
    dataset = {"id": "made", "ratings": 0, "users": users, "items": items, "parts": parts, "id_checksums": {}}
    files.write_sealed(files.join(folder, "datasets/made/manifest.json"), dataset)
    split = {"id": "made", "validation": {"parts": none}}
    files.write_sealed(files.join(folder, "splits/made/manifest.json"), split)
    files.write_json(files.join(folder, "current.json"), {"run_id": _RUN, "goal": "ranking"})


def _rated(rng: np.random.Generator, users: npt.NDArray[np.int32], items: int, rated: int) -> pa.Table:
    """Return users and items of random ratings, sorted by both, without repeats."""
    shares = rng.lognormal(np.log(rated) - _SPREAD**2 / 2, _SPREAD, len(users))
    counts = np.clip(shares, 1, items // 2).astype(np.int64)
    cells = np.repeat(users.astype(np.int64), counts) * items + rng.integers(0, items, counts.sum())
    cells.sort()
    cells = cells[np.append(True, np.diff(cells) > 0)]
    return pa.table({"user": (cells // items).astype(np.int32), "item": (cells % items).astype(np.int32)})


def _write(folder: str, path: str, table: pa.Table) -> dict[str, str]:
    checksum = files.write_table(files.join(folder, path), table, compression="lz4")
    return {"path": path.rsplit("/", 1)[1], "checksum": checksum}
