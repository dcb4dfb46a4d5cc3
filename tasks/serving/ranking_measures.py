"""Measures of lists of items against relevant items, and what a random order is expected to have of them.

Covers: precision, recall, NDCG, hit rate, reciprocal rank, average precision, coverage and novelty at several lengths,
as sums that can be added over users; their means.
Does not cover: the lists (top_items.py), relevance and the most rated items (rank_part.py).

With h(r) = 1 for a relevant item at place r of a user's list, R relevant items, and k places:

    precision   sum h(r) / k
    recall      sum h(r) / R
    NDCG        sum h(r) / log2(r + 1), over that of min(R, k) hits at the top (Järvelin and Kekäläinen 2002)
    hit rate    1 if there is a hit, else 0
    MRR         1 / r of the first hit, else 0 (Voorhees 1999)
    MAP         sum h(r) precision(r) / min(R, k), the mean of which over users is MAP
    coverage    part of the items that at least one list has
    novelty     mean over all places of -log2(n / N), n of N users rated the item: its self-information, in bits
                (Zhou et al. 2010, Vargas and Castells 2011)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_OVER_USERS = ("precision", "recall", "ndcg", "hit_rate", "mrr", "map")


@dataclass(frozen=True, eq=False)
class Ranking:
    """Sums over `users` of the measures at one length of list; `+` adds those of other users.

    `information` : sum of self-information over all `places`, in bits; `listed` : uint8, a bit for each item, whether a
    list has it; empty where there are no lists.
    """

    users: int
    precision: float
    recall: float
    ndcg: float
    hit_rate: float
    mrr: float
    map: float
    information: float
    places: float
    listed: npt.NDArray[np.uint8]

    def __add__(self, other: Ranking) -> Ranking:
        return Ranking(
            users=self.users + other.users,
            **{name: getattr(self, name) + getattr(other, name) for name in (*_OVER_USERS, "information", "places")},
            listed=self.listed | other.listed,
        )

    def means(self, items: int) -> dict[str, float]:
        """Return the measures by name, with the coverage of `items` items where there are lists."""
        found = {name: getattr(self, name) / max(1, self.users) for name in _OVER_USERS}
        if len(self.listed):
            found["coverage"] = int(np.unpackbits(self.listed).sum()) / max(1, items)
        return {**found, "novelty": self.information / max(1.0, self.places)}


def self_information(ratings: npt.NDArray[np.int64], users: int) -> npt.NDArray[np.float64]:
    """Return -log2(ratings / users) of each item, float64 (items,), in bits; one without ratings counts as rated once.

    Parameters
    ----------
    ratings : int64 (items,), how many of the `users` rated each item in training.
    """
    bits: npt.NDArray[np.float64] = np.log2(max(1, users)) - np.log2(np.maximum(1, ratings))
    return bits


def sum_rankings(
    rows: npt.NDArray[np.int32],
    relevant: npt.NDArray[np.int64],
    information: npt.NDArray[np.float64],
    lengths: Sequence[int],
) -> tuple[Ranking, ...]:
    """Return the sums over users of the measures of their lists, for each of `lengths`.

    Parameters
    ----------
    rows : int32 (users, n), each user's items, the best first; -1: none. n is the greatest length, or fewer items.
    relevant : int64, user * items + row of each relevant item, without duplicates; every user has at least one.
    information : float64 (items,), self-information of each item.
    """
    items = len(information)
    is_item = rows >= 0
    hits = np.isin(np.arange(len(rows), dtype=np.int64)[:, None] * items + rows, relevant) & is_item
    numbers = np.bincount(relevant // items, minlength=len(rows))
    return tuple(_sums_at(rows, is_item, hits, numbers, information, length) for length in lengths)


def _sums_at(
    rows: npt.NDArray[np.int32], is_item: npt.NDArray[np.bool_], hits: npt.NDArray[np.bool_],
    numbers: npt.NDArray[np.int64], information: npt.NDArray[np.float64], length: int,
) -> Ranking:  # fmt: skip
    """Return the sums at one length; `numbers` : how many relevant items each user has."""
    hits, listed = hits[:, :length], rows[:, :length][is_item[:, :length]]
    places, found = np.arange(1, hits.shape[1] + 1), hits.sum(axis=1)
    precisions = np.cumsum(hits, axis=1) / places
    is_listed = np.zeros(len(information), bool)
    is_listed[listed] = True
    return Ranking(
        users=len(rows),
        precision=float(np.sum(found / length)),
        recall=float(np.sum(found / numbers)),
        ndcg=float(np.sum(hits @ _discounts(hits.shape[1]) / _ideal(numbers, length))),
        hit_rate=float(np.count_nonzero(found)),
        mrr=float(np.sum((hits / places).max(axis=1))),
        map=float(np.sum((hits * precisions).sum(axis=1) / np.minimum(numbers, length))),
        information=float(information[listed].sum()),
        places=float(len(listed)),
        listed=np.packbits(is_listed),
    )


def expected_rankings(
    candidates: npt.NDArray[np.int64],
    relevant: npt.NDArray[np.int64],
    information: npt.NDArray[np.float64],
    lengths: Sequence[int],
) -> tuple[Ranking, ...]:
    """Return the sums over users that a random order of their candidates is expected to have, for each of `lengths`.

    With R relevant items among M candidates, each place has a hit with probability R / M, and two places have one with
    probability R (R - 1) / (M (M - 1)). No hit in r places has the probability C(M - R, r) / C(M, r), here as a product
    over places.

    Parameters
    ----------
    candidates, relevant : int64 (users,), M and R of each user, at least one.
    information : float64 (users,), mean self-information of each user's candidates.
    """
    m, relevant_items = candidates.astype(np.float64), relevant.astype(np.float64)
    share, pairs = relevant_items / m, (relevant_items - 1) / np.maximum(1.0, m - 1)
    none, first, average, gain = np.ones(len(m)), np.zeros(len(m)), np.zeros(len(m)), np.zeros(len(m))
    found: dict[int, Ranking] = {}
    for place in range(1, max(lengths) + 1):
        left = np.maximum(1.0, m - place + 1)
        chance = np.where(place <= m, share, 0.0)
        first += np.where(place <= m, none * np.minimum(1.0, relevant_items / left), 0.0) / place
        none = none * np.maximum(0.0, m - relevant_items - place + 1) / left
        average += chance * (1 + (place - 1) * pairs) / place
        gain += chance / np.log2(place + 1)
        if place in lengths:
            filled = np.minimum(m, place)
            found[place] = Ranking(
                users=len(m),
                precision=float(np.sum(share * filled / place)),
                recall=float(np.sum(filled / m)),
                ndcg=float(np.sum(gain / _ideal(relevant, place))),
                hit_rate=float(np.sum(1 - none)),
                mrr=float(first.sum()),
                map=float(np.sum(average / np.minimum(relevant_items, place))),
                information=float(np.sum(information * filled)),
                places=float(filled.sum()),
                listed=np.empty(0, np.uint8),
            )
    return tuple(found[length] for length in lengths)


def no_rankings(items: int, lengths: Sequence[int]) -> tuple[Ranking, ...]:
    """Return the sums over no users; `items` : of the lists, 0 for an expectation."""
    nothing = dict.fromkeys((*_OVER_USERS, "information", "places"), 0.0)
    return (Ranking(users=0, **nothing, listed=np.packbits(np.zeros(items, bool))),) * len(lengths)


def _discounts(places: int) -> npt.NDArray[np.float64]:
    return 1.0 / np.log2(np.arange(2, places + 2))


def _ideal(numbers: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.float64]:
    """Return the discounted gain of the best list for users with so many relevant items."""
    most = min(length, int(numbers.max(initial=1)))
    ideal: npt.NDArray[np.float64] = np.cumsum(_discounts(most))[np.minimum(numbers, most) - 1]
    return ideal
