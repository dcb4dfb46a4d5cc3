"""The orders' slow, obvious twins: Python's own stable sort, by a key that says the order.

Covers: what `counted_order`, `sorted_pairs` and `tile_order` mean; tests hold the two together.
Does not cover: speed. It shares no code with order.py and kernels_order.py on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence


def count_plainly(keys: Sequence[int], size: int) -> tuple[list[int], list[int]]:
    """Return the stable order of keys from 0 to size - 1, and where in it each key begins, and the last ends."""
    order = sorted(range(len(keys)), key=lambda n: keys[n])
    return order, [sum(key < each for key in keys) for each in range(size + 1)]


def sort_pairs_plainly(users: Sequence[int], items: Sequence[int]) -> list[int]:
    """Return the stable order by user, then item."""
    return sorted(range(len(users)), key=lambda n: (users[n], items[n]))


def tile_plainly(user_rows: Sequence[int], item_rows: Sequence[int], tile_users: int, tile_items: int) -> list[int]:
    """Return the stable order by user tile, item tile, user, item."""
    return sorted(
        range(len(user_rows)),
        key=lambda n: (user_rows[n] // tile_users, item_rows[n] // tile_items, user_rows[n], item_rows[n]),
    )
