"""The memory and disk that effects of time need.

Covers: days and effects in the worker with most, ratings without effects in a sweep, blocks of days on disk.
Does not cover: the training around them (sgd_memory.py, posterior_memory.py).
"""

from __future__ import annotations

from funkflow.pipeline.planning.method_memory import Workload

_SLOT_RATINGS = 4
"""Ratings of a user on a day, at least: MovieLens has 20 to 80, MovieTweetings 2.7, Netflix about 5."""
_SLOT_BYTES, _EFFECT_VERSIONS = 16, 6
"""Of a slot: user, day and number; versions of its effect in float64, of epochs or chains in flight and in the step."""
_PLACE_BYTES = 4
"""Of a rating: the number of its slot."""
_FINDING_BYTES = 14
"""A rating of a row whose slots are looked up: its blocks as read, and of one block at a time keys and their order."""
_BARE_BYTES, _ORDERED_BYTES = 6, 6
"""A rating without the effects of time in a sweep, as it is and in the order of the items."""
_DAY_BYTES = 4
"""A rating's day on disk."""


def time_bytes(work: Workload) -> float:
    """Return the bytes of days and effects in the worker with most; 0 for a training without."""
    if not work.timed:
        return 0.0
    ratings = work.size.ratings * work.part
    slots = ratings / _SLOT_RATINGS * (_SLOT_BYTES + 8 * _EFFECT_VERSIONS)
    return ratings * _PLACE_BYTES + slots + work.tasks * work.size.ratings / work.shards * _FINDING_BYTES


def sweep_bytes(work: Workload, together: int) -> float:
    """Return the bytes of ratings without the effects of time; together : chains whose sweeps run at once."""
    sweeps = min(together, work.threads)
    return sweeps * work.size.ratings * work.part * (_BARE_BYTES + _ORDERED_BYTES) if work.timed else 0.0


def days_on_disk(work: Workload) -> float:
    """Return the bytes of blocks of days."""
    return work.size.ratings * _DAY_BYTES if work.timed else 0.0
