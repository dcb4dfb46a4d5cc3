"""Sums over the ratings of rows that are solved, in LLVM vectors.

Covers: `add_rows`, for any rank, in float32 or float64, and its two loops over one row's ratings, `pulls_of` and
`add_pulled`.
Does not cover: vectors and rows (vector.py), the order of ratings (als.py).

A term is (t - w s) y with s = <x, y>. The first loop over a row's ratings keeps x in registers and takes four at a
time: their products are added up over the lanes in 13 operations, where each by itself takes eight. It writes the pulls
t - w s to memory, from where the second loop loads each into all lanes at once, and keeps the sum in registers. So a
rating of rank 64 takes 11.5 operations of the two units that multiply 16 numbers, of which eight multiply
(AVX-512).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float64, int32, int64, types, uint16
from numba.extending import intrinsic

from funkflow.tasks.kernels.cache import compiled
from funkflow.tasks.kernels.vector import DOUBLE, FAST_MATH, INT64, Row, Vector, array_data, rank_of, rows_type

TERMS = 4
"""Ratings whose products are added up over lanes together."""
NUMBERS: dict[str, Any] = {"f4": types.float32, "f8": types.float64}
_AT_ONCE = 64
"""Ratings of a row between both loops, so that partners stay in the L1 cache."""
_SUMS_APART = 8
"""Vectors of sums in the second loop: a multiplication takes four cycles, and two may start in each."""


@intrinsic
def pulls_of(  # type: ignore[no-untyped-def]
    _typing, rows, a, others, partners, begin, end, targets, confidences, weight, pulls
):
    """Write t - w <x_a, y> of places begin to end - 1 to `pulls`; return the sums of t <x_a, y> and <x_a, y>^2.

    At a place, y is row partners[place] of the others, t is targets[place], and w is the weight. With confidences it is
    weight + confidences[place], and the second sum is that of w <x_a, y>^2. TERMS - 1 places behind `end` are read,
    too: their partners must exist. Behind the last pull TERMS zeros are written. It checks nothing.

    rows, others : rows of `row_dtype`, of one type; a, begin, end : int64; partners : uint16; weight : of the rows'
    numbers; targets : likewise, or None for t = 0, and then the sums are 0; confidences : likewise, or None; pulls : of
    the rows' numbers.
    """
    rank = rank_of(rows)
    kind = rows.dtype.typeof("factors").dtype
    given_at = [n for n, each in ((6, targets), (7, confidences)) if not isinstance(each, types.NoneType)]
    has_targets, has_confidences = 6 in given_at, 7 in given_at

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        given, of_others, at, out = (
            array_data(context, builder, signature.args[n], arguments[n]) for n in (0, 2, 3, 9)
        )
        goals, sure = (
            array_data(context, builder, signature.args[n], arguments[n]) if n in given_at else None for n in (6, 7)
        )
        begin, end, number = arguments[4], arguments[5], context.get_value_type(kind)
        x = Row(builder, given, arguments[1], rank, number)
        zero, weight = Vector(builder, ir.Constant(number, -0.0)).spread(TERMS), Vector(builder, arguments[8])

        def add(place: ir.Value, state: list[Vector]) -> list[Vector]:
            products = _totals([x.products(y) for y in _rows_at(x, of_others, at, place)])
            weights = weight.spread(TERMS)
            if has_confidences:
                weights = weights + _numbers_at(builder, sure, place, number)
            weighed = weights * products
            pull = zero - weighed
            if has_targets:
                target = _numbers_at(builder, goals, place, number)
                pull = target + pull
                left = Vector(builder, builder.sub(end, place)).spread(TERMS)
                lanes = ir.Constant(left.value.type, list(range(TERMS)))
                is_inside = builder.icmp_signed("<", lanes, left.value)
                seen, wanted = (each.where(is_inside).doubled() for each in (products, target))
                again = weighed.where(is_inside).doubled() if has_confidences else seen
                state = [state[0] + wanted * seen, state[1] + again * seen]
            _put_numbers(builder, out, builder.sub(place, begin), pull)
            return state

        nothing = Vector(builder, ir.Constant(ir.VectorType(DOUBLE, TERMS), None))
        state = _loop(builder, (begin, end, TERMS), [nothing, nothing] if has_targets else [], add)
        zeros = Vector(builder, ir.Constant(ir.VectorType(number, TERMS), None))
        _put_numbers(builder, out, builder.sub(end, begin), zeros)
        sums = [each.added().value for each in state] or [ir.Constant(DOUBLE, 0.0)] * 2
        return context.make_tuple(builder, signature.return_type, sums)

    result = types.UniTuple(float64, 2)
    return result(rows, a, others, partners, begin, end, targets, confidences, weight, pulls), generate


@intrinsic
def add_pulled(_typing, others, partners, begin, end, pulls, sums, a):  # type: ignore[no-untyped-def]
    """Add the sum of pulls[place - begin] y over places begin to end - 1 to row a of the sums, float64 (rows, w).

    All is as `pulls_of` takes and leaves it. Up to four sums are kept apart, so that one need not wait for another.
    """
    rank = rank_of(others)
    kind = others.dtype.typeof("factors").dtype

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        of_others, at, given, out = (
            array_data(context, builder, signature.args[n], arguments[n]) for n in (0, 1, 4, 5)
        )
        begin, end, number = arguments[2], arguments[3], context.get_value_type(kind)
        total = Row(builder, out, arguments[6], rank, DOUBLE)
        apart = max(1, min(TERMS, _SUMS_APART // len(total.vectors)))
        zeros = [Vector(builder, ir.Constant(ir.VectorType(number, each.lanes), None)) for each in total.vectors]

        def add(place: ir.Value, state: list[Vector]) -> list[Vector]:
            after = []
            for n, y in enumerate(_rows_at(total, of_others, at, place, apart, number)):
                taken = builder.gep(given, [builder.add(builder.sub(place, begin), ir.Constant(INT64, n))])
                pull = Vector(builder, builder.load(taken))
                mine = state[n * len(zeros) : (n + 1) * len(zeros)]
                after += [old + pull.spread(each.lanes) * each for old, each in zip(mine, y.vectors, strict=True)]
            return after

        state = _loop(builder, (begin, end, apart), zeros * apart, add)
        while len(state) > len(zeros):
            half = len(state) // 2
            state = [left + right for left, right in zip(state[:half], state[half:], strict=True)]
        total.store([old + each.doubled() for old, each in zip(total.vectors, state, strict=True)])
        return context.get_dummy_value()

    return types.void(others, partners, begin, end, pulls, sums, a), generate


def _loop(
    builder: ir.IRBuilder, places: tuple[ir.Value, ir.Value, int], state: list[Vector],
    step: Callable[[ir.Value, list[Vector]], list[Vector]],
) -> list[Vector]:  # fmt: skip
    """Return the state after a step at each place, from a first one up to an end; the state stays in registers."""
    begin, end, stride = places
    before = builder.block
    body, after = builder.append_basic_block("step"), builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed("<", begin, end), body, after)
    builder.position_at_end(body)
    place = builder.phi(INT64)
    phis = [builder.phi(each.value.type) for each in state]
    stepped = step(place, [Vector(builder, phi) for phi in phis])
    following = builder.add(place, ir.Constant(INT64, stride))
    for phi, first, last in zip([place, *phis], [begin, *_values(state)], [following, *_values(stepped)], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(last, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, end), body, after)
    last_block = builder.block
    builder.position_at_end(after)
    ended = [builder.phi(each.value.type) for each in state]
    for phi, first, last in zip(ended, _values(state), _values(stepped), strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(last, last_block)
    return [Vector(builder, phi) for phi in ended]


def _rows_at(
    like: Row, others: ir.Value, partners: ir.Value, place: ir.Value, count: int = TERMS, number: ir.Type = None
) -> list[Row]:
    """Return the rows of the partners at some places."""
    builder = like.builder
    rows = []
    for n in range(count):
        partner = builder.load(builder.gep(partners, [builder.add(place, ir.Constant(INT64, n))]))
        rows.append(Row(builder, others, builder.zext(partner, INT64), like.rank, number or like.number))
    return rows


def _numbers_at(builder: ir.IRBuilder, numbers: ir.Value, place: ir.Value, number: ir.Type) -> Vector:
    """Return TERMS numbers from a place on."""
    kind = ir.VectorType(number, TERMS).as_pointer()
    loaded = builder.load(builder.bitcast(builder.gep(numbers, [place]), kind))
    loaded.align = 4
    return Vector(builder, loaded)


def _put_numbers(builder: ir.IRBuilder, numbers: ir.Value, place: ir.Value, vector: Vector) -> None:
    kind = vector.value.type.as_pointer()
    builder.store(vector.value, builder.bitcast(builder.gep(numbers, [place]), kind)).align = 4


def _totals(several: Sequence[Vector]) -> Vector:
    """Return the sums of 16 lanes of four vectors as four lanes: the sums of two go on in one vector."""
    one, two, three, four = several
    left, right = (
        first.interleaved(second, (0, 1)) + first.interleaved(second, (2, 3))
        for first, second in ((one, two), (three, four))
    )
    joined = left.pairs(right, (0, 1)) + left.pairs(right, (2, 3))
    for lanes in (8, 4):
        joined = joined.shuffled(range(lanes)) + joined.shuffled(range(lanes, 2 * lanes))
    return joined


def _values(vectors: Sequence[Vector]) -> list[ir.Value]:
    return [each.value for each in vectors]


def _add_rows(  # type: ignore[no-untyped-def]
    starts, partners, targets, confidences, weight, rows, others, sums
):
    """Add (t - w s) y of all ratings of each row, s = <x, y>, to its sums; return the sums of t s and of s^2.

    Parameters
    ----------
    starts, partners, targets : of `order_by_user` or `order_by_item`; targets : None for t = 0, and then the function
        returns zeros.
    confidences, weight : as for `pulls_of`.
    rows : (rows,) of `row_dtype`; others : likewise, the rows that partners number; sums : float64 (rows, w).
    """
    met = squared = 0.0
    pulls = np.empty(_AT_ONCE + TERMS, type(weight))
    for row in range(len(starts) - 1):
        for begin in range(starts[row], starts[row + 1], _AT_ONCE):
            end = min(begin + _AT_ONCE, int64(starts[row + 1]))
            seen = pulls_of(rows, row, others, partners, begin, end, targets, confidences, weight, pulls)
            add_pulled(others, partners, begin, end, pulls, sums, row)
            met += seen[0]
            squared += seen[1]
    return met, squared


@functools.cache
def add_rows(width: int, number: str, has_targets: bool, sure: bool = False) -> Callable[..., tuple[float, float]]:
    """Return `_add_rows` for rows of `width` numbers, f4 or f8, with targets or None; sure : with confidences."""
    constant = functools.partial(types.Array, ndim=1, layout="C", readonly=True)
    kind, given = NUMBERS[number], rows_type(width, number, readonly=True)
    signature = types.UniTuple(float64, 2)(
        constant(int32), constant(uint16), *(constant(kind) if each else types.none for each in (has_targets, sure)),
        kind, given, given, types.Array(float64, 2, "C"),
    )  # fmt: skip
    return compiled(signature, error_model="numpy", fastmath=set(FAST_MATH))(_add_rows)
