"""The version of the algorithm, which is part of every run's id.

Covers: that number, apart from the kernels, so that reading it compiles nothing.
Does not cover: the form of files (pipeline/root/store.py: FORMAT_VERSION).
"""

from __future__ import annotations

ALGORITHM_VERSION = 10
"""Increase it whenever the same ratings and settings give other bits."""
