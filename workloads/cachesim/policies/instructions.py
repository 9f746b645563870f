"""Processor instructions that numba has no name for.

`prefetch` fetches the state that a request soon needs while earlier requests are replayed: the trace is known, so the
random access of request i + AHEAD can start at request i. A hint never changes a result and never faults; without it a
simulation whose state exceeds the caches waits for memory at nearly every request. `leading_zeros` counts the zero bits
above the highest set bit of a 64-bit word, `set_bits` its bits that are set. `lower_behind` takes one from the end of a
short row of numbers with vector instructions: left to itself the compiler unrolls such a loop into single numbers or
not, as its heuristics have it, and is up to 6 times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

AHEAD = 24  # requests; 16 to 32 measure alike
LANES = 32  # numbers in a row of `lower_behind`


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Fetches the cache line of `array[index]` (first axis, index not negative), to be written."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type, index_type = signature.args
        data = context.make_array(array_type)(context, builder, arguments[0])
        position = context.cast(builder, arguments[1], index_type, types.uint64)
        step_bytes = builder.extract_value(data.strides, 0)
        address = builder.add(builder.ptrtoint(data.data, step_bytes.type), builder.mul(position, step_bytes))
        byte_pointer = builder.inttoptr(address, ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        hint = builder.module.declare_intrinsic(
            "llvm.prefetch.p0", fnty=ir.FunctionType(ir.VoidType(), [byte_pointer.type, word, word, word])
        )
        for_writing, keep, data_cache = word(1), word(3), word(1)
        builder.call(hint, [byte_pointer, for_writing, keep, data_cache])
        return context.get_dummy_value()

    return types.none(array, index), generate


def _leading_zeros(typing_context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


def _set_bits(typing_context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _lower_behind(typing_context: Any, array: Any, row: Any, place: Any) -> Any:
    """array[row, place + 1 :] -= 1, for a contiguous array [n, LANES] of unsigned integers; row and place uint64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        number = context.get_data_type(array_type.dtype)
        numbers = ir.VectorType(number, LANES)
        data = context.make_array(array_type)(context, builder, arguments[0]).data
        start = builder.gep(data, [builder.mul(arguments[1], ir.Constant(ir.IntType(64), LANES))])
        address = builder.bitcast(start, numbers.as_pointer())
        place_here = builder.trunc(arguments[2], number) if number.width < 64 else arguments[2]
        undefined = ir.Constant(numbers, ir.Undefined)
        first = builder.insert_element(undefined, place_here, ir.Constant(ir.IntType(32), 0))
        places = builder.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        )
        behind = builder.icmp_unsigned(">", ir.Constant(numbers, list(range(LANES))), places)
        before = builder.load(address, align=number.width // 8)
        after = builder.add(before, builder.sext(behind, numbers))  # true is extended to -1
        builder.store(after, address, align=number.width // 8)
        return context.get_dummy_value()

    return types.none(array, types.uint64, types.uint64), generate


prefetch = cast(Callable[[Any, Any], None], intrinsic(_prefetch))
leading_zeros = cast(Callable[[Any], Any], intrinsic(_leading_zeros))
set_bits = cast(Callable[[Any], Any], intrinsic(_set_bits))
lower_behind = cast(Callable[[Any, Any, Any], None], intrinsic(_lower_behind))
