"""Which algorithm this is: a number that every run's id has in it.

Covers: that number, apart from the kernels it speaks of, so that it is known without compiling them.
Does not cover: the form of files (pipeline/root/store.py: FORMAT_VERSION).
"""

from __future__ import annotations

ALGORITHM_VERSION = 4
"""To be raised whenever the same ratings and settings come to give other bits."""
