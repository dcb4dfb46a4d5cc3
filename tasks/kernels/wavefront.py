"""Visit the tiles of a block with several threads; the results have the bits of a sequential visit.

Covers: the dependencies: tiles that share users or items keep their order, all others may run in parallel.
Does not cover: the work in a tile (sgd.py), or the number of threads (pipeline).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence

from funkflow.tasks.kernels.threads import run_together


def visit_tiles(tiles: Sequence[tuple[Hashable, Hashable]], visit: Callable[[int], None], threads: int) -> None:
    """Call `visit(n)` once for each tile n, after all earlier tiles that share its row or column.

    Parameters
    ----------
    tiles : row and column of each tile, in sequential order.
    visit : must release the interpreter's lock, else threads gain nothing. Its exception is raised once all running
        visits are over; tiles that wait for the failed one are not visited.
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

    run_together(loop, threads)
    if failures:
        raise failures[min(failures)]


def _dependencies(tiles: Sequence[tuple[Hashable, Hashable]]) -> tuple[list[list[int]], list[int]]:
    """Return the next tiles in each tile's row and column, and the number of tiles that each tile waits for."""
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
