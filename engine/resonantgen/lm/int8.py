"""Linear layers for decoding: int8 weights, and float32 weights through the same kernels.

Int8 is weight-only: each output channel has one scale, weights are rounded to -127..127 times it, and sums are taken in
float32. On the CPU a decode step reads each weight once, so that a quarter of the bytes takes about a quarter of the
time. What these layers give a row does not depend on the rows beside it, to the bit, up to `FEW_ROWS` of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from resonantgen.lm.kernels import linear_f32, linear_int8

FEW_ROWS = 32  # with more, the matrix products of BLAS are as fast


def _few_on_cpu(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.numel() <= FEW_ROWS * x.shape[-1]
        and not torch.compiler.is_compiling()
        and not (torch.is_grad_enabled() and x.requires_grad)
    )


class Int8Linear(nn.Module):
    """nn.Linear with int8 weights [N, K] and a scale [N] (float32, whatever the model is cast to)."""

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        """Of weights already rounded; see `of`. `bias`: [N]."""
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.register_buffer("weight", weight.contiguous())
        self.register_buffer("scale", scale.float().contiguous())
        self.register_buffer("bias", bias)

    @classmethod
    @torch.no_grad()
    def of(cls, layer: nn.Linear) -> Int8Linear:
        """The layer, with its weights rounded. A channel of zeros keeps a scale of 1."""
        weight = layer.weight.detach().float()
        peak = weight.abs().amax(dim=1)
        scale = torch.where(peak > 0, peak / 127, 1.0)
        rounded = (weight / scale.unsqueeze(1)).round_().to(torch.int8)
        return cls(rounded, scale, None if layer.bias is None else layer.bias.detach())

    @torch.no_grad()
    def dequantized(self, dtype: torch.dtype) -> nn.Linear:
        """An ordinary layer with the rounded weights."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        layer.weight = nn.Parameter((self.weight * self.scale.unsqueeze(1)).to(dtype), requires_grad=False)
        if self.bias is not None:
            layer.bias = nn.Parameter(self.bias.to(dtype), requires_grad=False)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """[..., K] -> [..., N]. Off the CPU, and for many rows, the weights are turned into x's type on the way."""
        if _few_on_cpu(x):
            return linear_int8(x, self.weight, self.scale, self.bias)
        out = linear(x, self.weight.to(x.dtype)) * self.scale.to(x.dtype)
        return out if self.bias is None else out + self.bias

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Int8Linear:
        """A cast of the model does not round the scales, only moves them."""
        scale = self.scale
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.scale.dtype != torch.float32:
            self.scale = scale.to(self.weight.device)
        return self

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class FloatLinear(nn.Linear):
    """nn.Linear, the same weights, through our kernel for a few rows on the CPU."""

    @classmethod
    def of(cls, layer: nn.Linear) -> FloatLinear:
        """Shares the layer's weights."""
        made = cls(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        made.weight, made.bias = layer.weight, layer.bias
        return made

    def forward(self, x: Tensor) -> Tensor:
        """[..., K] -> [..., N]."""
        if _few_on_cpu(x) and not (torch.is_grad_enabled() and self.weight.requires_grad):
            return linear_f32(x, self.weight, self.bias)
        return super().forward(x)


def _replace(model: nn.Module, kinds: tuple[type, ...], make: Callable[[Any], nn.Module]) -> None:
    for parent in model.modules():
        for name, child in parent.named_children():
            if type(child) in kinds:
                setattr(parent, name, make(child))


def quantize(model: nn.Module) -> None:
    """Replace the linear layers of a model in place, one by one: their float weights are freed as it goes.

    The state dict then has `….weight` in int8 and `….scale`; such a state dict loads into a model so prepared.
    """
    _replace(model, (nn.Linear, FloatLinear), Int8Linear.of)


def dequantize(model: nn.Module, dtype: torch.dtype) -> None:
    """The other way, in place: for devices without an int8 kernel. What was rounded stays rounded."""
    _replace(model, (Int8Linear,), lambda layer: layer.dequantized(dtype))


def few_rows(model: nn.Module) -> None:
    """Have the linear layers of a float32 model use our kernel on the CPU, in place; the weights are the same."""
    _replace(model, (nn.Linear,), FloatLinear.of)
