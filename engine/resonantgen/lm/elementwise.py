"""Norms, GELU and embeddings of a few rows on the CPU, in one thread.

Torch would spread each of them over its threads, small as they are: some microseconds of work, and then a barrier that
waits for a thread which the kernels' helpers (see `kernels`) or another program have put off its core, often for
milliseconds. What a row gets does not depend on the rows beside it, to the bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numba import carray, types  # type: ignore[attr-defined]
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from resonantgen.instruments.jit import kernel

FEW_ROWS = 32  # with more, several threads pay
LANES = 64

Floats = NDArray[np.float32]

# erf(x) within 3e-7, as x p(x^2) / q(x^2) for |x| < 4: the coefficients that Eigen and XLA use
_F = np.float32
_LIMIT, _HALF, _ONE, _SQRT_HALF = _F(4.0), _F(0.5), _F(1.0), _F(math.sqrt(0.5))
_P0, _P1, _P2 = _F(-1.60960333262415e-02), _F(-2.95459980854025e-03), _F(-7.34990630326855e-04)
_P3, _P4 = _F(-5.69250639462346e-05), _F(-2.10102402082508e-06)
_P5, _P6 = _F(2.77068142495902e-08), _F(-2.72614225801306e-10)
_Q0, _Q1, _Q2 = _F(-1.42647390514189e-02), _F(-7.37332916720468e-03), _F(-1.68282697438203e-03)
_Q3, _Q4 = _F(-2.13374055278905e-04), _F(-1.45660718464996e-05)


def _to_pointer(typing: Any, address: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(types.int64), build  # type: ignore[no-untyped-call]


_pointer: Any = intrinsic(_to_pointer)  # an address, as a kernel's pointer to floats


@kernel
def _gelu(x_at: int, size: int, out_at: int) -> None:
    """x Phi(x), of `size` numbers. Given by address, as in the norm: arrays would take longer to hand over."""
    x, out = carray(_pointer(x_at), size), carray(_pointer(out_at), size)
    for i in range(size):
        value = x[i]
        z = min(max(value * _SQRT_HALF, -_LIMIT), _LIMIT)
        s = z * z
        p = (((((_P6 * s + _P5) * s + _P4) * s + _P3) * s + _P2) * s + _P1) * s + _P0
        q = (((_Q4 * s + _Q3) * s + _Q2) * s + _Q1) * s + _Q0
        out[i] = _HALF * value * (_ONE + z * p / q)


@kernel
def _total(x: Floats) -> np.float32:
    """The sum of x, in a fixed order: lanes side by side, as the processor adds vectors, then what is left over."""
    lanes = np.zeros(LANES, np.float32)
    whole = x.size - x.size % LANES
    for start in range(0, whole, LANES):
        part = x[start : start + LANES]
        for lane in range(LANES):
            lanes[lane] += part[lane]
    total = _F(0.0)
    for lane in range(LANES):
        total += lanes[lane]
    for i in range(whole, x.size):
        total += x[i]
    return total


@kernel
def _layer_norm(x_at: int, rows: int, width: int, weight_at: int, bias_at: int, epsilon: float, out_at: int) -> None:
    """Rows of x [rows, width]: (x - mean) / sqrt(variance + epsilon) * weight + bias."""
    x, out = carray(_pointer(x_at), (rows, width)), carray(_pointer(out_at), (rows, width))
    weight, bias = carray(_pointer(weight_at), width), carray(_pointer(bias_at), width)
    squares = np.empty(width, np.float32)
    for row in range(rows):
        centred, of = out[row], x[row]
        mean = _total(of) / _F(width)
        for i in range(width):
            centred[i] = of[i] - mean
            squares[i] = centred[i] * centred[i]
        scale = _F(1.0 / math.sqrt(_total(squares) / _F(width) + epsilon))
        for i in range(width):
            centred[i] = centred[i] * scale * weight[i] + bias[i]


@kernel
def _sum_vectors(tokens: NDArray[np.int64], weight: Floats, out: Floats) -> None:
    """Rows of out [rows, width]: the sum of the weights that tokens [rows, K] name."""
    for row in range(tokens.shape[0]):
        vector = out[row]
        vector[:] = _F(0.0)
        for k in range(tokens.shape[1]):
            summand = weight[tokens[row, k]]
            for i in range(vector.size):
                vector[i] += summand[i]


@kernel
def _sinusoids(positions: NDArray[np.int64], frequencies: Floats, out: Floats) -> None:
    """Rows of out [rows, 2 * frequencies]: cosines and sines of positions [rows]."""
    half = frequencies.size
    for row in range(positions.size):
        position = _F(positions[row])
        for i in range(half):
            angle = position * frequencies[i]
            out[row, i] = math.cos(angle)
            out[row, half + i] = math.sin(angle)


def few_on_cpu(weight: Tensor, rows: int) -> bool:
    """Whether kernels are for this: few rows, float32 on the CPU, no gradient, and not being compiled."""
    return (
        rows <= FEW_ROWS
        and weight.is_cpu
        and weight.dtype == torch.float32
        and not torch.compiler.is_compiling()
        and not (torch.is_grad_enabled() and weight.requires_grad)
    )


class Norm(nn.LayerNorm):
    """nn.LayerNorm over the last dimension."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]."""
        width = x.shape[-1]
        rows, weight = x.numel() // width, self.weight
        if not few_on_cpu(weight, rows):
            return super().forward(x)
        x = x.contiguous()
        out = torch.empty_like(x)
        places = x.data_ptr(), rows, width, weight.data_ptr(), self.bias.data_ptr()
        _layer_norm(*places, self.eps, out.data_ptr())
        return out


def gelu(x: Tensor) -> Tensor:
    """x Phi(x), with the exact Phi."""
    if x.requires_grad or not few_on_cpu(x, x.numel() // x.shape[-1]):
        return functional.gelu(x)
    x = x.contiguous()
    out = torch.empty_like(x)
    _gelu(x.data_ptr(), x.numel(), out.data_ptr())
    return out


def sum_vectors(tokens: Tensor, weight: Tensor) -> Tensor:
    """The sum of the rows of weight [N, width] that tokens [rows, K] name: [rows, width]."""
    if not few_on_cpu(weight, len(tokens)):
        return functional.embedding_bag(tokens, weight, mode="sum")
    out = weight.new_empty(len(tokens), weight.shape[1])
    _sum_vectors(tokens.contiguous().numpy(), weight.detach().numpy(), out.numpy())
    return out


def sinusoids(positions: Tensor, frequencies: Tensor) -> Tensor:
    """Cosines and then sines of positions [B, T] times frequencies [F]: [B, T, 2 F]."""
    if not few_on_cpu(frequencies, positions.numel()):
        angles = positions.unsqueeze(-1) * frequencies
        return torch.cat([angles.cos(), angles.sin()], dim=-1)
    out = frequencies.new_empty(*positions.shape, 2 * len(frequencies))
    _sinusoids(positions.reshape(-1).numpy(), frequencies.numpy(), out.view(-1, out.shape[-1]).numpy())
    return out
