"""The arithmetic of one rating in LLVM vectors, for the loops in sgd.py and row_terms.py.

Covers: operations on rows of factors, for any rank, in vectors of 16 numbers: `dot`, `step_once`, `mean_square`,
`add_scaled`.
Does not cover: the loops over ratings, the state of a row and the formulas (sgd.py), the terms of row solves
(row_terms.py), or the plain reference (reference.py).

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
DOUBLE = ir.DoubleType()
_INT32 = ir.IntType(32)
INT64 = ir.IntType(64)


def row_dtype(rank: int, dtype: npt.DTypeLike = np.float32) -> np.dtype[np.void]:
    """Return the type of one row of factors: a record of `rank` numbers, so that Numba's types include the rank."""
    return np.dtype([("factors", dtype, (rank,))])


def rows_type(rank: int, dtype: npt.DTypeLike = np.float32, readonly: bool = False) -> Any:
    """Return Numba's type of a matrix of factors, as rows of `row_dtype`."""
    return types.Array(from_dtype(row_dtype(rank, dtype)), 1, "C", readonly=readonly)


class Vector:
    """An LLVM number or vector of numbers, float or double, with the arithmetic of `FAST_MATH`."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: Vector) -> Vector:
        return Vector(self.builder, self.builder.fadd(self.value, other.value, flags=FAST_MATH))

    def plus(self, other: Vector) -> Vector:
        """Return the sum; LLVM may not put it in another order."""
        return Vector(self.builder, self.builder.fadd(self.value, other.value, flags=("contract", "nsz")))

    def __sub__(self, other: Vector) -> Vector:
        return Vector(self.builder, self.builder.fsub(self.value, other.value, flags=FAST_MATH))

    def __mul__(self, other: Vector) -> Vector:
        return Vector(self.builder, self.builder.fmul(self.value, other.value, flags=FAST_MATH))

    @property
    def lanes(self) -> int:
        return int(self.value.type.count)

    def lane(self, number: int) -> Vector:
        """Return one number of a vector."""
        return Vector(self.builder, self.builder.extract_element(self.value, ir.Constant(_INT32, number)))

    def shuffled(self, order: Sequence[int]) -> Vector:
        """Return the lanes in another order; lanes beyond this vector are zeros."""
        zeros = ir.Constant(self.value.type, None)
        chosen = ir.Constant(ir.VectorType(_INT32, len(order)), list(order))
        return Vector(self.builder, self.builder.shuffle_vector(self.value, zeros, chosen))

    def widened(self) -> Vector:
        """Return 16 lanes, padded with zeros."""
        return self.shuffled([min(lane, self.lanes) for lane in range(LANES)])

    def spread(self, lanes: int) -> Vector:
        """Return a number in every lane of a vector."""
        vector = ir.Constant(ir.VectorType(self.value.type, lanes), ir.Undefined)
        first = self.builder.insert_element(vector, self.value, ir.Constant(_INT32, 0))
        return Vector(self.builder, first).shuffled([0] * lanes)

    def mixed(self, other: Vector, order: Sequence[int]) -> Vector:
        """Return lanes of this vector and, from its number of lanes on, of another one."""
        chosen = ir.Constant(ir.VectorType(_INT32, len(order)), list(order))
        return Vector(self.builder, self.builder.shuffle_vector(self.value, other.value, chosen))

    def interleaved(self, other: Vector, lanes: Sequence[int]) -> Vector:
        """Return, for every four lanes, two of this vector and two of another by turns."""
        return self.mixed(other, [at + lane + of for at in range(0, LANES, 4) for lane in lanes for of in (0, LANES)])

    def pairs(self, other: Vector, lanes: Sequence[int]) -> Vector:
        """Return, for every four lanes, two of this vector, then two of another."""
        return self.mixed(other, [at + lane + of for at in range(0, LANES, 4) for of in (0, LANES) for lane in lanes])

    def doubled(self) -> Vector:
        """Return the numbers as doubles."""
        kind = self.value.type
        if kind.element == DOUBLE:
            return self
        return Vector(self.builder, self.builder.fpext(self.value, ir.VectorType(DOUBLE, kind.count)))

    def where(self, kept: ir.Value | None) -> Vector:
        """Return the lanes that are kept, the others as zeros; None keeps all."""
        if kept is None:
            return self
        return Vector(self.builder, self.builder.select(kept, self.value, ir.Constant(self.value.type, None)))

    def added(self) -> Vector:
        """Return the sum of all lanes, in order."""
        first, *others = (self.lane(number) for number in range(self.lanes))
        for other in others:
            first = first + other
        return first

    def total(self) -> Vector:
        """Return the sum of 16 lanes in every lane: four exchanges, each over half the distance."""
        summed = self
        for distance in (8, 4, 2, 1):
            summed = summed + summed.shuffled([lane ^ distance for lane in range(LANES)])
        return summed


class Row:
    """One row of factors in memory as vectors of 16 lanes and a remainder; `number` : float or double."""

    def __init__(
        self, builder: ir.IRBuilder, factors: ir.Value, row: ir.Value, rank: int, number: ir.Type = _FLOAT
    ) -> None:
        start = builder.gep(builder.bitcast(factors, number.as_pointer()), [builder.mul(row, ir.Constant(INT64, rank))])
        self.builder, self.rank, self.number = builder, rank, number
        self.places, self.vectors = [], []
        for first in range(0, rank, LANES):
            kind = ir.VectorType(number, min(LANES, rank - first)).as_pointer()
            place = builder.bitcast(builder.gep(start, [ir.Constant(INT64, first)]), kind)
            self.places.append(place)
            self.vectors.append(_loaded(builder, place))

    def again(self) -> list[Vector]:
        """Return the vectors, loaded again."""
        return [_loaded(self.builder, place) for place in self.places]

    def products(self, other: Row) -> Vector:
        """Return 16 lanes whose sum is <this, other>."""
        first, *others = ((mine * theirs).widened() for mine, theirs in zip(self.vectors, other.vectors, strict=True))
        for each in others:
            first = first + each
        return first

    def dot(self, other: Row) -> Vector:
        """Return <this, other> in each of 16 lanes, from a tree of sums: a chain of them would take longer."""
        products = [(mine * theirs).widened() for mine, theirs in zip(self.vectors, other.vectors, strict=True)]
        while len(products) > 1:
            paired = zip(products[0::2], products[1::2], strict=False)
            products = [left.plus(right) for left, right in paired] + products[len(products) // 2 * 2 :]
        return products[0].total()

    def store(self, vectors: Sequence[Vector]) -> None:
        for place, vector in zip(self.places, vectors, strict=True):
            vector.builder.store(vector.value, place).align = 4


def forget(builder: ir.IRBuilder) -> None:
    """Keep LLVM from using what was loaded before for what is loaded after: it would keep it on the stack."""
    builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], side_effect=True)


def _loaded(builder: ir.IRBuilder, place: ir.Value) -> Vector:
    loaded = builder.load(place)
    loaded.align = 4
    return Vector(builder, loaded)


class _State:
    """One row's state in memory."""

    def __init__(self, builder: ir.IRBuilder, states: ir.Value, row: ir.Value) -> None:
        self.builder = builder
        self.start = builder.gep(states, [builder.mul(row, ir.Constant(INT64, STATE_WIDTH))])

    def __getitem__(self, column: int) -> Vector:
        return Vector(self.builder, self.builder.load(self._place(column)))

    def __setitem__(self, column: int, value: Vector) -> None:
        self.builder.store(value.value, self._place(column))

    def _place(self, column: int) -> ir.Value:
        return self.builder.gep(self.start, [ir.Constant(INT64, column)])


def array_data(context: Any, builder: ir.IRBuilder, kind: Any, array: ir.Value) -> ir.Value:
    """Return the address of an array's first number."""
    return context.make_array(kind)(context, builder, array).data


def rank_of(factors: Any) -> int:
    """Return the rank in Numba's type of rows."""
    return int(factors.dtype.typeof("factors").shape[0])


@intrinsic
def dot(_typing, users, a, items, b):  # type: ignore[no-untyped-def]
    """Return <u, v> of user row a and item row b, in their type; users, items : rows of `row_dtype`; a, b : int64."""
    rank, kind = rank_of(users), users.dtype.typeof("factors").dtype

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        of_users, of_items = (array_data(context, builder, signature.args[n], arguments[n]) for n in (0, 2))
        number = context.get_value_type(kind)
        u, v = (Row(builder, *each, rank, number) for each in ((of_users, arguments[1]), (of_items, arguments[3])))
        return u.dot(v).lane(0).value

    return kind(users, a, items, b), generate


@intrinsic
def step_once(_typing, users, user_states, a, items, item_states, b, rating, product):  # type: ignore[no-untyped-def]
    """Take the step of one rating of user row a and item row b, in place; return its squared error, float32.

    users, items : rows of `row_dtype`; user_states, item_states : float32 (rows, 8), refreshed; a, b : int64;
    rating : float32; product : `dot` of the two rows. It checks nothing.

    Each vector of the rows is loaded and stored before the next one: 16 registers hold no two rows of rank 64.
    """
    rank = rank_of(users)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        data = [array_data(context, builder, signature.args[n], arguments[n]) for n in (0, 1, 3, 4)]
        user, item = _State(builder, data[1], arguments[2]), _State(builder, data[3], arguments[5])
        e = Vector(builder, arguments[6]) - user[BIAS] - item[BIAS] - Vector(builder, arguments[7])
        squared = e * e
        keeps, pulls = (user[KEEP], item[KEEP]), (e * user[RATE], e * item[RATE])
        after = [
            (
                own[BIAS_KEEP] * own[BIAS] + own[BIAS_RATE] * e,
                own[FACTOR_SQUARES] + squared * other[MEAN_SQUARE],
                own[BIAS_SQUARES] + squared,
            )
            for own, other in ((user, item), (item, user))
        ]
        u, v = Row(builder, data[0], arguments[2], rank), Row(builder, data[2], arguments[5], rank)
        for place_u, place_v in zip(u.places, v.places, strict=True):
            x, y = _loaded(builder, place_u), _loaded(builder, place_v)
            for place, own, other, keep, pull in zip((place_u, place_v), (x, y), (y, x), keeps, pulls, strict=True):
                moved = keep.spread(x.lanes) * own + pull.spread(x.lanes) * other
                builder.store(moved.value, place).align = 4
        for state, values in zip((user, item), after, strict=True):
            state[BIAS], state[FACTOR_SQUARES], state[BIAS_SQUARES] = values
        return squared.value

    return float32(users, user_states, a, items, item_states, b, rating, product), generate


@intrinsic
def mean_square(_typing, factors, row):  # type: ignore[no-untyped-def]
    """Return the mean of the squares of one row of factors, float32."""
    rank = rank_of(factors)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        x = Row(builder, array_data(context, builder, signature.args[0], arguments[0]), arguments[1], rank)
        return (x.dot(x).lane(0) * Vector(builder, ir.Constant(_FLOAT, float(np.float32(1.0 / rank))))).value

    return float32(factors, row), generate


@intrinsic
def add_scaled(_typing, rows, a, added, factor):  # type: ignore[no-untyped-def]
    """Add `factor` times row a of `added` to row a of `rows`, in place; a : int64; factor : float32."""
    rank = rank_of(rows)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        mine, other = (
            Row(builder, array_data(context, builder, signature.args[n], arguments[n]), arguments[1], rank)
            for n in (0, 2)
        )
        by = Vector(builder, arguments[3])
        pairs = zip(mine.vectors, other.vectors, strict=True)
        mine.store([own + by.spread(own.lanes) * more for own, more in pairs])
        return context.get_dummy_value()

    return types.none(rows, a, added, factor), generate
