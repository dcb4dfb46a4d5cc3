"""The hot loops keep their vectors in registers, also where there are few.

Covers: the machine code of tasks/kernels/sgd.py and tasks/kernels/row_terms.py for processors that need not be here.
Does not cover: how fast they are, which `make bench` measures.
"""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
import pytest
from numba import float32, float64, int32, int64, types, uint8, uint16

from funkflow.tasks.kernels import row_terms, sgd
from funkflow.tasks.kernels.vector import FAST_MATH, rows_type

PROCESSORS = {"x86_64": ["znver3", "sapphirerapids"], "AMD64": ["znver3", "sapphirerapids"]}
CONSTANT = functools.partial(types.Array, ndim=1, layout="C", readonly=True)


def of_descent(rank: int) -> tuple[Callable[..., Any], Any]:
    matrix, rows = types.Array(float32, 2, "C"), rows_type(rank)
    return sgd._descend_tiles, types.void(
        int64, int64, types.Array(int64, 2, "C", readonly=True), CONSTANT(int32), CONSTANT(int64), CONSTANT(uint16),
        CONSTANT(uint8), CONSTANT(float32), rows, matrix, rows, matrix, float32, float32, float32,
        types.Array(float64, 1, "C"), types.none, types.none, types.none, types.none,
    )  # fmt: skip


def of_row_sums(rank: int) -> tuple[Callable[..., Any], Any]:
    rows = rows_type(rank, "f4", readonly=True)
    return row_terms._add_rows, types.UniTuple(float64, 2)(
        CONSTANT(int32), CONSTANT(uint16), types.none, types.none, float32, rows, rows, types.Array(float64, 2, "C")
    )  # fmt: skip


@functools.cache
def assembly(loop: Callable[[int], Any], rank: int, processor: str) -> str:
    """Return the machine code of a loop for a processor, from the code that LLVM has optimised for this one."""
    function, signature = loop(rank)
    made: Any = numba.njit(signature, nogil=True, error_model="numpy", fastmath=set(FAST_MATH))(function)
    module = llvm.parse_assembly(next(iter(made.inspect_llvm().values())))
    machine = llvm.Target.from_triple(module.triple).create_target_machine(cpu=processor, opt=3)
    return str(machine.emit_assembly(module))


@pytest.mark.parametrize("processor", PROCESSORS.get(platform.machine(), []))
@pytest.mark.parametrize(("loop", "rank"), [(of_descent, 64), (of_descent, 128), (of_row_sums, 32), (of_row_sums, 64)])
def test_no_vector_goes_to_the_stack(loop: Callable[[int], Any], rank: int, processor: str) -> None:
    """In the stretch of code that multiplies most; the sums of rank 128 alone need more than 16 registers."""
    stretches = re.split(r"\n(?=[.\w]+:)", assembly(loop, rank, processor))
    hottest = max(stretches, key=lambda code: len(re.findall("vfmadd", code)))
    assert len(re.findall("vfmadd", hottest)) >= rank // 8
    assert re.findall(r"vmov\w+\s+%[yz]mm\d+, -?\d*\(%rsp\)", hottest) == []
