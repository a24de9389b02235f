"""Linear layers for decoding: int8 weights, and float32 weights through the same kernels.

Int8 is weight-only: in each output channel a group of inputs shares a scale, weights are rounded to -127..127 times it,
and sums are taken in float32. On the CPU a decode step reads each weight once, so that 9 bits instead of 32 take about
that share of the time. With one scale for a whole channel, a model as deep as MusicGen's has another likeliest token in
one of twenty. The scales are bfloat16: float16 would lose the small ones. They are rounded up, so that the largest
weight of a group still fits. What these layers give a row does not depend on the rows beside it, to the bit, up to
`FEW_ROWS` of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from resonantgen.lm.kernel_code import GROUP
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


def _bfloat16_above(values: Tensor) -> Tensor:
    """Positive float32 values in bfloat16, rounded up: their upper half, where the lower one is to be all zeros."""
    return ((values.view(torch.int32) + 0xFFFF) >> 16).to(torch.int16).view(torch.bfloat16)


def round_groups(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Float32 weights [N, K] as int8 [N, K] and scales [N, K / GROUP rounded up]. A group of zeros has a scale of 1."""
    outputs, columns = weight.shape
    groups = pad(weight, (0, -columns % GROUP)).view(outputs, -1, GROUP)
    peak = groups.abs().amax(dim=2)
    scale = _bfloat16_above(torch.where(peak > 0, peak / 127, 1.0))
    rounded = (groups / scale.float().unsqueeze(2)).round_().to(torch.int8)
    return rounded.view(outputs, -1)[:, :columns], scale


class Int8Linear(nn.Module):
    """nn.Linear with int8 weights [N, K] and scales [N, K / GROUP rounded up].

    The scales are bfloat16, whatever the model is cast to.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        """Of weights already rounded; see `of`. `bias`: [N]."""
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.register_buffer("weight", weight.contiguous())
        self.register_buffer("scale", scale.to(torch.bfloat16).contiguous())
        self.register_buffer("bias", bias)

    @classmethod
    @torch.no_grad()
    def of(cls, layer: nn.Linear) -> Int8Linear:
        """The layer, with its weights rounded."""
        bias = None if layer.bias is None else layer.bias.detach()
        return cls(*round_groups(layer.weight.detach().float()), bias)

    @torch.no_grad()
    def dequantized(self, dtype: torch.dtype) -> nn.Linear:
        """An ordinary layer with the rounded weights."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        layer.weight = nn.Parameter(self._floats(dtype), requires_grad=False)
        if self.bias is not None:
            layer.bias = nn.Parameter(self.bias.to(dtype), requires_grad=False)
        return layer

    def _floats(self, dtype: torch.dtype) -> Tensor:
        """The weights that the integers and scales stand for: [N, K]."""
        scale = self.scale.float().repeat_interleave(GROUP, dim=1)[:, : self.in_features]
        return (self.weight * scale).to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """[..., K] -> [..., N]. Off the CPU, and for many rows, the weights are turned into x's type on the way."""
        if _few_on_cpu(x):
            return linear_int8(x, self.weight, self.scale, self.bias)
        return linear(x, self._floats(x.dtype), self.bias)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Int8Linear:
        """A cast of the model does not round the scales, only moves them."""
        scale = self.scale
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.scale.dtype != torch.bfloat16:
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
