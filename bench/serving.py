"""Recommendations from a model of 1 M users and 1 M items, by a worker that cannot hold it.

Covers: random ratings, each user and item among them, a model trained on them through the whole pipeline, lists of the
best items for a sample of users under a limit of memory, and the peak of a worker beside that limit.
Does not cover: how good the lists are, as random ratings have no taste in them (docs/ranking.md).

    python -m bench.serving [--rows 1000000] [--rank 64] [--users 4000] [--memory "890 MiB"]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dask.utils import format_bytes

from bench import ours_served
from bench.data import ROOT

_RATINGS_A_ROW = 4


def write_ratings(path: Path, rows: int) -> None:
    """Write random ratings of `rows` users and as many items: each user rates four, and each item is rated by four."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(rows), _RATINGS_A_ROW)
    items = np.concatenate([rng.permutation(rows) for _ in range(_RATINGS_A_ROW)])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"user": users, "item": items, "rating": rng.integers(1, 6, len(users))}), path)


def main() -> None:
    """Make the model, unless it is there, recommend with all memory and with little, and print both peaks."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="users, and items")
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--users", type=int, default=4_000, help="sampled users to recommend to")
    parser.add_argument("--count", type=int, default=100, help="items for each of them")
    parser.add_argument("--memory", default="890 MiB", help="of the client and one worker with two threads")
    parser.add_argument("--folder", type=Path, default=ROOT / "serving")
    chosen = parser.parse_args()
    ratings = chosen.folder / f"ratings-{chosen.rows}.parquet"
    if not ratings.exists():
        write_ratings(ratings, chosen.rows)
    model = ours_served.train(ratings, chosen.folder / f"root-{chosen.rows}-{chosen.rank}", chosen.rank)
    users = np.sort(np.random.default_rng(1).choice(chosen.rows, chosen.users, replace=False)).tolist()
    found = []
    for memory in ("", chosen.memory):
        started = time.perf_counter()
        served = ours_served.recommend(model, users, chosen.count, memory)
        seconds = time.perf_counter() - started
        found.append(served.lists)
        peak, predicted, limit = map(
            format_bytes, (served.worker_peak_bytes, served.worker_predicted_bytes, served.worker_limit_bytes)
        )
        print(
            f"{'in parts' if served.in_parts else 'held'}: {seconds:.1f} s, {1e3 * seconds / len(users):.1f} ms each; "
            f"a worker had {peak} at most, {predicted} predicted, of {limit} that it may have; "
            f"each side of the model has {format_bytes(chosen.rows * (chosen.rank + 1) * 4)}"
        )
    print(f"the same lists: {found[0] == found[1]}")


if __name__ == "__main__":
    main()
