"""The machine code of `kernels`, by numba: inner loops over vectors, in LLVM's terms, and what threads do with it.

The vectors are eight floats wide; LLVM makes of them what the processor has. All kernels are in this one file: numba's
cache notices when it changes.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numba.core
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

from resonantgen.instruments.jit import kernel

LANES = 8
GROUP = 16  # inputs of a channel of int8 weights that share a scale: a multiple of the lanes
OUTPUTS_AT_ONCE = {1: 8, 2: 4, 3: 4, 4: 2}  # for rows: their sums are to fit in 16 registers
_OPEN, _NEXT, _INSIDE = 0, 64, 128  # bytes on the helpers' desk, each on a cache line of its own
LINEAR_F32, LINEAR_INT8, ATTEND = 1, 2, 3  # what a job is; a job is int64s: what it is, pieces, and its arguments
ARGUMENTS = 12

_instruction: Any = intrinsic  # numba's own annotations are of little use here
cgutils: Any = numba.core.cgutils
types: Any = numba.core.types

# What numba has no words for: memory by address, atomics, and inner loops over vectors. ------------------------------

_I64, _F32 = ir.IntType(64), ir.FloatType()
_LANES_F32, _LANES_I32 = ir.VectorType(_F32, LANES), ir.VectorType(ir.IntType(32), LANES)
_LANES_I8 = ir.VectorType(ir.IntType(8), LANES)


def _integer(value: int) -> Any:
    return ir.Constant(_I64, value)


def _load(builder: Any, kind: Any, address: Any, align: int) -> Any:
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=align)


def _store(builder: Any, value: Any, address: Any, align: int) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=align)


def _lanes(builder: Any, value: Any, count: int = LANES) -> Any:
    """A scalar in every lane."""
    kind, places = ir.VectorType(value.type, count), ir.VectorType(ir.IntType(32), count)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), ir.Constant(places, [0] * count))


def _bfloat16(builder: Any, kind: Any, address: Any) -> Any:
    """The bfloat16 there as a float, or in every lane: its bits are the upper half of the float's."""
    half = _load(builder, ir.IntType(16), address, 2)
    if kind == _F32:
        wide, bits = builder.zext(half, ir.IntType(32)), ir.Constant(ir.IntType(32), 16)
    else:  # twice in each lane: that is one instruction
        wide = builder.bitcast(_lanes(builder, half, 2 * LANES), _LANES_I32)
        bits = ir.Constant(_LANES_I32, [16] * LANES)
    return builder.bitcast(builder.shl(wide, bits), kind)


def _constant(value: float) -> Any:
    return ir.Constant(_LANES_F32, [value] * LANES)


def _halved(builder: Any, vector: Any, join: Callable[[Any, Any], Any]) -> Any:
    """The lanes joined to a scalar, the upper half to the lower half."""
    width = LANES
    while width > 1:
        width //= 2
        halves = (ir.Constant(ir.VectorType(ir.IntType(32), width), list(range(at, at + width))) for at in (0, width))
        low, high = (builder.shuffle_vector(vector, vector, half) for half in halves)
        vector = join(low, high)
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    name = "llvm.fmuladd.v8f32" if a.type == _LANES_F32 else "llvm.fmuladd.f32"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(a.type, [a.type] * 3), name)
    return builder.call(function, [a, b, c])


def _prefetch(builder: Any, address: Any) -> None:
    pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [pointer, number, number, number]), "llvm.prefetch.p0i8"
    )
    builder.call(function, [builder.inttoptr(address, pointer), *(ir.Constant(number, n) for n in (0, 3, 1))])


def _offset(builder: Any, address: Any, index: Any, size: int) -> Any:
    return builder.add(address, builder.mul(index, _integer(size)))


def _loop(builder: Any, start: Any, stop: Any, step: int) -> Any:
    return cgutils.for_range_slice(builder, start, stop, _integer(step), _I64)


def _dots(
    builder: Any, rows: int, outputs: int, weight_size: int, x: Any, weight: Any, scale: Any, columns: Any
) -> dict[Any, Any]:
    """The sums of `rows` rows of x with `outputs` rows of weights, both of `columns` numbers: {(row, output): sum}."""
    groups = builder.sdiv(builder.add(columns, _integer(GROUP - 1)), _integer(GROUP))
    xs = [_offset(builder, x, builder.mul(columns, _integer(m)), 4) for m in range(rows)]
    ws = [_offset(builder, weight, builder.mul(columns, _integer(n)), weight_size) for n in range(outputs + 1)]
    scales = [_offset(builder, scale, builder.mul(groups, _integer(n)), 2) for n in range(outputs + 1)]
    following, following_scales = ws.pop(), scales.pop()
    cells = [(m, n) for n in range(outputs) for m in range(rows)]
    sums = {cell: cgutils.alloca_once_value(builder, _constant(0.0)) for cell in cells}
    left = {cell: cgutils.alloca_once_value(builder, ir.Constant(_F32, 0.0)) for cell in cells}
    int8 = weight_size == 1

    def factors(k: Any, kind: Any) -> list[Any]:
        at = builder.sdiv(k, _integer(GROUP))
        return [_bfloat16(builder, kind, _offset(builder, scale, at, 2)) for scale in scales] if int8 else []

    def accumulate(k: Any, factors: list[Any], totals: Any, floats: Any, integers: Any, stored: Any) -> None:
        inputs = [_load(builder, floats, _offset(builder, at, k, 4), 4) for at in xs]
        for n, at in enumerate(ws):
            if int8:
                value = builder.sitofp(builder.sext(_load(builder, stored, builder.add(at, k), 1), integers), floats)
                value = builder.fmul(value, factors[n])
            else:
                value = _load(builder, floats, _offset(builder, at, k, 4), 4)
            for m in range(rows):
                total = totals[m, n]
                builder.store(_multiply_add(builder, inputs[m], value, builder.load(total)), total)

    stride = GROUP if int8 else LANES
    strides, whole = (builder.and_(columns, _integer(-size)) for size in (stride, LANES))
    with _loop(builder, _integer(0), strides, stride) as (k, _):
        shared = factors(k, _LANES_F32)
        if int8:
            _prefetch(builder, _offset(builder, following_scales, builder.sdiv(k, _integer(GROUP)), 2 * outputs))
        for lanes in range(0, stride, LANES):
            at = builder.add(k, _integer(lanes))
            _prefetch(builder, _offset(builder, following, at, weight_size * outputs))
            accumulate(at, shared, sums, _LANES_F32, _LANES_I32, _LANES_I8)
    if stride > LANES:
        with _loop(builder, strides, whole, LANES) as (k, _):
            accumulate(k, factors(k, _LANES_F32), sums, _LANES_F32, _LANES_I32, _LANES_I8)
    with _loop(builder, whole, columns, 1) as (k, _):
        accumulate(k, factors(k, _F32), left, _F32, ir.IntType(32), ir.IntType(8))
    return {
        cell: builder.fadd(_halved(builder, builder.load(sums[cell]), builder.fadd), builder.load(left[cell]))
        for cell in cells
    }


def _product(weight_size: int) -> Any:
    """Makes product(x, rows, columns, weight, scale, outputs, out, out_stride): x [rows, columns], at most four rows,
    times weights [outputs, columns], float32 (size 4) or int8 (1) with scales [outputs, groups]. A step of the inner
    loop has as many sums as fit in registers: they hide the latency of an addition, and an input is read once for
    several outputs.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, rows, columns, weight, scale, outputs, out, out_stride = args
        groups = builder.sdiv(builder.add(columns, _integer(GROUP - 1)), _integer(GROUP))

        def some(first: Any, stop: Any, count: int, at_once: int) -> None:
            with _loop(builder, first, stop, at_once) as (n, _):
                at = _offset(builder, weight, builder.mul(columns, n), weight_size)
                scales = _offset(builder, scale, builder.mul(groups, n), 2)
                for (m, more), total in _dots(builder, count, at_once, weight_size, x, at, scales, columns).items():
                    cell = builder.add(builder.add(n, _integer(more)), builder.mul(out_stride, _integer(m)))
                    _store(builder, total, _offset(builder, out, cell, 4), 4)

        for count, at_once in OUTPUTS_AT_ONCE.items():
            with builder.if_then(builder.icmp_signed("==", rows, _integer(count))):
                whole = builder.mul(builder.sdiv(outputs, _integer(at_once)), _integer(at_once))
                some(_integer(0), whole, count, at_once)
                some(whole, outputs, count, 1)
        return context.get_dummy_value()

    @_instruction
    def product(typing, x, rows, columns, weight, scale, outputs, out, out_stride):  # type: ignore[no-untyped-def]
        return types.void(*[types.int64] * 8), build

    return product


_product_f32, _product_int8 = _product(4), _product(1)


@_instruction
def _maximum(typing, values, count):  # type: ignore[no-untyped-def]
    """The largest of `count` floats, a multiple of the lanes."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def larger(a: Any, b: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", a, b), a, b)

        top = cgutils.alloca_once_value(builder, _constant(float("-inf")))
        with _loop(builder, _integer(0), args[1], LANES) as (k, _):
            values = _load(builder, _LANES_F32, _offset(builder, args[0], k, 4), 4)
            builder.store(larger(values, builder.load(top)), top)
        return _halved(builder, builder.load(top), larger)

    return types.float32(types.int64, types.int64), build


@_instruction
def _exponentials(typing, values, count, top):  # type: ignore[no-untyped-def]
    """Replaces `count` floats, a multiple of the lanes, by exp(value - top), and returns their sum.

    exp(x) = 2^n exp(r) with |r| <= ln(2) / 2: a polynomial (Cephes) and the bits of an exponent. Below -87 it is about
    1e-38, which adds nothing to a sum of at least 1.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        floor = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_LANES_F32, [_LANES_F32]), "llvm.floor.v8f32"
        )
        total = cgutils.alloca_once_value(builder, _constant(0.0))
        lowest = _constant(-87.0)
        with _loop(builder, _integer(0), args[1], LANES) as (k, _):
            at = _offset(builder, args[0], k, 4)
            x = builder.fsub(_load(builder, _LANES_F32, at, 4), _lanes(builder, args[2]))
            x = builder.select(builder.fcmp_ordered(">", x, lowest), x, lowest)
            n = builder.call(floor, [_multiply_add(builder, x, _constant(1.44269504088896341), _constant(0.5))])
            r = _multiply_add(builder, n, _constant(-0.693359375), x)
            r = _multiply_add(builder, n, _constant(2.12194440e-4), r)
            y = _constant(1.9875691500e-4)
            for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1.0, 1.0):
                y = _multiply_add(builder, y, r, _constant(c))
            exponent = builder.add(builder.fptosi(n, _LANES_I32), ir.Constant(_LANES_I32, [127] * LANES))
            power = builder.bitcast(builder.shl(exponent, ir.Constant(_LANES_I32, [23] * LANES)), _LANES_F32)
            y = builder.fmul(y, power)
            _store(builder, y, at, 4)
            builder.store(builder.fadd(builder.load(total), y), total)
        return _halved(builder, builder.load(total), builder.fadd)

    return types.float32(types.int64, types.int64, types.float32), build


@_instruction
def _weigh(typing, weights, count, values, columns, out):  # type: ignore[no-untyped-def]
    """Adds to out [columns] the sum of `count` rows of values [count, columns], each times its weight."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        weights, count, values, columns, out = args

        def some(first: Any, stop: Any, vectors: int) -> None:
            kind = _LANES_F32 if vectors else _F32
            offsets = [_integer(4 * LANES * v) for v in range(vectors or 1)]
            with _loop(builder, first, stop, LANES * vectors or 1) as (d, _):
                at = _offset(builder, out, d, 4)
                sums = [
                    cgutils.alloca_once_value(builder, _load(builder, kind, builder.add(at, o), 4)) for o in offsets
                ]
                with _loop(builder, _integer(0), count, 1) as (c, _):
                    weight = _load(builder, _F32, _offset(builder, weights, c, 4), 4)
                    weight = _lanes(builder, weight) if vectors else weight
                    row = _offset(builder, values, builder.add(builder.mul(c, columns), d), 4)
                    for o, total in zip(offsets, sums, strict=True):
                        value = _load(builder, kind, builder.add(row, o), 4)
                        builder.store(_multiply_add(builder, weight, value, builder.load(total)), total)
                for o, total in zip(offsets, sums, strict=True):
                    _store(builder, builder.load(total), builder.add(at, o), 4)

        eights = builder.and_(columns, _integer(-8 * LANES))
        ones = builder.and_(columns, _integer(-LANES))
        some(_integer(0), eights, 8)
        some(eights, ones, 1)
        some(ones, columns, 0)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), build


@_instruction
def _float_at(typing, address):  # type: ignore[no-untyped-def]
    return types.float32(types.int64), lambda _, builder, signature, args: _load(builder, _F32, args[0], 4)


@_instruction
def _put_float(typing, address, value):  # type: ignore[no-untyped-def]
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _store(builder, args[1], args[0], 4)
        return context.get_dummy_value()

    return types.void(types.int64, types.float32), build


@_instruction
def _integer_at(typing, address):  # type: ignore[no-untyped-def]
    return types.int64(types.int64), lambda _, builder, signature, args: _load(builder, _I64, args[0], 8)


@_instruction
def _arguments(typing, job):  # type: ignore[no-untyped-def]
    """What a job has behind the first two words."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words = [_load(builder, _I64, builder.add(args[0], _integer(8 * (2 + n))), 8) for n in range(ARGUMENTS)]
        return context.make_tuple(builder, signature.return_type, words)

    return types.UniTuple(types.int64, ARGUMENTS)(types.int64), build


@_instruction
def _atomic_load(typing, address):  # type: ignore[no-untyped-def]
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(args[0], _I64.as_pointer()), "seq_cst", 8)

    return types.int64(types.int64), build


@_instruction
def _atomic_store(typing, address, value):  # type: ignore[no-untyped-def]
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], builder.inttoptr(args[0], _I64.as_pointer()), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build


@_instruction
def _atomic_add(typing, address, value):  # type: ignore[no-untyped-def]
    """Adds, and returns what was there before."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", builder.inttoptr(args[0], _I64.as_pointer()), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), build


@_instruction
def _pause(typing):  # type: ignore[no-untyped-def]
    """Tells the processor that this is a waiting loop."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if platform.machine().lower() in ("x86_64", "amd64"):
            hint = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause"
            )
            builder.call(hint, [])
        return context.get_dummy_value()

    return types.void(), build


# The kernels: each does one piece of what a job describes: addresses and sizes, as int64s. ---------------------------


@kernel
def _linear(job: int, piece: int, int8: bool) -> None:
    """out [M, N] = x [M, K] weight [N, K]' + bias [N], for a piece of N."""
    x, weight, scale, bias, out, rows, columns, outputs, size, _, _, _ = _arguments(job)
    first = piece * size
    count = min(outputs - first, size)
    scale += 2 * first * ((columns + GROUP - 1) // GROUP)
    for row in range(0, rows, 4):
        some = min(4, rows - row)
        at = out + 4 * (row * outputs + first)
        if int8:
            _product_int8(x + 4 * row * columns, some, columns, weight + first * columns, scale, count, at, outputs)
        else:
            _product_f32(x + 4 * row * columns, some, columns, weight + 4 * first * columns, 0, count, at, outputs)
        if bias != 0:
            for m in range(some):
                for n in range(count):
                    cell = at + 4 * (m * outputs + n)
                    _put_float(cell, _float_at(cell) + _float_at(bias + 4 * (first + n)))


@kernel
def _attend(job: int, piece: int) -> None:
    """Writes the new key and value (if `slots` is given), and attends: one head of one row."""
    q, memory, lengths, slots, out, heads, size, values, row_stride, head_stride, q_stride, new = _arguments(job)
    row, head = piece // heads, piece % heads
    q_at, out_at = q + 4 * (row * q_stride + head * size), out + 4 * piece * size
    keys_at = memory + 4 * (row * row_stride + head * head_stride)
    values_at = keys_at + 4 * values
    if slots != 0:
        to = 4 * size * _integer_at(slots + 8 * row)
        for d in range(size):
            _put_float(keys_at + to + 4 * d, _float_at(q_at + 4 * (new + d)))
            _put_float(values_at + to + 4 * d, _float_at(q_at + 4 * (2 * new + d)))
    for d in range(size):
        _put_float(out_at + 4 * d, np.float32(0.0))
    length = _integer_at(lengths + 8 * row)
    if length <= 0:
        return
    scores = np.empty((length + LANES - 1) // LANES * LANES, np.float32)
    at = scores.ctypes.data
    _product_f32(q_at, 1, size, keys_at, 0, length, at, 0)
    scale = np.float32(1.0 / np.sqrt(size))
    for position in range(length):
        scores[position] *= scale
    scores[length:] = -np.inf
    total = _exponentials(at, len(scores), _maximum(at, len(scores)))
    _weigh(at, length, values_at, size, out_at)
    share = np.float32(1.0) / total
    for d in range(size):
        _put_float(out_at + 4 * d, _float_at(out_at + 4 * d) * share)


@kernel
def _piece(job: int, piece: int) -> None:
    what = _integer_at(job)
    if what == ATTEND:
        _attend(job, piece)
    else:
        _linear(job, piece, what == LINEAR_INT8)


@kernel
def alone(job: int) -> None:
    for piece in range(_integer_at(job + 8)):
        _piece(job, piece)


@kernel
def together(desk: int, job: int) -> int:
    """Does a job with whichever helpers are awake; returns when all of it is done and no helper looks at it: how many
    turns it waited for them, or -1 if they did nothing.
    """
    pieces = _integer_at(job + 8)
    _atomic_store(desk + _NEXT, 0)
    _atomic_store(desk + _OPEN, job)
    piece = _atomic_add(desk + _NEXT, 1)
    done = 0
    while piece < pieces:
        done += 1
        _piece(job, piece)
        piece = _atomic_add(desk + _NEXT, 1)
    _atomic_store(desk + _OPEN, 0)
    waited = 0
    while _atomic_load(desk + _INSIDE) != 0:
        waited += 1
        _pause()
    return waited if done < pieces else -1


@kernel
def assist(desk: int, spins: int) -> None:
    """A helper: takes pieces of jobs until none came for `spins` turns.

    It says that it is inside before it looks whether a job is open; a launch is closed before its caller looks whether
    somebody is inside. So either it sees that the job is closed, or the caller sees it and waits.
    """
    waited = 0
    while waited < spins:
        if _atomic_load(desk + _OPEN) == 0:
            waited += 1
            _pause()
            continue
        _atomic_add(desk + _INSIDE, 1)
        job = _atomic_load(desk + _OPEN)
        if job != 0:
            pieces = _integer_at(job + 8)
            piece = _atomic_add(desk + _NEXT, 1)
            while piece < pieces:
                waited = 0
                _piece(job, piece)
                piece = _atomic_add(desk + _NEXT, 1)
        _atomic_add(desk + _INSIDE, -1)
        waited += 1
        _pause()
