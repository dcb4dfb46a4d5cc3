"""The arithmetic of one rating in LLVM vectors, for the loops in sgd.py and als.py.

Covers: operations on rows of factors, for any rank, in vectors of 16 numbers: `step_once`, `mean_square`, `add_term`.
Does not cover: the loops over ratings, the state of a row and the formulas (sgd.py, als.py), or the plain reference
(reference.py).

Numba compiles scalar loops and leaves vectors to LLVM, which here uses half the processor's width, keeps each scalar of
a row's state apart, and reloads the rows between the two loops of a step. As vectors, a row of rank 64 is four
registers with one load and one store: 75 M ratings/s a thread against 42 M/s (rank 64, AVX-512). A processor with
narrower registers uses two or four per vector. The rank is part of a row's type (`row_dtype`), so each rank has its own
machine code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import float32, from_dtype, types
from numba.extending import intrinsic

LANES = 16

BIAS, FACTOR_SQUARES, BIAS_SQUARES, MEAN_SQUARE, KEEP, RATE, BIAS_KEEP, BIAS_RATE = range(8)
"""Columns of a row's state, see sgd.py."""
STATE_WIDTH = 8

FAST_MATH = ("reassoc", "contract", "arcp", "nsz")
"""Vector units need sums in any order; infinities and NaN keep their meaning, so that divergence shows."""

_FLOAT = ir.FloatType()
_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)


def row_dtype(rank: int, dtype: npt.DTypeLike = np.float32) -> np.dtype[np.void]:
    """Return the type of one row of factors: a record of `rank` numbers, so that Numba's types include the rank."""
    return np.dtype([("factors", dtype, (rank,))])


def rows_type(rank: int, dtype: npt.DTypeLike = np.float32, readonly: bool = False) -> Any:
    """Return Numba's type of a matrix of factors, as rows of `row_dtype`."""
    return types.Array(from_dtype(row_dtype(rank, dtype)), 1, "C", readonly=readonly)


class _Vector:
    """An LLVM number or vector of numbers, float or double, with the arithmetic of `FAST_MATH`."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: _Vector) -> _Vector:
        return _Vector(self.builder, self.builder.fadd(self.value, other.value, flags=FAST_MATH))

    def __sub__(self, other: _Vector) -> _Vector:
        return _Vector(self.builder, self.builder.fsub(self.value, other.value, flags=FAST_MATH))

    def __mul__(self, other: _Vector) -> _Vector:
        return _Vector(self.builder, self.builder.fmul(self.value, other.value, flags=FAST_MATH))

    @property
    def lanes(self) -> int:
        return int(self.value.type.count)

    def lane(self, number: int) -> _Vector:
        """Return one number of a vector."""
        return _Vector(self.builder, self.builder.extract_element(self.value, ir.Constant(_INT32, number)))

    def shuffled(self, order: Sequence[int]) -> _Vector:
        """Return the lanes in another order; lanes beyond this vector are zeros."""
        zeros = ir.Constant(self.value.type, None)
        chosen = ir.Constant(ir.VectorType(_INT32, len(order)), list(order))
        return _Vector(self.builder, self.builder.shuffle_vector(self.value, zeros, chosen))

    def widened(self) -> _Vector:
        """Return 16 lanes, padded with zeros."""
        return self.shuffled([min(lane, self.lanes) for lane in range(LANES)])

    def spread(self, lanes: int) -> _Vector:
        """Return a number in every lane of a vector."""
        vector = ir.Constant(ir.VectorType(self.value.type, lanes), ir.Undefined)
        first = self.builder.insert_element(vector, self.value, ir.Constant(_INT32, 0))
        return _Vector(self.builder, first).shuffled([0] * lanes)

    def total(self) -> _Vector:
        """Return the sum of 16 lanes in every lane: four exchanges, each over half the distance."""
        summed = self
        for distance in (8, 4, 2, 1):
            summed = summed + summed.shuffled([lane ^ distance for lane in range(LANES)])
        return summed


class _Row:
    """One row of factors in memory as vectors of 16 lanes and a remainder; `number` : float or double."""

    def __init__(
        self, builder: ir.IRBuilder, factors: ir.Value, row: ir.Value, rank: int, number: ir.Type = _FLOAT
    ) -> None:
        start = builder.gep(
            builder.bitcast(factors, number.as_pointer()), [builder.mul(row, ir.Constant(_INT64, rank))]
        )
        self.places, self.vectors = [], []
        for first in range(0, rank, LANES):
            kind = ir.VectorType(number, min(LANES, rank - first)).as_pointer()
            place = builder.bitcast(builder.gep(start, [ir.Constant(_INT64, first)]), kind)
            loaded = builder.load(place)
            loaded.align = 4
            self.places.append(place)
            self.vectors.append(_Vector(builder, loaded))

    def dot(self, other: _Row) -> _Vector:
        """Return <this, other> in each of 16 lanes."""
        products = [(mine * theirs).widened() for mine, theirs in zip(self.vectors, other.vectors, strict=True)]
        while len(products) > 1:  # as a tree, to shorten the chain of sums
            paired = zip(products[0::2], products[1::2], strict=False)
            products = [left + right for left, right in paired] + products[len(products) // 2 * 2 :]
        return products[0].total()

    def store(self, vectors: Sequence[_Vector]) -> None:
        for place, vector in zip(self.places, vectors, strict=True):
            vector.builder.store(vector.value, place).align = 4


class _State:
    """One row's state in memory."""

    def __init__(self, builder: ir.IRBuilder, states: ir.Value, row: ir.Value) -> None:
        self.builder = builder
        self.start = builder.gep(states, [builder.mul(row, ir.Constant(_INT64, STATE_WIDTH))])

    def __getitem__(self, column: int) -> _Vector:
        return _Vector(self.builder, self.builder.load(self._place(column)))

    def __setitem__(self, column: int, value: _Vector) -> None:
        self.builder.store(value.value, self._place(column))

    def _place(self, column: int) -> ir.Value:
        return self.builder.gep(self.start, [ir.Constant(_INT64, column)])


def _array_data(context: Any, builder: ir.IRBuilder, kind: Any, array: ir.Value) -> ir.Value:
    return context.make_array(kind)(context, builder, array).data


def _rank_of(factors: Any) -> int:
    return int(factors.dtype.typeof("factors").shape[0])


@intrinsic
def step_once(_typing, users, user_states, a, items, item_states, b, rating):  # type: ignore[no-untyped-def]
    """Take the step of one rating of user row a and item row b, in place; return its squared error, float32.

    users, items : rows of `row_dtype`; user_states, item_states : float32 (rows, 8), refreshed; a, b : int64;
    rating : float32. It checks nothing.
    """
    rank = _rank_of(users)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        data = [_array_data(context, builder, signature.args[n], arguments[n]) for n in (0, 1, 3, 4)]
        u, v = _Row(builder, data[0], arguments[2], rank), _Row(builder, data[2], arguments[5], rank)
        user, item = _State(builder, data[1], arguments[2]), _State(builder, data[3], arguments[5])
        # In all lanes, so that the error need not be spread again.
        residual = (_Vector(builder, arguments[6]) - user[BIAS] - item[BIAS]).spread(LANES)
        error = residual - u.dot(v)
        e = error.lane(0)
        user_pull, item_pull = error * user[RATE].spread(LANES), error * item[RATE].spread(LANES)
        moved_u, moved_v = [], []
        for x, y in zip(u.vectors, v.vectors, strict=True):
            first = range(x.lanes)
            moved_u.append(user[KEEP].spread(x.lanes) * x + user_pull.shuffled(first) * y)
            moved_v.append(item[KEEP].spread(x.lanes) * y + item_pull.shuffled(first) * x)
        squared = e * e
        after = [
            (
                own[BIAS_KEEP] * own[BIAS] + own[BIAS_RATE] * e,
                own[FACTOR_SQUARES] + squared * other[MEAN_SQUARE],
                own[BIAS_SQUARES] + squared,
            )
            for own, other in ((user, item), (item, user))
        ]
        u.store(moved_u)  # all loads come before the first store
        v.store(moved_v)
        for state, values in zip((user, item), after, strict=True):
            state[BIAS], state[FACTOR_SQUARES], state[BIAS_SQUARES] = values
        return squared.value

    return float32(users, user_states, a, items, item_states, b, rating), generate


@intrinsic
def mean_square(_typing, factors, row):  # type: ignore[no-untyped-def]
    """Return the mean of the squares of one row of factors, float32."""
    rank = _rank_of(factors)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        x = _Row(builder, _array_data(context, builder, signature.args[0], arguments[0]), arguments[1], rank)
        return (x.dot(x).lane(0) * _Vector(builder, ir.Constant(_FLOAT, float(np.float32(1.0 / rank))))).value

    return float32(factors, row), generate


@intrinsic
def add_term(_typing, rows, a, others, b, sums, c, target, weight):  # type: ignore[no-untyped-def]
    """Add (target - weight <x_a, y_b>) y_b to row c of the sums, in place; return <x_a, y_b>.

    rows, others, sums : rows of `row_dtype`, all of one type; a, b, c : int64; target, weight : of that type's numbers.
    It checks nothing.
    """
    rank = _rank_of(rows)
    number = rows.dtype.typeof("factors").dtype

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        x, y, total = (
            _Row(
                builder, _array_data(context, builder, signature.args[n], arguments[n]), arguments[n + 1], rank,
                context.get_value_type(number),
            )
            for n in (0, 2, 4)
        )  # fmt: skip
        product = x.dot(y)
        pull = _Vector(builder, arguments[6]).spread(LANES) - _Vector(builder, arguments[7]).spread(LANES) * product
        total.store(
            [old + pull.shuffled(range(each.lanes)) * each for old, each in zip(total.vectors, y.vectors, strict=True)]
        )
        return product.lane(0).value

    return number(rows, a, others, b, sums, c, target, weight), generate
