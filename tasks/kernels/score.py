"""The compiled error of predictions, and the CPU target of the kernels.

Covers: `score_ratings`, with an explicit signature so that every call on every worker runs the same machine code. The
first call of a kernel compiles it or loads it from numba's cache, so the client, which only submits tasks, never waits.
Does not cover: its plain reference (reference.py), the descent step (sgd.py), or scoring validation ratings
(tasks/training/score.py, pipeline).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import llvmlite.binding
import numba
import numpy as np
from numba import float32, float64, int32, types

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.vector import BIAS, FAST_MATH


def cpu_target() -> str:
    """Return the target of the kernels: the CPU, a checksum of its features, and numba's version.

    Fast-math bits may differ between targets, so checkpoints record the target, and all workers of a run share one.
    """
    name = getattr(numba.config, "CPU_NAME", None) or llvmlite.binding.get_host_cpu_name()
    features = getattr(numba.config, "CPU_FEATURES", None) or llvmlite.binding.get_host_cpu_features().flatten()
    return f"{name}/{zlib.crc32(features.encode()):08x}, numba {numba.__version__}"


def _score_ratings(  # type: ignore[no-untyped-def]
    user_rows,
    item_rows,
    ratings,
    user_factors,
    user_states,
    item_factors,
    item_states,
    mean,
    deviation,
    least,
    greatest,
    offsets,
):
    """Return the sums of squared and of absolute errors of the clipped predictions, in rating units.

    The third sum is that of the squared products of factors, without biases.

    Row -1 is a user or item without training ratings: it adds neither bias nor factors.

    Parameters
    ----------
    user_rows, item_rows : int32 (n,); ratings : float32 (n,), in rating units.
    mean, deviation : float64, undo centring and scaling.
    least, greatest : float64, the clipping scale (may be infinite).
    offsets : float64 (n,), added to each prediction before it is scaled; (0,): nothing is.
    """
    rank = user_factors.shape[1]
    squared = 0.0
    absolute = 0.0
    carried = 0.0
    for n in range(len(ratings)):
        a = user_rows[n]
        b = item_rows[n]
        score = np.float32(0.0)
        if a >= 0 and b >= 0:
            for f in range(rank):
                score += user_factors[a, f] * item_factors[b, f]
            carried += float64(score) * float64(score)
        if a >= 0:
            score += user_states[a, BIAS]
        if b >= 0:
            score += item_states[b, BIAS]
        if len(offsets):
            score += float32(offsets[n])
        predicted = min(max(mean + deviation * float64(score), least), greatest)
        error = float64(ratings[n]) - predicted
        squared += error * error
        absolute += abs(error)
    return squared, absolute, deviation * deviation * carried


@built_once
def score_ratings() -> Callable[..., tuple[float, float, float]]:
    """Return `_score_ratings`, compiled."""
    index, numbers = types.Array(int32, 1, "C", readonly=True), types.Array(float32, 1, "C", readonly=True)
    signature = types.UniTuple(float64, 3)(
        index,
        index,
        numbers,
        *[types.Array(float32, 2, "C", readonly=True)] * 4,
        *[float64] * 4,
        types.Array(float64, 1, "C", readonly=True),
    )
    return compiled(signature, error_model="numpy", fastmath=set(FAST_MATH))(_score_ratings)
