"""Sums over the ratings of rows that are solved, in LLVM vectors.

Covers: `add_rows`, for any rank, in float32 or float64, and its loop over one row's ratings, `add_terms`.
Does not cover: vectors and rows (vector.py), the order of ratings (row_order.py).

A term is (t - w s) y with s = <x, y>. The loop over a row's ratings keeps x and the sum in registers and takes four
ratings at a time: their products are added up over the lanes in 13 operations, where each by itself takes eight. So a
rating of rank 64 takes 12.5 operations of the two units that multiply 16 numbers, of which eight multiply (AVX-512).

Each y is loaded twice, for its product and for the sum, as registers do not hold four rows beside x and the sum: LLVM
would put them on the stack. So rank 128 takes half the time (AVX-512), and rank 32 0.4 of it where there is AVX2
alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import float64, int32, int64, types, uint16
from numba.extending import intrinsic

from funkflow.tasks.kernels.cache import built_once, compiled
from funkflow.tasks.kernels.vector import DOUBLE, FAST_MATH, INT64, Row, Vector, array_data, forget, rank_of, rows_type

TERMS = 4
"""Ratings whose products are added up over lanes together."""
NUMBERS: dict[str, Any] = {"f4": types.float32, "f8": types.float64}
_AT_ONCE = 128
"""Ratings of a row that are added up in the rows' numbers, before their sum is added to that in float64."""


@intrinsic
def add_terms(  # type: ignore[no-untyped-def]
    _typing, rows, a, others, partners, begin, end, targets, confidences, weight, sums
):
    """Add the terms (t - w s) y of places begin to end - 1 to row a of the sums; return the sums of t s and of s^2.

    At a place, y is row partners[place] of the others, s = <x_a, y>, t is targets[place], and w is the weight. With
    confidences it is weight + confidences[place], and the second sum is that of w s^2. TERMS - 1 places behind `end`
    are read, too: their partners must exist. It checks nothing.

    rows, others : rows of `row_dtype`, of one type; a, begin, end : int64; partners : uint16; weight : of the rows'
    numbers; targets : likewise, or None for t = 0, and then the sums are 0; confidences : likewise, or None; sums :
    float64 (rows, w), or None, if only what is returned is wanted.
    """
    rank = rank_of(rows)
    kind = rows.dtype.typeof("factors").dtype
    given_at = [n for n, each in ((6, targets), (7, confidences)) if not isinstance(each, types.NoneType)]
    has_targets, has_confidences = 6 in given_at, 7 in given_at
    has_sums = not isinstance(sums, types.NoneType)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        given, of_others, at = (array_data(context, builder, signature.args[n], arguments[n]) for n in (0, 2, 3))
        goals, sure = (
            array_data(context, builder, signature.args[n], arguments[n]) if n in given_at else None for n in (6, 7)
        )
        begin, end, number = arguments[4], arguments[5], context.get_value_type(kind)
        x = Row(builder, given, arguments[1], rank, number)
        out = array_data(context, builder, signature.args[9], arguments[9]) if has_sums else None
        total = Row(builder, out, arguments[1], rank, DOUBLE) if has_sums else None
        zero, weight = Vector(builder, ir.Constant(number, -0.0)).spread(TERMS), Vector(builder, arguments[8])

        def add(place: ir.Value, state: list[Vector], inside: ir.Value | None) -> list[Vector]:
            """Return the state after TERMS places; `inside` : which of them count, None for all."""
            others = _rows_at(x, of_others, at, place)
            products = _totals([x.products(y) for y in others])
            weights = weight.spread(TERMS)
            if has_confidences:
                weights = weights + _numbers_at(builder, sure, place, number)
            weighed = weights * products
            pull, met = zero - weighed, []
            if has_targets:
                target = _numbers_at(builder, goals, place, number)
                pull = target + pull
                again = weighed if has_confidences else products
                seen, wanted, again = (each.where(inside).doubled() for each in (products, target, again))
                met = [state[-2] + wanted * seen, state[-1] + again * seen]
            pull, added = pull.where(inside), state[: len(zeros)]
            forget(builder)
            for n, y in enumerate(others if has_sums else ()):
                added = [
                    old + pull.shuffled([n] * each.lanes) * each for old, each in zip(added, y.again(), strict=True)
                ]
            return [*added, *met]

        def add_rest(place: ir.Value, state: list[Vector]) -> list[Vector]:
            left = Vector(builder, builder.sub(end, place)).spread(TERMS).value
            return add(place, state, builder.icmp_signed("<", ir.Constant(left.type, list(range(TERMS))), left))

        zeros = [
            Vector(builder, ir.Constant(ir.VectorType(number, each.lanes), None))
            for each in (x.vectors if has_sums else ())
        ]
        nothing = Vector(builder, ir.Constant(ir.VectorType(DOUBLE, TERMS), None))
        state = [*zeros, *([nothing] * 2 if has_targets else [])]
        whole = builder.add(begin, builder.and_(builder.sub(end, begin), ir.Constant(INT64, -TERMS)))
        state = _loop(builder, (begin, whole, TERMS), state, lambda place, state: add(place, state, None))
        state = _loop(builder, (whole, end, TERMS), state, add_rest)
        added, met = state[: len(zeros)], state[len(zeros) :]
        if total is not None:
            total.store([old + each.doubled() for old, each in zip(total.vectors, added, strict=True)])
        sums = [each.added().value for each in met] or [ir.Constant(DOUBLE, 0.0)] * 2
        return context.make_tuple(builder, signature.return_type, sums)

    result = types.UniTuple(float64, 2)
    return result(rows, a, others, partners, begin, end, targets, confidences, weight, sums), generate


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


def _rows_at(like: Row, others: ir.Value, partners: ir.Value, place: ir.Value) -> list[Row]:
    """Return the rows of the partners at TERMS places."""
    builder = like.builder
    rows = []
    for n in range(TERMS):
        partner = builder.load(builder.gep(partners, [builder.add(place, ir.Constant(INT64, n))]))
        rows.append(Row(builder, others, builder.zext(partner, INT64), like.rank, like.number))
    return rows


def _numbers_at(builder: ir.IRBuilder, numbers: ir.Value, place: ir.Value, number: ir.Type) -> Vector:
    """Return TERMS numbers from a place on."""
    kind = ir.VectorType(number, TERMS).as_pointer()
    loaded = builder.load(builder.bitcast(builder.gep(numbers, [place]), kind))
    loaded.align = 4
    return Vector(builder, loaded)


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
    confidences, weight : as for `add_terms`.
    rows : (rows,) of `row_dtype`; others : likewise, the rows that partners number; sums : float64 (rows, w).
    """
    met = squared = 0.0
    for row in range(len(starts) - 1):
        for begin in range(starts[row], starts[row + 1], _AT_ONCE):
            end = min(begin + _AT_ONCE, int64(starts[row + 1]))
            seen = add_terms(rows, row, others, partners, begin, end, targets, confidences, weight, sums)
            met += seen[0]
            squared += seen[1]
    return met, squared


def _see_rows(starts, partners, targets, one, rows, others, seen):  # type: ignore[no-untyped-def]
    """Add t s and s^2, s = <x, y>, of all ratings of each row to `seen`, float64 (rows, 2); others as in `_add_rows`.

    one : 1, of the rows' type.
    """
    for row in range(len(starts) - 1):
        for begin in range(starts[row], starts[row + 1], _AT_ONCE):
            end = min(begin + _AT_ONCE, int64(starts[row + 1]))
            found = add_terms(rows, row, others, partners, begin, end, targets, None, one, None)
            seen[row, 0] += found[0]
            seen[row, 1] += found[1]


@built_once
def add_rows(width: int, number: str, has_targets: bool, sure: bool = False) -> Callable[..., tuple[float, float]]:
    """Return `_add_rows` for rows of `width` numbers, f4 or f8, with targets or None; sure : with confidences."""
    constant = functools.partial(types.Array, ndim=1, layout="C", readonly=True)
    kind, given = NUMBERS[number], rows_type(width, number, readonly=True)
    signature = types.UniTuple(float64, 2)(
        constant(int32), constant(uint16), *(constant(kind) if each else types.none for each in (has_targets, sure)),
        kind, given, given, types.Array(float64, 2, "C"),
    )  # fmt: skip
    return compiled(signature, error_model="numpy", fastmath=set(FAST_MATH))(_add_rows)


@built_once
def see_rows(width: int, number: str) -> Callable[..., None]:
    """Return `_see_rows` for rows of `width` numbers, f4 or f8."""
    constant = functools.partial(types.Array, ndim=1, layout="C", readonly=True)
    kind, given = NUMBERS[number], rows_type(width, number, readonly=True)
    signature = types.void(
        constant(int32), constant(uint16), constant(kind), kind, given, given, types.Array(float64, 2, "C")
    )
    return compiled(signature, error_model="numpy", fastmath=set(FAST_MATH))(_see_rows)
