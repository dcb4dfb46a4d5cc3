"""Python's search for garbage, which imports and the exit of a program repeat without finding any.

Covers: putting it off while modules are imported, as usual from then on, and none at the exit.
Does not cover: memory that no cycle holds, which Python frees at once; programs that import funkflow.

A run imports half a million objects. The searches among them take a fifth of the time of its imports, and the last one,
at the exit, 0.2 s of a processor.
"""

from __future__ import annotations

import gc

_OBJECTS_OF_IMPORTS = 100_000
_AS_USUAL = (700, 10, 10)


def search_rarely() -> None:
    """Search once many objects are new: before imports."""
    gc.set_threshold(_OBJECTS_OF_IMPORTS)


def search_as_usual() -> None:
    """Search as often as Python does, but not among what is there: after imports, before work."""
    gc.freeze()
    gc.set_threshold(*_AS_USUAL)


def search_no_more() -> None:
    """Leave all that is there to the exit of the process."""
    gc.freeze()
