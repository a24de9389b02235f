"""Layers that stream: chunked equals offline, and offline equals torch's own layers with the padding written out."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from resonantgen.codecs.convolution import Conv1d, ConvTranspose1d, Padding
from resonantgen.codecs.streaming import Elu, Lstm, Residual, Sequence
from streaming_contract import in_pieces, verify

LENGTHS = (0, 1, 2, 4, 7, 8, 17, 61)  # shorter than the padding, no multiple of the stride, long


def signal(length: int, channels: int = 3, batch: int = 2) -> Tensor:
    """[batch, length, channels]"""
    return torch.randn(batch, length, channels, generator=torch.Generator().manual_seed(length))


def padded_by_definition(x: Tensor, left: int, right: int, padding: Padding) -> Tensor:
    """[B, T, C] padded sample by sample; beyond a signal shorter than its padding there is silence to reflect."""
    length = x.shape[1]
    samples = {place: x[:, place] for place in range(length)}
    if padding is Padding.REFLECT:
        far = max(length, max(left, right) + 1)
        return torch.stack(
            [samples.get(_reflected(place, far), x[:, 0] * 0) for place in range(-left, length + right)], 1
        )
    held = range(-left, length + right)
    if padding is Padding.REPLICATE:
        return torch.stack([samples[min(max(place, 0), length - 1)] for place in held], 1)
    return torch.stack([samples.get(place, x[:, 0] * 0) for place in held], 1)


def _reflected(place: int, length: int) -> int:
    return -place if place < 0 else 2 * (length - 1) - place if place >= length else place


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("padding", Padding)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "ahead"])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(1, 1, 1), (3, 1, 1), (7, 1, 1), (3, 1, 4), (4, 2, 1), (10, 5, 1), (24, 8, 1)]
)
def test_convolution(kernel: int, stride: int, dilation: int, causal: bool, padding: Padding, length: int) -> None:
    torch.manual_seed(kernel)
    layer = Conv1d(3, 5, kernel, stride, dilation, causal=causal, padding=padding)
    nn.init.normal_(layer.bias)
    x = signal(length)
    y = verify(layer, x)
    assert y.shape == (2, -(-length // stride), 5)
    if length:
        total = (kernel - 1) * dilation + 1 - stride
        right = 0 if causal else total // 2
        padded = padded_by_definition(x, total - right, right + -length % stride, padding)
        expected = functional.conv1d(padded.mT, layer.weight, layer.bias, stride, dilation=dilation).mT
        torch.testing.assert_close(y, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    ("kernel", "stride", "causal", "trim"),
    [(4, 2, True, 1.0), (10, 5, True, 1.0), (10, 5, True, 0.3), (10, 5, True, 0.0), (16, 8, False, 1.0),
     (10, 5, False, 1.0), (15, 5, True, 1.0), (15, 5, False, 1.0), (3, 3, True, 1.0)],
)  # fmt: skip
def test_transposed_convolution(kernel: int, stride: int, causal: bool, trim: float, length: int) -> None:
    torch.manual_seed(kernel)
    layer = ConvTranspose1d(3, 4, kernel, stride, causal=causal, trim_right=trim)
    nn.init.normal_(layer.bias)
    x = signal(length)
    y = verify(layer, x)
    assert y.shape == (2, length * stride, 4)
    if length:
        over = kernel - stride
        right = -int(-over * trim // 1) if causal else over // 2
        full = functional.conv_transpose1d(x.mT, layer.weight, layer.bias, stride).mT
        torch.testing.assert_close(y, full[:, over - right : full.shape[1] - right], rtol=0, atol=2e-6)


@pytest.mark.parametrize("length", LENGTHS)
def test_group_norm_over_all_time(length: int) -> None:
    torch.manual_seed(1)
    x = signal(length)
    for layer in (Conv1d(3, 4, 4, 2, causal=False, norm=True), ConvTranspose1d(3, 4, 4, 2, causal=False, norm=True)):
        assert layer.norm is not None
        nn.init.normal_(layer.norm.weight)
        nn.init.normal_(layer.norm.bias)
        y = verify(layer, x)
        assert all(step.shape[1] == 0 for step in in_pieces(layer, x, 3)[:-1]), "its statistics are of all time"
        if length and isinstance(layer, ConvTranspose1d):
            full = layer.norm(functional.conv_transpose1d(x.mT, layer.weight, layer.bias, 2)).mT
            torch.testing.assert_close(y, full[:, 1:-1], rtol=0, atol=1e-5)
        elif length:
            padded = padded_by_definition(x, 1, 1 + length % 2, Padding.REFLECT)
            expected = layer.norm(functional.conv1d(padded.mT, layer.weight, layer.bias, 2)).mT
            torch.testing.assert_close(y, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("length", [0, 1, 2, 19, 50, 130])
def test_lstm(layers: int, length: int) -> None:
    torch.manual_seed(2)
    layer, theirs = Lstm(6, layers), nn.LSTM(6, 6, layers, batch_first=True)
    theirs.load_state_dict(layer.state_dict())
    x = signal(length, channels=6)
    y = verify(layer, x)
    if length:
        torch.testing.assert_close(y, theirs(x)[0] + x, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("causal", "shortcut"), [*product([True, False], repeat=2)])
@pytest.mark.parametrize("length", [0, 1, 3, 4, 40])
def test_residual_block_waits_for_its_look_ahead(causal: bool, shortcut: bool, length: int) -> None:
    torch.manual_seed(3)
    first = Conv1d(4, 2, 3, dilation=3, causal=causal)
    second = Conv1d(2, 4, 1, causal=causal)
    around = Conv1d(4, 4, 1, causal=causal) if shortcut else None
    layer = Residual(Sequence([Elu(), first, Elu(), second]), around)
    x = signal(length, channels=4)
    y = verify(layer, x)
    expected = second(functional.elu(first(functional.elu(x)))) + (around(x) if around else x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-6)


def test_sequence_of_everything() -> None:
    torch.manual_seed(4)
    down, up = Conv1d(2, 6, 4, 2, causal=False), ConvTranspose1d(6, 3, 4, 2, causal=False)
    block = Residual(Sequence([Elu(), Conv1d(6, 3, 3, causal=False), Elu(), Conv1d(3, 6, 1)]))
    layer = Sequence([Conv1d(2, 2, 7, causal=False), down, block, Lstm(6, 2), Elu(), up])
    for length in (1, 2, 3, 11, 64, 203):
        assert verify(layer, signal(length, channels=2)).shape == (2, (length + 1) // 2 * 2, 3)


def test_reflection_at_the_start_holds_back_until_it_can_be_made() -> None:
    layer = Conv1d(1, 1, 7)
    with torch.inference_mode():
        assert [step.shape[1] for step in in_pieces(layer, signal(10, 1), 1)] == [0] * 6 + [7, 1, 1, 1, 0]
        zero = Conv1d(1, 1, 7, padding=Padding.ZERO)
        assert [step.shape[1] for step in in_pieces(zero, signal(4, 1), 1)] == [1, 1, 1, 1, 0]


def test_transposed_convolution_adds_its_bias_once() -> None:
    layer = ConvTranspose1d(1, 1, 4, 2)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(3.0)
    assert torch.equal(torch.cat(in_pieces(layer, signal(5, 1), 1), dim=1), torch.full((2, 10, 1), 3.0))


def test_weights_in_any_strides_give_the_same() -> None:
    """Loading may replace a parameter by one in the usual order of memory."""
    torch.manual_seed(5)
    for layer in (Conv1d(3, 4, 6, 3), ConvTranspose1d(3, 4, 6, 3)):
        x = signal(20)
        before = layer(x)
        layer.weight = nn.Parameter(layer.weight.detach().contiguous())
        torch.testing.assert_close(layer(x), before, rtol=0, atol=1e-6)


def test_gradients_flow() -> None:
    """The same layers can be trained."""
    layer = Sequence([Conv1d(1, 4, 7), Elu(), Conv1d(4, 8, 4, 2), Lstm(8, 1), Elu(), ConvTranspose1d(8, 1, 4, 2)])
    layer(signal(20, 1)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in layer.parameters())
