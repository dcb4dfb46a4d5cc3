"""What users have rated: the pairs of one part of a dataset, and for a saved model, by where its run left it.

Covers: which part holds a user's ratings, the pairs of a part, those of validation among them, and what a saved model
was trained on.
Does not cover: what is made of them (tasks/serving/recommend.py, items.py), which model was trained on what
(tasks/dataset/trained_pairs.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.errors import BadInput, DamagedFile
from funkflow.tasks.model.about import read_about
from funkflow.tasks.parsing.ids import buckets_of, look_up
from funkflow.tasks.storage import files
from funkflow.tasks.storage.paths import absolute

Stored = tuple[str, str]
"""Where a file lies, and its checksum."""
Pairs = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]
"""Users and items, by dense id, sorted by both."""


def pairs_of(part: Stored) -> Pairs:
    """Return all (user, item) of a part of a dataset."""
    table = files.read_table(part[0], ["user", "item"], expected_checksum=part[1])
    return table["user"].to_numpy(), table["item"].to_numpy()


def rated_pairs(part: Stored, held_out: Stored) -> Pairs:
    """Return all (user, item) of a part, with the pairs of validation that are not in the dataset itself."""
    users, items = pairs_of(part)
    table = files.read_table(held_out[0], ["user", "item", "row"], expected_checksum=held_out[1])
    user, item, row = (table[name].to_numpy() for name in ("user", "item", "row"))
    more = (row < 0) & (user >= 0) & (item >= 0)
    if not more.any():
        return users, items
    users, items = np.append(users, user[more]), np.append(items, item[more])
    order = np.lexsort((items, users))
    return users[order], items[order]


def parts_of(users: Sequence[str | int], table: Stored, parts: int) -> dict[int, list[int]]:
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
        raw = pa.array([int(each) if pa.types.is_integer(known.type) else str(each) for each in users], known.type)
    except (ValueError, OverflowError, pa.ArrowInvalid) as cause:
        raise BadInput(f"recommend.users: {list(users)} are not all numbers, but this model's ids are") from cause
    dense = look_up(pa.chunked_array([raw]), known)
    if (dense < 0).any():
        unknown = raw[int(np.argmax(dense < 0))].as_py()
        raise BadInput(f"recommend.users: there is no user {unknown!r} in the data; check --user")
    by_part: dict[int, list[int]] = {}
    for part, user in zip(buckets_of(raw, parts).tolist(), dense.tolist(), strict=True):
        by_part.setdefault(part, []).append(user)
    return by_part


@dataclass(frozen=True)
class TrainedOn:
    """What a saved model was trained on: the manifests of its dataset and split, found by where its run left it."""

    root: str
    run_folder: str
    dataset: dict[str, Any]
    split: dict[str, Any]

    @classmethod
    def of(cls, model_folder: str) -> TrainedOn:
        """Find it from the model's folder, ROOT/runs/RUN/model.

        Raises
        ------
        BadInput
            The model does not lie where its run left it, or its dataset or split is gone.
        """
        read_about(model_folder)  # a folder without a model is told before anything is looked for around it
        root, *inner = absolute(model_folder).rstrip("/").rsplit("/", 3)
        if len(inner) == 3 and inner[0] == "runs":
            run_folder = files.join(root, *inner[:2])
            record = files.json_if_there(files.join(run_folder, "record.json")) or {}
            dataset, split = (
                _manifest(files.join(root, f"{kind}s", str(record.get(kind, "")))) for kind in ("dataset", "split")
            )
            if dataset and split:
                return cls(root, run_folder, dataset, split)
        raise BadInput(
            f"{model_folder}: the ratings that this model was trained on are not beside it, so what users have rated "
            "is not known; name the model where its run left it (ROOT/runs/RUN/model), or the run's settings"
        )

    @property
    def dataset_folder(self) -> str:
        return files.join(self.root, "datasets", self.dataset["id"])

    @property
    def split_folder(self) -> str:
        return files.join(self.root, "splits", self.split["id"])

    def parts_of(self, users: Sequence[str | int]) -> dict[int, list[int]]:
        """Return the dense ids of raw users by part, as the function of that name does."""
        table = files.join(self.dataset_folder, "users.parquet"), self.dataset["id_checksums"]["users"]
        return parts_of(users, table, len(self.dataset["parts"]))

    def stored(self, number: int) -> tuple[Stored, Stored]:
        """Return where a part of the dataset lies, and what validation holds of it."""
        ratings, held_out = self.dataset["parts"][number], self.split["validation"]["parts"][number]
        return (
            (files.join(self.dataset_folder, ratings["path"]), ratings["checksum"]),
            (files.join(self.split_folder, held_out["path"]), held_out["checksum"]),
        )

    def rated_by(self, user: Any, dense: int) -> npt.NDArray[np.int32]:
        """Return the items, by dense id, that a user has rated, in training or validation. `user` : the raw id."""
        number = int(buckets_of(pa.array([user]), len(self.dataset["parts"]))[0])
        users, items = _kept_pairs(*self.stored(number))
        first, last = (int(np.searchsorted(users, dense, side)) for side in ("left", "right"))
        return items[first:last]


@dataclass(frozen=True)
class Placing:
    """How an exported side of a model is ordered: dense id d is row d div P of part d mod P, parts one after another.

    `firsts` : int64 (P,), the model's row that each part begins with.
    """

    firsts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, about: dict[str, Any], side: str) -> Placing:
        """Take it from the content of `model.json`; side: "user" or "item"."""
        sizes = [int(part["rows"]) for part in about["parts"][side]]
        return cls(np.cumsum([0, *sizes[:-1]]))

    def dense(self, row: int) -> int:
        """Return the dense id of a row of the model."""
        part = int(np.searchsorted(self.firsts, row, "right")) - 1
        return (row - int(self.firsts[part])) * len(self.firsts) + part

    def rows(self, dense: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
        """Return the model's rows of dense ids."""
        return np.asarray(self.firsts[dense % len(self.firsts)] + dense // len(self.firsts), dtype=np.intp)


@lru_cache(maxsize=4)
def _kept_pairs(part: Stored, held_out: Stored) -> Pairs:
    """Keep the pairs of the parts last read: who asks for one user asks for more."""
    return rated_pairs(part, held_out)


def _manifest(folder: str) -> dict[str, Any] | None:
    url = files.join(folder, "manifest.json")
    content = files.json_if_there(url)
    if content is None:
        return None
    if not isinstance(content, dict):
        raise DamagedFile(f"{url}: not a manifest; delete its folder and run again")
    return files.without_seal(url, content)
