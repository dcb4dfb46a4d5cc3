"""Go through the tiles of a block with several threads, in an order that gives the bits of going one by one.

Covers: which tile waits for which: tiles that share users or items keep their order, all others may run together.
Does not cover: what is done in a tile (kernels_descend.py), or how many threads there are (pipeline).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait


def go_through(tiles: Sequence[tuple[Hashable, Hashable]], visit: Callable[[int], None], threads: int) -> None:
    """Call `visit(n)` once for each tile n, as soon as those before it that share a row or a column are done.

    Parameters
    ----------
    tiles : row and column of each tile, in the order that counts.
    visit : releases the interpreter's lock while it works, else threads gain nothing. What it raises is raised here,
        once all that had begun is over; tiles that waited for it are not visited.
    """
    followers, waits = _dependencies(tiles)
    lock = threading.Lock()
    begun: list[Future[None]] = []

    def visit_and_follow(number: int) -> None:
        visit(number)
        with lock:
            for follower in followers[number]:
                waits[follower] -= 1
                if not waits[follower]:
                    begun.append(pool.submit(visit_and_follow, follower))

    with ThreadPoolExecutor(threads, thread_name_prefix="tiles") as pool:
        with lock:
            begun += [pool.submit(visit_and_follow, number) for number, count in enumerate(list(waits)) if not count]
        finished = 0
        while finished < len(begun):  # what a visit starts is in the list before the visit itself is over
            known = len(begun)
            wait(begun[finished:known])
            finished = known
    for each in begun:
        each.result()


def _dependencies(tiles: Sequence[tuple[Hashable, Hashable]]) -> tuple[list[list[int]], list[int]]:
    """Return which tiles come next in each tile's row and column, and how many each tile waits for."""
    followers: list[list[int]] = [[] for _ in tiles]
    waits = [0] * len(tiles)
    last: dict[tuple[str, Hashable], int] = {}
    for number, (row, column) in enumerate(tiles):
        for line in (("row", row), ("column", column)):
            if line in last:
                followers[last[line]].append(number)
                waits[number] += 1
            last[line] = number
    return followers, waits
