"""Kept draws as parts of a model: rows in rating units, with their raw ids.

Covers: one shard of one side in all kept draws, batch by batch, and its sums for the priors.
Does not cover: the files of a model's draws (tasks/model/draws/drawn_rows.py), the jobs (pipeline/stages/export.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from funkflow.tasks.dataset.id_pieces import read_piece
from funkflow.tasks.model.about import PartEntry, Place
from funkflow.tasks.model.draws.drawn_rows import ColumnSums, DrawnBatch, rows_of_group, write_part
from funkflow.tasks.storage import files, npy
from funkflow.tasks.training.times.saved import ShardTimes


def export_drawn_shard(
    saved: Sequence[Place], side: str, biases: bool, precisions: Sequence[float], ids: str, number: int,
    deviation: float, url: str, times: ShardTimes | None = None,
) -> tuple[PartEntry, ColumnSums]:  # fmt: skip
    """Write one shard of all kept draws; return its entry in `model.json`, and sums of its columns.

    Parameters
    ----------
    saved : the shard in each draw, rows as in tasks/grid/solved_rows.py, in units of training; those of users have one
        more column, the noise variance of each user.
    side : "user" or "item"; biases : whether rows have them.
    precisions : 1 over the mean noise variance of ratings, of each draw.
    ids : file of raw ids by shard (tasks/dataset/id_pieces.py).
    deviation : of training ratings, their unit in training.
    times : mean effects of time, of which those of the last days become part of the biases.
    """
    last = None if times is None else (times.exported(deviation)[0] * deviation).astype(np.float32)
    raw_ids, sums = read_piece(ids, number).raw_ids, list[ColumnSums]()
    rows, columns = npy.checked_shape(*saved[0])
    for place in saved[1:]:
        npy.checked_shape(*place)
    of_users = side == "user"
    rank = columns - 2 * biases - of_users
    bias_column = rank if of_users else rank + 1

    def batches() -> Iterator[DrawnBatch]:
        step = rows_of_group(len(saved), rank)
        for start in range(0, rows, step):
            batch = np.empty((min(step, rows - start), len(saved), rank + 1), np.float32)
            noise = np.empty((len(batch), len(saved)), np.float32)
            for draw, ((place, _), precision) in enumerate(zip(saved, precisions, strict=True)):
                part = npy.read_rows(place, start, start + len(batch))
                batch[:, draw, :rank] = part[:, :rank] * np.float32(math.sqrt(deviation))
                batch[:, draw, rank] = part[:, bias_column] * np.float32(deviation) if biases else 0.0
                if of_users:
                    noise[:, draw] = part[:, -1] * np.float32(precision)
            sums.append(ColumnSums.of(batch))
            if last is not None:  # priors are of rows without it
                batch[:, :, rank] += last[start : start + len(batch), None]
            yield {"draws": batch, "noise": noise} if of_users else {"draws": batch}

    widths = {"draws": len(saved) * (rank + 1)} | ({"noise": len(saved)} if of_users else {})
    checksum = write_part(url, raw_ids, batches(), widths)
    entry: PartEntry = {
        "path": url.rsplit("/", 1)[1], "rows": rows, "bytes": files.size(url), "checksum": checksum,
    }  # fmt: skip
    empty = ColumnSums(0, *(np.zeros((len(saved), rank + 1)) for _ in range(2)))
    return entry, sum(sums, empty)
