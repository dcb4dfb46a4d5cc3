"""The loops that run once a rating, compiled: the descent step and the score. The only file that knows numba.

Covers: `descend_ratings` and `score_ratings`, with explicit signatures so that every call on every worker runs the same
machine code.
Does not cover: their slow, obvious twins (plain.py), shapes and copies (descend.py, score.py), or which block comes
when (pipeline).

Row state, one float32 row of four for each user or item: bias, sum of squared factor gradients (mean over the k
factors), sum of squared bias gradients, unused (16 bytes keep a row's state in one cache line).
"""

from __future__ import annotations

import math
import zlib

import llvmlite.binding
import numba
import numpy as np
from numba import float32, float64, int32

_MATRIX = numba.types.Array(float32, 2, "C")
_INDEX = numba.types.Array(int32, 1, "C", readonly=True)
_RATINGS = numba.types.Array(float32, 1, "C", readonly=True)
_FROZEN = numba.types.Array(float32, 2, "C", readonly=True)
_TWO_SUMS = numba.types.UniTuple(float64, 2)

_FAST_MATH = {"reassoc", "contract", "arcp", "nsz"}
"""Sums may be taken in any order, which is what vector units need; infinities and NaN keep their meaning, so that
divergence shows."""

ALGORITHM_VERSION = 1
"""To be raised whenever the same ratings and settings come to give other bits: it is part of every run's id."""

BIAS, FACTOR_SQUARES, BIAS_SQUARES, STATE_WIDTH = 0, 1, 2, 4


def cpu_target() -> str:
    """Return what kernels are compiled for: the CPU, a checksum of its features, and who compiles.

    Fast-math bits may differ between targets, so checkpoints carry it, and all workers of a run share one.
    """
    name = getattr(numba.config, "CPU_NAME", None) or llvmlite.binding.get_host_cpu_name()
    features = getattr(numba.config, "CPU_FEATURES", None) or llvmlite.binding.get_host_cpu_features().flatten()
    return f"{name}/{zlib.crc32(features.encode()):08x}, numba {numba.__version__}"


@numba.njit(
    float64(_INDEX, _INDEX, _RATINGS, _MATRIX, _MATRIX, _MATRIX, _MATRIX, float32, float32, float32),
    nogil=True, cache=True, error_model="numpy", fastmath=_FAST_MATH,
)  # fmt: skip
def descend_ratings(  # type: ignore[no-untyped-def]  # typed by the signature above
    user_rows, item_rows, ratings, user_factors, user_states, item_factors, item_states, l2, step, bias_step
):
    """Take one gradient step for each rating in turn, in place; return the sum of squared errors met on the way.

    For a rating r of user row a and item row b, e = r - b_a - b_b - <u_a, v_b>, and with the negative half gradients
    g = e v_b - l2 u_a and h = e u_a - l2 v_b, both from the old values,
    u_a += step / sqrt(G_a) g, v_b += step / sqrt(G_b) h, then G_a += mean(g^2), G_b += mean(h^2): Adagrad (Duchi 2011)
    with one accumulator a row, as LIBMF has it (Chin 2015). The biases alike, with `bias_step` and accumulators of
    their own.

    Parameters
    ----------
    user_rows, item_rows : int32 (n,), rows local to the two shards; the caller has checked that they are inside.
    ratings : float32 (n,), centred and divided by the standard deviation.
    user_factors, item_factors : float32 (rows, k), changed in place.
    user_states, item_states : float32 (rows, 4), changed in place.
    l2, step, bias_step : float32; a `bias_step` of 0 leaves the biases alone.
    """
    rank = user_factors.shape[1]
    share = np.float32(1.0) / np.float32(rank)
    one = np.float32(1.0)
    squared_error = 0.0
    for n in range(len(ratings)):
        a = user_rows[n]
        b = item_rows[n]
        u = user_factors[a]
        v = item_factors[b]
        product = np.float32(0.0)
        for f in range(rank):
            product += u[f] * v[f]
        error = ratings[n] - user_states[a, BIAS] - item_states[b, BIAS] - product
        squared_error += float64(error) * float64(error)
        user_rate = step * (one / math.sqrt(user_states[a, FACTOR_SQUARES]))
        item_rate = step * (one / math.sqrt(item_states[b, FACTOR_SQUARES]))
        user_squares = np.float32(0.0)
        item_squares = np.float32(0.0)
        for f in range(rank):
            x = u[f]
            y = v[f]
            g = error * y - l2 * x
            h = error * x - l2 * y
            user_squares += g * g
            item_squares += h * h
            u[f] = x + user_rate * g
            v[f] = y + item_rate * h
        user_states[a, FACTOR_SQUARES] += user_squares * share
        item_states[b, FACTOR_SQUARES] += item_squares * share
        g = error - l2 * user_states[a, BIAS]
        h = error - l2 * item_states[b, BIAS]
        user_states[a, BIAS] += bias_step * (one / math.sqrt(user_states[a, BIAS_SQUARES])) * g
        item_states[b, BIAS] += bias_step * (one / math.sqrt(item_states[b, BIAS_SQUARES])) * h
        user_states[a, BIAS_SQUARES] += g * g
        item_states[b, BIAS_SQUARES] += h * h
    return squared_error


@numba.njit(
    _TWO_SUMS(_INDEX, _INDEX, _RATINGS, _FROZEN, _FROZEN, _FROZEN, _FROZEN, float64, float64, float64, float64),
    nogil=True, cache=True, error_model="numpy", fastmath=_FAST_MATH,
)  # fmt: skip
def score_ratings(  # type: ignore[no-untyped-def]
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
):
    """Return the sums of squared and of absolute errors of the clipped predictions, in rating units.

    Row -1 stands for a user or item that training never saw: it adds neither bias nor factors.

    Parameters
    ----------
    user_rows, item_rows : int32 (n,); ratings : float32 (n,), in rating units.
    mean, deviation : float64, undo centring and scaling.
    least, greatest : float64, the clipping scale (may be infinite).
    """
    rank = user_factors.shape[1]
    squared = 0.0
    absolute = 0.0
    for n in range(len(ratings)):
        a = user_rows[n]
        b = item_rows[n]
        score = np.float32(0.0)
        if a >= 0 and b >= 0:
            for f in range(rank):
                score += user_factors[a, f] * item_factors[b, f]
        if a >= 0:
            score += user_states[a, BIAS]
        if b >= 0:
            score += item_states[b, BIAS]
        predicted = min(max(mean + deviation * float64(score), least), greatest)
        error = float64(ratings[n]) - predicted
        squared += error * error
        absolute += abs(error)
    return squared, absolute
