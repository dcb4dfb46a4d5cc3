"""Go through the tiles of a block with several threads, in an order that gives the bits of going one by one.

Covers: which tile waits for which: tiles that share users or items keep their order, all others may run together.
Does not cover: what is done in a tile (sgd.py), or how many threads there are (pipeline).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence

from funkflow.tasks.kernels.threads import together


def go_through(tiles: Sequence[tuple[Hashable, Hashable]], visit: Callable[[int], None], threads: int) -> None:
    """Call `visit(n)` once for each tile n, as soon as those before it that share a row or a column are done.

    Parameters
    ----------
    tiles : row and column of each tile, in the order that counts.
    visit : releases the interpreter's lock while it works, else threads gain nothing. What it raises is raised here,
        once all that had begun is over; tiles that waited for it are not visited.
    """
    followers, waits = _dependencies(tiles)
    ready = deque(number for number, count in enumerate(waits) if not count)
    failures: dict[int, Exception] = {}
    changed = threading.Condition()
    visiting = 0

    def loop() -> None:
        nonlocal visiting
        while True:
            with changed:
                while visiting and not ready:
                    changed.wait()
                if not ready:
                    return
                number = ready.popleft()
                visiting += 1
            after: list[int] = []
            try:
                visit(number)
                after = followers[number]
            except Exception as failure:
                failures[number] = failure
            finally:
                with changed:
                    visiting -= 1
                    for follower in after:
                        waits[follower] -= 1
                        if not waits[follower]:
                            ready.append(follower)
                    changed.notify_all()

    together(loop, threads)
    if failures:
        raise failures[min(failures)]


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
