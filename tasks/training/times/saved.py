"""The effects of time that a training leaves, by shard.

Covers: their files, and what an export takes from them.
Does not cover: the effects (effects.py), what they add to predictions (tasks/training/saved_shards.py), the columns of
an exported model (tasks/model/times/effects.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from funkflow.tasks.grid.solved_rows import Matrix
from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.times.effects import ItemBins, UserDays
from funkflow.tasks.storage import files, npy
from funkflow.tasks.training.times.effects import UserTimes
from funkflow.tasks.training.times.row_days import RowDays
from funkflow.tasks.training.times.steps import read_times


@dataclass(frozen=True)
class SavedTimes(Weighed):
    """Places of the effects of all shards; `edges` : of the bins."""

    users: tuple[Place, ...]
    items: tuple[Place, ...]
    edges: tuple[int, ...]

    def of_shard(self, side: str, number: int) -> ShardTimes | None:
        """Return those of one shard of "user" or "item"; None for items without effects."""
        if side == "user":
            return ShardTimes(self.users[number])
        return ShardTimes(self.items[number], self.edges) if self.items else None


@dataclass(frozen=True)
class ShardTimes:
    """The saved effects of one shard: of users, or with edges of bins of items."""

    place: Place
    edges: tuple[int, ...] | None = None

    def read(self) -> UserDays | ItemBins:
        """Read them."""
        return read_user_times(self.place) if self.edges is None else read_item_times(self.place, self.edges)

    def exported(self, deviation: float) -> tuple[Matrix, dict[str, pa.Array]]:
        """Return the effects of the last days, in units of training, and the columns of a model, in rating units."""
        found = self.read()
        if isinstance(found, UserDays):
            return found.at_last_days(), found.times(deviation).columns()
        columns = replace(found, table=found.table * deviation).columns() if self.edges else {}
        return found.table[:, -1], columns


def write_user_times(url: str, row: RowDays, sums: UserTimes, draws: int) -> str:
    """Write the mean effects of a user shard; return the file's checksum. sums : over so many draws."""
    return files.write_table(url, pa.table(sums.by_day(row, draws).columns()))


def write_steps(row: RowDays, written: Place, users: int, url: str) -> str:
    """Write the effects of a user shard from an array of `steps.written_times`; return the file's checksum."""
    return write_user_times(url, row, read_times([npy.read_array(*written)], [users]).shards[0], 1)


def write_item_times(url: str, sums: Matrix, draws: int, part: slice) -> str:
    """Write the mean effects of some of all items, float32 (rows, bins); return the file's checksum."""
    return npy.write_array(url, (sums[part] / draws).astype(np.float32))


def read_user_times(place: Place) -> UserDays:
    """Read what `write_user_times` wrote."""
    return UserDays.of_table(files.read_table(place[0], expected_checksum=place[1]))


def read_item_times(place: Place, edges: Sequence[int]) -> ItemBins:
    """Read what `write_item_times` wrote."""
    return ItemBins(npy.read_array(*place).astype(np.float64), tuple(edges))
