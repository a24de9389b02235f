"""CPU kernels of the transformer for few rows at a time: linear layers (float32 and int8 weights) and attention.

A decode step reads each weight once, for a row or for eight, so that memory is the limit: these kernels run near it.
And they are batch-invariant: what a row gets does not depend on the other rows, on how many there are or on the number
of threads, to the bit. Every sum has one order: eight lanes along the inputs, then the lanes, then what is left over.

A launch is cut into pieces that threads take one by one: the caller and the helpers (as many threads in all as torch
uses). Helpers spin for a moment after a launch, as the next one follows within microseconds, and sleep otherwise. Any
Python thread may launch: whoever comes while the helpers are taken does its pieces alone, which gives the same bits.
Nothing waits for a lock.
"""

from __future__ import annotations

import os
import threading

import numpy as np
import torch
from torch import Tensor

from resonantgen.lm.kernel_code import ARGUMENTS, ATTEND, GROUP, LINEAR_F32, LINEAR_INT8, alone, assist, together
from resonantgen.lm.threads import kernel_threads

PIECES = 12  # that a linear layer is cut into, about
SPINS = 20_000  # of a helper before it sleeps: about half a millisecond
STALLED = 10_000  # turns that a caller waits for no piece, but for a helper whose core another program has taken
UNHELPED = 16  # launches in a row: more than it takes to wake up
MOST_ALONE = 4096  # launches


class _Helpers:
    """The threads that help whoever launches: one launch at a time."""

    def __init__(self) -> None:
        self.taken = threading.Lock()
        self._desk = np.zeros(3 * 8, np.int64)  # open job (its address), next piece, helpers inside: a cache line each
        self.desk = self._desk.ctypes.data
        self._awake: list[threading.Event] = []
        self._alone = 0  # launches yet to come that leave the helpers out
        self._unhelped = 0  # launches in a row
        self._helped = 0  # launches in all
        self._setbacks = 0  # of late

    def launch(self, job: int, helpers: int) -> None:
        """Do a job with so many helpers. Where other programs keep the cores busy, a helper may be held up for
        milliseconds in the middle of a piece, or take the caller's own core and do nothing: then jobs are done without
        them for a while, for longer each time.
        """
        if self._alone:
            self._alone -= 1
            alone(job)
            return
        self.wake(helpers)
        waited = together(self.desk, job)
        self._unhelped = self._unhelped + 1 if waited < 0 else 0
        if waited > STALLED or self._unhelped > UNHELPED:
            self._unhelped = 0
            self._setbacks = min(self._setbacks + 1, 7)
            self._alone = min(32 << self._setbacks, MOST_ALONE)
        elif waited >= 0:
            self._helped += 1
            if self._setbacks and self._helped % 256 == 0:
                self._setbacks -= 1

    def wake(self, helpers: int) -> None:
        """Have that many helpers, and none asleep."""
        while len(self._awake) < helpers:
            awake = threading.Event()
            self._awake.append(awake)
            threading.Thread(target=self._run, args=(awake,), name="lm-kernels", daemon=True).start()
        for awake in self._awake[:helpers]:
            if not awake.is_set():
                awake.set()

    def _run(self, awake: threading.Event) -> None:
        while True:
            awake.wait()
            assist(self.desk, SPINS)
            awake.clear()


_helpers = _Helpers()


def _forget_helpers() -> None:
    """In a forked child there are none."""
    global _helpers
    _helpers = _Helpers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)


def _launch(what: int, pieces: int, *arguments: int) -> None:
    job = np.array((what, pieces, *arguments, *(0,) * (ARGUMENTS - len(arguments))), np.int64)
    helpers = _helpers
    count = min(kernel_threads() - 1, pieces - 1)
    if count > 0 and helpers.taken.acquire(blocking=False):
        try:
            helpers.launch(job.ctypes.data, count)
        finally:
            helpers.taken.release()
    else:
        alone(job.ctypes.data)


def _linear_launch(what: int, x: Tensor, weight: Tensor, scale: int, bias: Tensor | None) -> Tensor:
    outputs, columns = weight.shape
    x = x.contiguous()
    out = x.new_empty(*x.shape[:-1], outputs)
    rows = x.numel() // columns
    size = max(16, -(-outputs // (PIECES * 8)) * 8)
    add = 0 if bias is None else bias.data_ptr()
    places = (x.data_ptr(), weight.data_ptr(), scale, add, out.data_ptr())
    _launch(what, -(-outputs // size), *places, rows, columns, outputs, size)
    return out


def linear_f32(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [..., K], weight [N, K], bias [N], float32 on the CPU, weights contiguous -> [..., N]."""
    assert x.dtype == weight.dtype == torch.float32
    return _linear_launch(LINEAR_F32, x, weight, 0, bias)


def linear_int8(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [..., K] float32, weight [N, K] int8, scale [N, K / GROUP rounded up] bfloat16, bias [N] float32, all on the
    CPU, weights and scales contiguous -> [..., N].
    """
    assert x.dtype == torch.float32 and weight.dtype == torch.int8 and scale.dtype == torch.bfloat16
    assert scale.shape == (weight.shape[0], -(-weight.shape[1] // GROUP))
    return _linear_launch(LINEAR_INT8, x, weight, scale.data_ptr(), bias)


def attend(query: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
    """Attention of one query in each row: softmax(q k' / sqrt(D)) v, over the first lengths[b] slots of row b.

    query [B, H, D] float32; memory [2, B, H, S, D] float32, keys and values; lengths [B] int64: none gives zeros.
    All on the CPU. -> [B, H, D]
    """
    if query.stride()[1:] != (query.shape[2], 1):
        query = query.contiguous()
    return _attend_launch(query, memory, lengths, None, 0)


def remember_and_attend(query_key_value: Tensor, memory: Tensor, slots: Tensor, lengths: Tensor) -> Tensor:
    """Write the new key and value of each row to slots[b], then `attend`: query_key_value [B, 3, H, D] -> [B, H, D]."""
    query_key_value = query_key_value.contiguous()
    heads, size = query_key_value.shape[2:]
    return _attend_launch(query_key_value[:, 0], memory, lengths, slots, heads * size)


def _attend_launch(query: Tensor, memory: Tensor, lengths: Tensor, slots: Tensor | None, new: int) -> Tensor:
    """`new`: how far the new keys lie behind the queries, and the values behind the keys."""
    count, heads, size = query.shape
    assert query.dtype == memory.dtype == torch.float32 and lengths.dtype == torch.int64
    assert memory.stride()[3:] == (size, 1) and memory.shape[1] == count and memory.shape[4] == size
    out = query.new_empty(count, heads, size)
    lengths = lengths.contiguous()
    slots = None if slots is None else slots.contiguous()
    places = (query.data_ptr(), memory.data_ptr(), lengths.data_ptr(), 0 if slots is None else slots.data_ptr())
    strides = memory.stride()
    shape = (heads, size, strides[0], strides[1], strides[2], query.stride(0), new)
    _launch(ATTEND, count * heads, *places, out.data_ptr(), *shape)
    return out
