"""Python's search for garbage, which imports and the exit of a program repeat without finding any.

Covers: putting it off while our own programs import modules, as usual from then on, and none at the exit.
Does not cover: memory that no cycle holds, which Python frees at once; programs that import funkflow.

The imports of a run make more than a million tuples and dicts. The searches among them take a fifth of the time of the
imports, and the last one, at the exit, 0.2 s of a processor.
"""

from __future__ import annotations

import gc

_RARELY = 1_000_000
_before: list[tuple[int, int, int]] = []


def search_rarely() -> None:
    """Search once a million objects are new: before imports."""
    _before.append(gc.get_threshold())
    gc.set_threshold(_RARELY)


def search_as_usual() -> None:
    """Search as often as before `search_rarely`, but not among what is there: after imports, before work."""
    if _before:
        gc.freeze()
        gc.set_threshold(*_before.pop())


def search_no_more() -> None:
    """Leave all that is there to the exit of the process."""
    gc.freeze()
