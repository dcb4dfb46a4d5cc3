"""The sets, their protocols, and the settings with which ours trains on them.

Covers: real sets in the folder of real ratings, and the splits of any set in dense ids.
Does not cover: sets made here (made.py), or who is measured on them at which rank (cases.py).

Hash 10 %: ours holds the ratings out, and those from three quarters up the scale on are relevant. Gowalla has the split
of the LightGCN paper (He et al. 2020). `ml-1m-ncf` has the split of the NCF paper (He et al. 2017), which ranks each
user's newest rating among 99 sampled items.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.csv

from bench.ours_ranked import Rows, Runs
from bench.ranking.held_out import HeldOut
from bench.ranking.measures import BY_HASH, MULT_VAE, Measure

_RELEVANT_PART = 0.75


def ratings_folder() -> Path:
    """Return the folder of real ratings, which may be absent."""
    return Path(os.environ.get("FUNKFLOW_RATINGS_DIR") or Path(__file__).parents[3] / "shared" / "ratings")


@dataclass(frozen=True)
class RankingSet:
    """One set. `ratings` is a path under `folder`; with `test` the split is published, otherwise a hash of each seed.

    `negatives` : file of the items that each user's relevant one is ranked among. `count` : the k at which ours
    measures its ranking itself.
    """

    name: str
    folder: Path
    ratings: str
    measures: tuple[Measure, ...]
    test: str = ""
    negatives: str = ""
    count: int = 10

    @property
    def is_there(self) -> bool:
        return (self.folder / self.ratings).exists()

    @property
    def split(self) -> str:
        if self.negatives:
            return "NCF's split, 99 sampled negatives"
        return "published split" if self.test else "hash 10 %"

    def sections(self, seed: int) -> dict[str, dict[str, Any]]:
        """Return the settings of ours but for the model's."""
        split = {"file": str(self.folder / self.test)} if self.test else {"seed": seed}
        return {
            "ingest": {"ratings": [str(self.folder / self.ratings)]},
            "split": split,
            "ranking": {"count": self.count},
        }

    def held_out(self, runs: Runs, root: Path, seed: int) -> HeldOut:
        """Return the split in dense ids."""
        if not self.test:
            training, validation = runs.split(root, self.sections(seed))
            least, greatest = (bound(training[2].tolist()) for bound in (min, max))
            kept = validation[2] >= least + _RELEVANT_PART * (greatest - least)
            return dense(training, validation[0][kept], validation[1][kept])
        training, test = read_rows(self.folder / self.ratings), read_rows(self.folder / self.test)
        negatives = read_rows(self.folder / self.negatives) if self.negatives else None
        return dense(training, test[0], test[1], negatives)


def real_sets() -> Mapping[str, RankingSet]:
    """Return the real sets by their short names, whether they are there or not."""
    folder = ratings_folder()
    at_20: tuple[Measure, ...] = (("recall", 20), (MULT_VAE, 20), ("NDCG", 20))
    sampled: tuple[Measure, ...] = (("HR", 10), ("NDCG", 10))
    return {
        "ml-100k": RankingSet("MovieLens 100K", folder / "ml-100k", "u.data", BY_HASH),
        "ml-latest-small": RankingSet("MovieLens latest-small", folder / "ml-latest-small", "ratings.csv", BY_HASH),
        "ml-1m": RankingSet("MovieLens 1M", folder / "ml-1m", "ratings.dat", BY_HASH),
        "gowalla": RankingSet("Gowalla", folder / "gowalla", "train.csv", at_20, test="test.csv", count=20),
        "ml-1m-ncf": RankingSet(
            "MovieLens 1M", folder / "ml-1m-ncf", "train.csv.gz", sampled, test="test.csv", negatives="negatives.csv"
        ),
    }


def read_rows(path: Path) -> Rows:
    """Read a published file with a header: user, item, and a rating if it has one; 1 otherwise."""
    table = pyarrow.csv.read_csv(path)
    users, items = (table[name].to_numpy() for name in ("user", "item"))
    ratings = table["rating"].to_numpy() if "rating" in table.column_names else np.ones(len(users))
    return users, items, ratings.astype(np.float32)


def dense(training: Rows, users: npt.NDArray[Any], items: npt.NDArray[Any], negatives: Rows | None = None) -> HeldOut:
    """Return a split in dense ids, from the training rows, the relevant pairs, and the negatives if there are any."""
    others = negatives[1] if negatives else items[:0]
    user_ids = np.unique(np.concatenate([training[0], users]))
    item_ids = np.unique(np.concatenate([training[1], items, others]))

    def numbered(ids: npt.NDArray[Any], raw: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        return np.searchsorted(ids, raw).astype(np.int32)

    matrix = None
    if negatives:
        order = np.argsort(numbered(user_ids, negatives[0]), kind="stable")
        matrix = numbered(item_ids, negatives[1])[order].reshape(len(user_ids), -1)
    return HeldOut(
        user_ids, item_ids,
        (numbered(user_ids, training[0]), numbered(item_ids, training[1]), training[2]),
        (numbered(user_ids, users), numbered(item_ids, items)),
        matrix,
    )  # fmt: skip
