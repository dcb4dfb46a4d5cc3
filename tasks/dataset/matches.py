"""Places of a dataset's ids in another table of ids: that of an earlier dataset or of a saved model.

Covers: one pass over both tables that leaves the places by part of the dataset or by shard, and reading a piece; the
rows that dense ids have in the model of their own grid.
Does not cover: raw ids themselves by piece (id_pieces.py), or uses of the places (trained_pairs.py,
tasks/training/warm_rows.py, tasks/evaluation/placed_ratings.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.dataset.id_pieces import place_among, read_ids
from funkflow.tasks.dataset.sorting import stable_order
from funkflow.tasks.model.about import Place
from funkflow.tasks.parsing.ids import buckets_of, look_up
from funkflow.tasks.storage.arrow_groups import read_groups, write_groups

Places = npt.NDArray[np.int32]
"""int32 (n,), by dense id of a dataset: the place in another table, or in several concatenated ones; -1 for none."""


@dataclass(frozen=True)
class IdMatch:
    """Some ids of a dataset. `dense` : int32 (n,), ascending; `places` : their places in the other table."""

    dense: npt.NDArray[np.int32]
    places: Places

    def of(self, dense: npt.NDArray[np.int32]) -> Places:
        """Return the places of dense ids, which must all be among these ids."""
        return self.places[place_among(self.dense, dense)]


def find_places(table: Place, others: Sequence[Place]) -> Places:
    """Return the places of a dataset's raw ids in the concatenation of other tables."""
    return look_up(read_ids(table), pa.chunked_array([read_ids(other) for other in others]))


def match_by_part(table: Place, others: Sequence[Place], parts: int, url: str) -> str:
    """Write the places of a dataset's users to `url`, one piece per part of the dataset; return `url`."""
    _write_places(find_places(table, others), buckets_of(read_ids(table), parts), parts, url)
    return url


def match_by_shard(table: Place, others: Sequence[Place], shards: int, url: str) -> str:
    """Write the places of a dataset's ids to `url`, one piece per shard; return `url`."""
    places = find_places(table, others)
    _write_places(places, np.arange(len(places)) % shards, shards, url)
    return url


def read_match(url: str, number: int) -> IdMatch:
    """Read one piece."""
    rows = read_groups(url, [number])
    return IdMatch(rows["dense"].to_numpy(), rows["place"].to_numpy())


def _write_places(places: Places, pieces: npt.NDArray[np.integer], count: int, url: str) -> None:
    order, starts = stable_order(pieces, count)
    write_groups(url, pa.table({"dense": order.astype(np.int32), "place": places[order]}), starts.tolist())
