"""Linear layers with int8 weights, and float layers through the same kernels."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from resonantgen.lm.int8 import FEW_ROWS, FloatLinear, Int8Linear, dequantize, few_rows, quantize
from resonantgen.lm.kernel_code import GROUP
from tiny_lm import TINY, random_columns, tiny_model


def layer(bias: bool = True) -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(40, 24, bias=bias)


@torch.no_grad()
def test_weights_are_rounded_to_half_a_step_of_their_group() -> None:
    original = layer()
    original.weight[5, :GROUP] = 0.0
    original.weight[7] *= 1e-6
    rounded = Int8Linear.of(original)
    groups = -(-40 // GROUP)
    assert 40 % GROUP and rounded.scale.shape == (24, groups) and rounded.weight.dtype == torch.int8
    for group in range(groups):
        part = slice(group * GROUP, (group + 1) * GROUP)
        weight, exact = rounded.weight[:, part], original.weight[:, part]
        scale = rounded.scale[:, group : group + 1].float()
        assert ((weight * scale - exact).abs() <= 0.5001 * scale).all()
        peak = weight.abs().amax(1)
        assert peak.max() <= 127 and (peak.min() >= 126 if group else (peak.argmin() == 5 and peak[5] == 0))
        assert (exact.abs().amax(1) <= 127.0001 * scale[:, 0]).all()  # scales are rounded up: nothing is cut off


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
def test_few_rows_many_rows_and_other_types_agree(bias: bool) -> None:
    rounded = Int8Linear.of(layer(bias))
    exact = rounded.dequantized(torch.float32)
    for rows in (1, 2, FEW_ROWS, FEW_ROWS + 1, 100):
        x = torch.randn(rows, 40, generator=torch.Generator().manual_seed(rows))
        torch.testing.assert_close(rounded(x), exact(x), atol=1e-5, rtol=1e-5)
    coarse = copy.deepcopy(rounded).to(torch.bfloat16)
    torch.testing.assert_close(coarse(x.bfloat16()).float(), exact(x), atol=0.05, rtol=0.05)


def test_a_cast_of_the_model_leaves_the_scales_as_they_are() -> None:
    rounded = Int8Linear.of(layer())
    scale = rounded.scale.clone()
    rounded.to(torch.float16).to(torch.float32)
    assert torch.equal(rounded.scale, scale) and rounded.weight.dtype == torch.int8


@torch.no_grad()
def test_a_model_is_quantized_in_place_and_back() -> None:
    model = tiny_model()
    columns = random_columns(TINY, 2, 5)
    exact = model(columns, model.start(2))
    few_rows(model)
    assert any(isinstance(module, FloatLinear) for module in model.modules())
    quantize(model)
    kinds = [type(module) for module in model.modules() if isinstance(module, (nn.Linear, Int8Linear))]
    assert set(kinds) == {Int8Linear} and len(kinds) == 8 * TINY.layers - TINY.layers + 1
    assert sum(weight.numel() for name, weight in model.named_parameters() if name.endswith("up.weight")) == 0
    rounded = model(columns, model.start(2))
    assert 0 < (rounded - exact).abs().max() < 0.2 * exact.abs().max()
    dequantize(model, torch.float32)
    assert not any(isinstance(module, Int8Linear) for module in model.modules())
    torch.testing.assert_close(model(columns, model.start(2)), rounded, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_quantized_state_dict_loads_into_a_quantized_model() -> None:
    first, second = tiny_model(seed=1), tiny_model(seed=2)
    quantize(first)
    quantize(second)
    tensors = first.state_dict()
    assert tensors["layers.0.up.weight"].dtype == torch.int8 and tensors["layers.0.up.scale"].shape == (64, 32 // GROUP)
    second.load_state_dict(tensors)
    columns = random_columns(TINY, 1, 4)
    assert torch.equal(first(columns, first.start(1)), second(columns, second.start(1)))


def test_float_layers_share_their_weights_and_still_learn() -> None:
    original = layer()
    ours = FloatLinear.of(original)
    assert ours.weight is original.weight and ours.bias is original.bias
    x = torch.randn(2, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), original(x), atol=1e-6, rtol=1e-5)
    ours(x).sum().backward()
    assert original.weight.grad is not None and original.weight.grad.any()
