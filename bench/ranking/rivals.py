"""Rivals in NumPy: the most rated items, EASE, and the scores of any factors.

Covers: their scores on a split. Does not cover: rivals from packages (bench/peers/implicit_ranking.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.ranking.held_out import HeldOut
from bench.ranking.measures import Scores

EASE_L2 = (200.0, 500.0, 1000.0)
EASE_ITEMS = 20_000
"""EASE inverts a matrix of items by items; above this it is left out."""
_BATCH = 1024


def most_rated(held_out: HeldOut) -> Scores:
    """Return the number of training ratings of each item, for every user."""
    counts = np.bincount(held_out.training[1], minlength=held_out.shape[1]).astype(np.float32)
    return lambda users: np.tile(counts, (len(users), 1))


def of_factors(users: npt.NDArray[np.float32], items: npt.NDArray[np.float32]) -> Scores:
    """Return the products of factors, by dense id."""
    return lambda some: users[some] @ items.T


def ease(held_out: HeldOut, l2: float) -> Scores:
    """Return the scores of EASE (Steck 2019): the closed form of an item-item model with a diagonal of 0.

    With fewer users than items, (X^T X + l2)^-1 comes from the smaller matrix of users (Woodbury).
    """
    users, items = held_out.shape
    if users < items:
        rated = held_out.rated(np.arange(users, dtype=np.int32))
        of_users = rated @ rated.T + np.float32(l2) * np.eye(users, dtype=np.float32)
        inverse = (np.eye(items, dtype=np.float32) - rated.T @ np.linalg.solve(of_users, rated)) / np.float32(l2)
    else:
        inverse = np.linalg.inv(_item_products(held_out) + np.float32(l2) * np.eye(items, dtype=np.float32))
    weights = np.asarray(inverse / -np.diag(inverse), np.float32)
    np.fill_diagonal(weights, 0.0)
    return lambda some: held_out.rated(some) @ weights


def _item_products(held_out: HeldOut) -> npt.NDArray[np.float32]:
    """Return X^T X of the cells with a rating, float32 (items, items)."""
    every = np.arange(held_out.shape[0], dtype=np.int32)
    products = np.zeros((held_out.shape[1],) * 2, np.float32)
    for first in range(0, len(every), _BATCH):
        rated = held_out.rated(every[first : first + _BATCH])
        products += rated.T @ rated
    return products
