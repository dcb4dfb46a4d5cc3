"""In which order an epoch goes through the blocks of a P x P grid, and how one task takes many of them at once.

Covers: the strata of an epoch; cutting the grid to shares, so that one worker goes through all blocks of a share of the
user shards and a share of the item shards without exchanging anything; and taking what is exchanged out of the rest.
Does not cover: what is done in a block (tasks/training/sgd.py), or which worker has which share
(pipeline/training/placed_grid.py).

A shard's number is written in digits, one for each prime factor of P, the smallest first and leading. Stratum
t = (t1, t2, …) holds the blocks (a, b) whose digits are b_i = (a_i + t_i) mod p_i: P blocks of which no two share a
user or an item, as in stratified SGD (Gemulla et al. 2011), where b = (a + t) mod P. With digits, the strata that begin
with the same t1 form p1 squares of blocks that have no shard in common, those with the same t1 and t2 smaller ones, and
so on. An epoch finishes the strata of one beginning before it goes on to another. So a square can be left to one worker
whole, and however large the squares are, every shard meets its blocks in the same order: the same bits.
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
class Turn:
    """What happens between two exchanges of item shards: each share of users meets one share of items.

    `partners` : for each share of user shards, the share of item shards that it meets; `visits` : the blocks that it
    then goes through, in order.
    """

    partners: tuple[int, ...]
    visits: tuple[tuple[Visit, ...], ...]


class Met(Protocol[T_co]):
    """A share of users after a turn, with something for each item shard of the share that they met."""

    @property
    def items(self) -> tuple[T_co, ...] | None: ...


def items_of(met: Met[T] | tuple[T, ...]) -> tuple[T, ...]:
    """Return the items alone, so that they can travel without the users."""
    items = met if isinstance(met, tuple) else met.items
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
    """Return into how many shares P shards are cut: as few as give every worker one, or P if there are more workers."""
    counts = itertools.accumulate(prime_factors(shards), lambda product, factor: product * factor, initial=1)
    return next((count for count in counts if count >= workers), shards)


def tasks_of(shares: int) -> int:
    """Return the tasks of an epoch: a descent and a hand-over of items for each two that meet, and a score for each.

    One share hands nothing over: one task descends, for one epoch or several, and one tells what came of it.
    """
    return 2 * shares**2 + shares if shares > 1 else 2


def strata_of_epoch(seed: int, epoch: int, shards: int) -> list[list[int]]:
    """Return for each stratum, in the order of this epoch, the item shard that each user shard meets.

    The order is drawn from the seed and the epoch.
    """
    random = np.random.default_rng(np.random.SeedSequence([seed, epoch]))
    strata: list[list[int]] = [[0] * shards]
    size = shards
    for factor in prime_factors(shards):
        size //= factor
        digits = [a // size % factor for a in range(shards)]
        strata = [
            [begun + (digit + step) % factor * size for begun, digit in zip(columns, digits, strict=True)]
            for columns in strata
            for step in random.permutation(factor).tolist()
        ]
    return strata


def turns_of_epoch(seed: int, epoch: int, shards: int, shares: int) -> list[Turn]:
    """Return the epoch as turns of shares; `shares` is one of those that `shares_for` gives."""
    size = shards // shares
    strata = strata_of_epoch(seed, epoch, shards)
    turns = []
    for start in range(0, shards, size):
        together = strata[start : start + size]
        partners = tuple(together[0][share * size] // size for share in range(shares))
        visits = tuple(
            tuple((a, columns[a]) for columns in together for a in range(share * size, (share + 1) * size))
            for share in range(shares)
        )
        turns.append(Turn(partners, visits))
    return turns
