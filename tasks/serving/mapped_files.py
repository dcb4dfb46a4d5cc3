"""A saved model as arrays that a server maps into memory: writing the files.

Covers: both sides, their raw ids, and the items that each user rated, read part by part.
Does not cover: their use (mapped_model.py), when they are written and their manifest (pipeline/models/mapped.py).

Parquet has to be decoded, so a process that reads it has a copy of its own. These files are pages that all processes on
a machine share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.model.about import read_about
from funkflow.tasks.model.parts import ModelParts, rows_of_own, table_rows
from funkflow.tasks.model.rated import Pairs, TrainedOn, rated_pairs
from funkflow.tasks.serving.id_rows import write_ids
from funkflow.tasks.serving.served_model import SHARD_ROWS
from funkflow.tasks.serving.top_items import RatedItems
from funkflow.tasks.storage import files
from funkflow.tasks.storage.npy import write_array, write_slices

RATED = "rated.int32"
"""The rows of rated items, user by user, without a header, as their number is known at the end."""


def trained_on_of(model_folder: str) -> TrainedOn | None:
    """Return the trained-on ratings of a model; None if they are not beside it."""
    try:
        return TrainedOn.of(model_folder)
    except (BadInput, SettingsError):
        return None


def write_arrays(model_folder: str, folder: str) -> tuple[dict[str, str], bool]:
    """Write the arrays of a model; return the checksums of the files by name, and whether rated items are known.

    Raises
    ------
    DamagedFile
        A file of the model, or of the ratings, is missing or damaged.
    """
    parts, trained_on = ModelParts.of(model_folder, read_about(model_folder)), trained_on_of(model_folder)
    return {**write_sides(parts, folder), **write_rated(trained_on, parts, folder)}, trained_on is not None


def write_sides(parts: ModelParts, folder: str) -> dict[str, str]:
    """Write users, items and their raw ids; return the checksums of the files by name.

    Items are columns, float32 (k + 1, items), with the bias last: a product of one user with them takes 0.7 of the time
    of that with rows, of eight users 0.3. `item_lengths` : float64 (items,), of their factors.
    """
    users = sum(parts.user_counts)
    ids: list[pa.Array] = []
    biases = np.empty(users, np.float32)

    def factors() -> Iterator[npt.NDArray[np.float32]]:
        start = 0
        for url, checksum in parts.users:
            for table in files.read_batches(url, ["raw_id", "bias", "factors"], checksum, SHARD_ROWS):
                rows = table_rows(table, parts.rank)
                biases[start : start + len(rows.biases)] = rows.biases
                ids.extend(table["raw_id"].chunks)
                start += len(rows.biases)
                yield rows.factors

    written = {"user_factors.npy": write_slices(files.join(folder, "user_factors.npy"), factors(), (users, parts.rank))}
    tables = [files.read_table(url, expected_checksum=checksum) for url, checksum in parts.items]
    items = [table_rows(table, parts.rank) for table in tables]
    columns = np.concatenate([np.vstack([rows.factors.T, rows.biases]) for rows in items], axis=1)
    lengths = np.concatenate([np.linalg.norm(rows.factors.astype(np.float64), axis=1) for rows in items])
    for name, array in {"user_biases": biases, "items": columns, "item_lengths": lengths}.items():
        written[f"{name}.npy"] = write_array(files.join(folder, f"{name}.npy"), array)
    item_ids = pa.concat_arrays([chunk for table in tables for chunk in table["raw_id"].chunks])
    return {**written, **write_ids(folder, "user", pa.concat_arrays(ids)), **write_ids(folder, "item", item_ids)}


def write_rated(trained_on: TrainedOn | None, parts: ModelParts, folder: str) -> dict[str, str]:
    """Write the rows of the items that each user rated, in training or validation; return the checksums of the files.

    `rated_starts`, `rated_ends` : int64 (users,), of each row of the users in `RATED`, where items ascend.
    trained_on : None, if the ratings are gone: then the lists are empty.
    """
    starts, ends = (np.zeros(sum(parts.user_counts), np.int64) for _ in range(2))
    digest, done = hashlib.blake2b(digest_size=files.CHECKSUM_BYTES), 0
    with files.opened_for_writing(files.join(folder, RATED)) as file:
        for pairs in _pairs_by_part(trained_on):
            users = np.unique(pairs[0])
            rated = RatedItems.of(users, pairs, parts.item_counts)
            rows = rows_of_own(users, parts.user_counts)
            starts[rows], ends[rows] = rated.starts + done, rated.ends + done
            done += len(rated.items)
            data = np.ascontiguousarray(rated.items, np.int32).view(np.uint8).data
            digest.update(data)
            file.write(data)
    written = {RATED: digest.hexdigest()}
    for name, array in {"rated_starts.npy": starts, "rated_ends.npy": ends}.items():
        written[name] = write_array(files.join(folder, name), array)
    return written


def _pairs_by_part(trained_on: TrainedOn | None) -> Iterator[Pairs]:
    for number in range(len(trained_on.dataset["parts"]) if trained_on else 0):
        assert trained_on is not None
        yield rated_pairs(*trained_on.stored(number))
