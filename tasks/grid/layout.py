"""The number of shards of a matrix, and the number of rows that the tiles of a block are numbered for.

Covers: both numbers, from the data alone, also for a dataset that grows; whether all items fit one task.
Does not cover: the shard of a dense id (factor_shard.py), the order inside a block (tasks/kernels/tiles.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from funkflow.tasks.grid.factor_shard import shard_rows

LEAST_SHARDS = 4
BLOCK_RATINGS = 10_000_000
LEAST_RATINGS_A_COPY = 9
"""With as many workers as shards, an epoch copies every user shard P times. At rank 64 a row is copied in about 36 ns
and a rating takes 13 ns: from here on copying stays below a third of the steps' time."""
HEADROOM = 4
"""A shard that needs another tile gets room for this part of its rows more, so that numbers of tiles change seldom."""

FEW_ITEMS_BYTES = 64_000_000
"""Parts of all rows of blocks in the sums of all items, float64, that one task of row solves may add up.

An epoch with all item shards in one task against one with a task a block, 400,000 ratings, P = 4, rank 64, two cores
beside other work, AVX-512: with parts of 4, 16 and 66 MB 2.0, 2.2 and 1.3 times as fast on one worker with two threads,
and 2.8, 2.4 and 2.0 times on two workers. With more cores the one task costs more, and its worker needs the memory.
"""


def are_few_items(items: int, width: int, shards: int) -> bool:
    """Return whether one task of row solves takes all item shards; `width` : of a row."""
    return 8 * items * width * shards <= FEW_ITEMS_BYTES


def shards_for(ratings: int, users: int, items: int) -> int:
    """Return P, the number of row and of column shards, from the data alone.

    At least 4, so that four tasks can always run at once; more when a block would pass 10 M ratings, some tenths of a
    second of work, unless a block then had fewer than 9 ratings for each row that its task copies; never more than
    users or items.
    """
    by_work = math.ceil(math.sqrt(ratings / BLOCK_RATINGS))
    by_copies = int(ratings / (LEAST_RATINGS_A_COPY * max(1, users + items)))
    return max(1, min(max(LEAST_SHARDS, min(by_work, by_copies)), users, items))


def shards_for_grown(generations: Sequence[Sequence[int]], training_ratings: int) -> int:
    """Return P for a dataset that grew: that of its first dataset, so that no rating changes its block.

    Parameters
    ----------
    generations : ratings, users and items of each dataset, the first one first, the present one last.
    training_ratings : of the present one; the first one is taken to have the same part of training ratings.
    """
    ratings, users, items = generations[0]
    first = (
        training_ratings if len(generations) == 1 else round(ratings * training_ratings / max(1, generations[-1][0]))
    )
    return min(shards_for(first, users, items), generations[-1][1], generations[-1][2])


def laid_rows(counts: Sequence[int], shards: int, shard: int, tile_rows: int) -> int:
    """Return the number of rows of a shard that tiles are numbered for: those of the first dataset, while they suffice.

    Parameters
    ----------
    counts : users, or items, of each dataset from the first one to the present one.
    """
    laid = shard_rows(counts[0], shards, shard)
    for count in counts[1:]:
        rows = shard_rows(count, shards, shard)
        if math.ceil(rows / tile_rows) > math.ceil(laid / tile_rows):
            laid = rows + rows // HEADROOM
    return laid
