"""Measure rankings of the validation ratings of one part of a dataset: of the model, the most rated items, and chance.

Covers: relevance, the most rated items as a model, and the sums of a part.
Does not cover: the measures (ranking_measures.py), the choice of items (top_items.py), tasks
(pipeline/stages/ranking.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.kernels.buffers import Weighed
from funkflow.tasks.mix import mix
from funkflow.tasks.model.about import Place
from funkflow.tasks.model.rated import pairs_of
from funkflow.tasks.serving.ranking_measures import (
    Ranking,
    expected_rankings,
    no_rankings,
    self_information,
    sum_rankings,
)
from funkflow.tasks.serving.served_model import ServedModel
from funkflow.tasks.serving.top_items import RatedItems, Shard, top_items
from funkflow.tasks.storage import files, npy
from funkflow.tasks.transform import Transform, transformed

_RELEVANT_PART = 0.75
_BLOCK_USERS = 4096
"""Users whose lists are measured at once: at 100 places some 30 MB."""


@dataclass(frozen=True)
class MostRated(Weighed):
    """Items by their number of ratings, by row of the model: `items`, and `information`, float64 (items,), of each.

    `items` : one shard, with one factor of 0 and the number of ratings as bias; float32 is exact up to 2^24.
    `information` : self-information in bits.
    """

    items: Shard
    information: npt.NDArray[np.float64]


@dataclass(frozen=True)
class PartRankings:
    """Sums over the users of a part, for each length of list."""

    model: tuple[Ranking, ...]
    most_rated: tuple[Ranking, ...]
    random: tuple[Ranking, ...]

    def __add__(self, other: PartRankings) -> PartRankings:
        return PartRankings(
            model=_added(self.model, other.model),
            most_rated=_added(self.most_rated, other.most_rated),
            random=_added(self.random, other.random),
        )


def least_relevant(bounds: tuple[float, float], counts: bool, chosen: float | None, transform: Transform) -> float:
    """Return the least rating that is relevant, as a dataset has it: three quarters up the scale, and any count.

    Parameters
    ----------
    bounds : least and greatest rating. `counts` : ratings are counts.
    chosen : instead of this rule, in rating units; `transform` : from these units to those of the dataset.
    """
    if chosen is not None:
        return float(transformed(chosen, transform))
    least, greatest = bounds
    return 0.0 if counts else least + _RELEVANT_PART * (greatest - least)


def most_rated(model: ServedModel, counts: Place, users: int) -> MostRated:
    """Return all items by their number of training ratings: a ranking that is the same for every user.

    counts : file of `write_counts` (tasks/evaluation/describe.py) with the training ratings of each item; users : with
    any of them.
    """
    ratings = npy.read_array(*counts)[0]
    rows = model.item_rows(np.arange(model.items, dtype=np.int32))
    items, information = np.zeros((model.items, 2), np.float32), np.empty(model.items)
    items[rows, 1] = ratings
    information[rows] = self_information(ratings, users)
    return MostRated(items, information)


def rank_part(
    models: tuple[ServedModel, MostRated], part: Place, validation: Place, threshold: float, lengths: Sequence[int],
    most: int = 0,
) -> PartRankings:  # fmt: skip
    """Return how well lists of items match the validation ratings of at least `threshold`, for each length of list.

    Every item is a candidate except the user's training items. Users without a relevant validation rating do not count.

    Parameters
    ----------
    most : users to measure, chosen by a hash of their dense ids; 0: all.
    """
    model, rival = models
    items = model.items
    table = files.read_table(validation[0], ["user", "item", "rating", "row"], expected_checksum=validation[1])
    user, item, rating, row = (table[name].to_numpy() for name in ("user", "item", "rating", "row"))
    is_relevant = (user >= 0) & (item >= 0) & (rating >= np.float32(threshold))
    order = np.argsort(user[is_relevant], kind="stable")
    of, liked = user[is_relevant][order], model.item_rows(item[is_relevant][order])
    nothing = no_rankings(items, lengths)
    total = PartRankings(nothing, nothing, no_rankings(0, lengths))
    wanted = np.unique(of)
    if not len(wanted):
        return total
    if most and len(wanted) > most:
        wanted = np.sort(wanted[np.argsort(mix(wanted.astype(np.uint64)))[:most]])
        is_wanted = np.isin(of, wanted)
        of, liked = of[is_wanted], liked[is_wanted]
    pairs, of_wanted = _training_pairs(part, row), model.user_rows(wanted)
    information, longest = rival.information, max(lengths)
    for begin in range(0, len(wanted), _BLOCK_USERS):
        block = wanted[begin : begin + _BLOCK_USERS]
        first, last = np.searchsorted(of, block[0], "left"), np.searchsorted(of, block[-1], "right")
        relevant = np.searchsorted(block, of[first:last]) * np.int64(items) + liked[first:last]
        rated = RatedItems.of(block, pairs, model.parts.item_counts)
        alike = np.zeros((len(block), 1), np.float32)
        lists = (
            model.top(of_wanted.take(np.arange(begin, begin + len(block))), rated, longest),
            top_items(alike, [rival.items], rated, min(longest, items)),
        )
        of_model, of_rival = (sum_rankings(each.rows, relevant, information, lengths) for each in lists)
        candidates, mean = _candidates(rated, information)
        chance = expected_rankings(candidates, np.bincount(relevant // items), mean, lengths)
        total += PartRankings(of_model, of_rival, chance)
    return total


def _candidates(
    rated: RatedItems, information: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return how many items each user did not rate in training, and the mean self-information of these."""
    running = np.concatenate([[0.0], np.cumsum(information[rated.items])])
    candidates = len(information) - (rated.ends - rated.starts)
    return candidates, (information.sum() - running[rated.ends] + running[rated.starts]) / candidates


def _added(one: tuple[Ranking, ...], other: tuple[Ranking, ...]) -> tuple[Ranking, ...]:
    return tuple(first + second for first, second in zip(one, other, strict=True))


def _training_pairs(
    part: Place, validation_rows: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return sorted (user, item) of a part without the validation rows; -1 is no row of it."""
    users, items = pairs_of(part)
    is_training = np.ones(len(users), bool)
    is_training[validation_rows[validation_rows >= 0]] = False
    return users[is_training], items[is_training]
