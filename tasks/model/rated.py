"""The pairs that users rated, by part of a dataset, and the trained-on ratings of a saved model.

Covers: the part of a user, the pairs of a part with validation, and the dataset and split of a saved model.
Does not cover: recommendations (tasks/serving/recommend.py, items.py), comparison of trained-on ratings
(tasks/dataset/trained_pairs.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypedDict, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.errors import BadInput, DamagedFile
from funkflow.tasks.model.about import Place, read_about
from funkflow.tasks.parsing.ids import buckets_of, look_up
from funkflow.tasks.storage import files
from funkflow.tasks.storage.arrow_arrays import as_column, as_texts, numbers_of
from funkflow.tasks.storage.paths import absolute

Pairs = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]
"""Users and items, int32 (n,), by dense id, sorted by both."""


class PartRecord(TypedDict):
    """A file in a manifest."""

    path: str
    checksum: str


class DatasetRecord(TypedDict):
    """The fields of a dataset's manifest that a saved model needs; `id_checksums` : of users.parquet, items.parquet."""

    id: str
    ratings: int
    users: int
    items: int
    parts: list[PartRecord]
    id_checksums: dict[str, str]


class SplitRecord(TypedDict):
    """The fields of a split's manifest that a saved model needs; `validation` : its files, under "parts"."""

    id: str
    validation: dict[str, list[PartRecord]]


def pairs_of(part: Place) -> Pairs:
    """Return all (user, item) of a part of a dataset."""
    table = files.read_table(part[0], ["user", "item"], expected_checksum=part[1])
    return numbers_of(table["user"]), numbers_of(table["item"])


def rated_pairs(part: Place, validation: Place) -> Pairs:
    """Return all (user, item) of a part, and of its validation ratings that are not in the dataset."""
    users, items = pairs_of(part)
    table = files.read_table(validation[0], ["user", "item", "row"], expected_checksum=validation[1])
    user, item, row = (numbers_of(table[name]) for name in ("user", "item", "row"))
    more = (row < 0) & (user >= 0) & (item >= 0)
    if not more.any():
        return users, items
    users, items = np.append(users, user[more]), np.append(items, item[more])
    order = np.lexsort((items, users))
    return users[order], items[order]


def users_by_part(users: Sequence[str | int], table: Place, parts: int) -> dict[int, list[int]]:
    """Return the dense ids of these raw users by the part, of `parts`, of the dataset that holds their ratings.

    Parameters
    ----------
    table : users.parquet of the dataset.

    Raises
    ------
    BadInput
        A user is not in the data.
    """
    known = files.read_table(table[0], ["raw_id"], table[1])["raw_id"]
    try:
        if pa.types.is_integer(known.type):
            raw = as_column(np.array([int(each) for each in users], np.int64)).cast(known.type)
        else:
            raw = as_texts([str(each) for each in users]).cast(known.type)
    except (ValueError, OverflowError, pa.ArrowInvalid) as cause:
        given = ", ".join(map(str, users))
        raise BadInput(
            f"recommend.users: the user ids of this model are integers, not {given}; check --user"
        ) from cause
    dense = look_up(pa.chunked_array([raw]), known)
    if (dense < 0).any():
        unknown = raw[int(np.argmax(dense < 0))].as_py()
        raise BadInput(f"recommend.users: there is no user {unknown!r} in the data; check --user")
    by_part: dict[int, list[int]] = {}
    for part, user in zip(buckets_of(raw, parts).tolist(), dense.tolist(), strict=True):
        by_part.setdefault(part, []).append(user)
    return by_part


_UNKNOWN_RATINGS = "the trained-on ratings are not beside this model, so the items that users rated are unknown"


@dataclass(frozen=True)
class TrainedOn:
    """The trained-on ratings of a saved model: the manifests of its dataset and split."""

    root: str
    run_folder: str
    dataset: DatasetRecord
    split: SplitRecord

    @classmethod
    def of(cls, model_folder: str, lacking: str = _UNKNOWN_RATINGS) -> TrainedOn:
        """Find both from the model's folder, ROOT/runs/RUN/model; `lacking` : what a refusal says of another place.

        Raises
        ------
        BadInput
            The model has moved, or its dataset or split is gone.
        """
        read_about(model_folder)  # refuse a folder without a model first
        root, *inner = absolute(model_folder).rstrip("/").rsplit("/", 3)
        if len(inner) == 3 and inner[0] == "runs":
            run_folder = files.join(root, *inner[:2])
            record = files.json_if_there(files.join(run_folder, "record.json")) or {}
            dataset, split = (
                _read_manifest(files.join(root, f"{kind}s", str(record.get(kind, "")))) for kind in ("dataset", "split")
            )
            if dataset and split:
                return cls(root, run_folder, cast(DatasetRecord, dataset), cast(SplitRecord, split))
        raise BadInput(
            f"{model_folder}: {lacking}; name the model in the folder of its run (ROOT/runs/RUN/model), or the run's "
            "settings"
        )

    @property
    def dataset_folder(self) -> str:
        """Folder of the dataset."""
        return files.join(self.root, "datasets", self.dataset["id"])

    @property
    def split_folder(self) -> str:
        """Folder of the split."""
        return files.join(self.root, "splits", self.split["id"])

    def stored(self, number: int) -> tuple[Place, Place]:
        """Return where a part of the dataset lies, and what validation holds of it."""
        ratings, held_out = self.dataset["parts"][number], self.split["validation"]["parts"][number]
        return (
            (files.join(self.dataset_folder, ratings["path"]), ratings["checksum"]),
            (files.join(self.split_folder, held_out["path"]), held_out["checksum"]),
        )

    def users_by_part(self, users: Sequence[str | int]) -> dict[int, list[int]]:
        """Return the dense ids of raw users by part, as the function of that name does."""
        table = files.join(self.dataset_folder, "users.parquet"), self.dataset["id_checksums"]["users"]
        return users_by_part(users, table, len(self.dataset["parts"]))

    def rated_by(self, user: Any, dense: int) -> npt.NDArray[np.int32]:
        """Return the items that a user rated, in training or validation, int32 (n,) dense ids; `user` is a raw id."""
        number = int(buckets_of(pa.array([user]), len(self.dataset["parts"]))[0])
        users, items = _cached_pairs(*self.stored(number))
        first, last = (int(np.searchsorted(users, dense, side)) for side in ("left", "right"))
        return items[first:last]


@lru_cache(maxsize=4)
def _cached_pairs(part: Place, validation: Place) -> Pairs:
    """Return `rated_pairs`; keep those of the parts last read, as calls for one user come in series."""
    return rated_pairs(part, validation)


def _read_manifest(folder: str) -> dict[str, object] | None:
    url = files.join(folder, "manifest.json")
    content = files.json_if_there(url)
    if content is None:
        return None
    if not isinstance(content, dict):
        raise DamagedFile(f"{url}: not a manifest; delete its folder and run again")
    return files.without_seal(url, content)
