"""The order in which an epoch goes through the blocks of a P x P grid.

Covers: the strata of an epoch, and shares: a worker goes through all blocks of a share of the user shards and a share
of the item shards without an exchange.
Does not cover: the work in a block (tasks/training/sgd.py), the workers (pipeline/training/placed_grid.py).

A shard's number is written in digits, one for each prime factor of P, the smallest first and leading. Stratum
t = (t1, t2, …) holds the blocks (a, b) whose digits are b_i = (a_i + t_i) mod p_i: P blocks of which no two share a
user or an item, as in stratified SGD (Gemulla et al. 2011), where b = (a + t) mod P. With digits, the strata that begin
with the same t1 form p1 squares of blocks that have no shard in common, those with the same t1 and t2 smaller ones, and
so on. An epoch finishes the strata that begin alike before it takes others. So one worker can take a whole square, and
whatever the size of the squares, every shard meets its blocks in the same order: the same bits.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Visit = tuple[int, int]
"""A block: its user shard and its item shard."""


@dataclass(frozen=True)
class ShareStratum:
    """The work between two exchanges of item shards: each share of users meets one share of items.

    `partners` : for each share of user shards, the share of item shards that it meets; `visits` : the blocks where
    they meet, in order.
    """

    partners: tuple[int, ...]
    visits: tuple[tuple[Visit, ...], ...]


class WithItems(Protocol[T_co]):
    """A share of users after a stratum, with something for each item shard of the share that they met."""

    @property
    def items(self) -> tuple[T_co, ...] | None: ...


def items_of(result: WithItems[T] | tuple[T, ...]) -> tuple[T, ...]:
    """Return the items alone, so that they can travel without the users."""
    items = result if isinstance(result, tuple) else result.items
    assert items is not None
    return items


def prime_factors(number: int) -> list[int]:
    """Return the prime factors in ascending order; of 1, none."""
    factors, factor = [], 2
    while factor * factor <= number:
        while number % factor == 0:
            factors.append(factor)
            number //= factor
        factor += 1
    return factors + [number] * (number > 1)


def shares_for(shards: int, workers: int) -> int:
    """Return the number of shares of P shards: the fewest that give every worker one, else P."""
    counts = itertools.accumulate(prime_factors(shards), lambda product, factor: product * factor, initial=1)
    return next((count for count in counts if count >= workers), shards)


def tasks_of(shares: int) -> int:
    """Return the number of tasks of an epoch.

    Each pair of shares has a descent and a hand-over of items, and each share a score. One share hands nothing over:
    one task descends, for one epoch or several, and another returns the history.
    """
    return 2 * shares**2 + shares if shares > 1 else 2


def strata_of_epoch(seed: int, epoch: int, shards: int) -> list[list[int]]:
    """Return for each stratum, in the order of this epoch, the item shard that each user shard meets.

    Seed and epoch decide the order.
    """
    random = np.random.default_rng(np.random.SeedSequence([seed, epoch]))
    strata: list[list[int]] = [[0] * shards]
    size = shards
    for factor in prime_factors(shards):
        size //= factor
        digits = [a // size % factor for a in range(shards)]
        strata = [
            [column + (digit + step) % factor * size for column, digit in zip(columns, digits, strict=True)]
            for columns in strata
            for step in random.permutation(factor).tolist()
        ]
    return strata


def strata_of_shares(seed: int, epoch: int, shards: int, shares: int) -> list[ShareStratum]:
    """Return the epoch as strata of shares; `shares` is a number that `shares_for` returns."""
    size = shards // shares
    strata = strata_of_epoch(seed, epoch, shards)
    of_shares = []
    for start in range(0, shards, size):
        together = strata[start : start + size]
        partners = tuple(together[0][share * size] // size for share in range(shares))
        visits = tuple(
            tuple((a, columns[a]) for columns in together for a in range(share * size, (share + 1) * size))
            for share in range(shares)
        )
        of_shares.append(ShareStratum(partners, visits))
    return of_shares
