"""The MDCT: as its definition says, orthogonal, exactly undone, for signals of any length and in any pieces."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from resonantgen.codecs.resonant.mdct import InverseMdct, Mdct
from streaming_contract import in_pieces, verify

SIZES = (2, 8, 20, 320)
Array = NDArray[np.float64]


def signal(length: int, batch: int = 1) -> Tensor:
    """[batch, length, 1]"""
    return torch.randn(batch, length, 1, generator=torch.Generator().manual_seed(length))


def mdct_by_definition(x: Array, n: int) -> Array:
    """[F N] -> [F, N], term by term.

    X[k] of a frame is the sum over 2 N samples, from half a frame before it to half a frame after it, of
    w(t) x(t) sqrt(2 / N) cos(pi / N (t + 1/2) (k + 1/2)), with t from the frame's start. Around each border, the window
    is a sine that rises or falls over N samples. The cosine is even around the frame's start and odd around its end: so
    is what aliases there. At the first and the last border the window is a step: no sample is beyond.
    """
    frames = len(x) // n
    found = np.zeros((frames, n))
    k = np.arange(n)
    for frame in range(frames):
        for t in range(-n // 2, n + n // 2):
            place = frame * n + t
            if not 0 <= place < len(x):
                continue
            weight = 1.0
            if t < n // 2 and frame > 0:
                weight = math.sin(math.pi / 2 * (t + n / 2 + 0.5) / n)
            if t >= n // 2 and frame < frames - 1:
                weight = math.cos(math.pi / 2 * (t - n / 2 + 0.5) / n)
            if (t < n // 2 and frame == 0) or (t >= n // 2 and frame == frames - 1):
                weight = float(0 <= t < n)
            found[frame] += weight * x[place] * math.sqrt(2 / n) * np.cos(math.pi / n * (t + 0.5) * (k + 0.5))
    return found


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [2, 8, 20])
def test_it_is_what_the_definition_says(n: int, frames: int) -> None:
    x = signal(n * frames)
    expected = mdct_by_definition(x[0, :, 0].double().numpy(), n)
    np.testing.assert_allclose(Mdct(n)(x)[0].numpy(), expected, atol=2e-6)


def test_at_the_codecs_own_size() -> None:
    x = signal(3 * 320)
    expected = mdct_by_definition(x[0, :, 0].double().numpy(), 320)
    np.testing.assert_allclose(Mdct(320)(x)[0].numpy(), expected, atol=5e-6)


@pytest.mark.parametrize("n", SIZES)
def test_it_is_orthogonal(n: int) -> None:
    """Each row of its matrix has length 1, and no two have anything in common; the inverse is the matrix turned."""
    frames = 3
    matrix = Mdct(n)(torch.eye(frames * n)[:, :, None]).flatten(1)  # row: a sample's coefficients
    torch.testing.assert_close(matrix @ matrix.t(), torch.eye(frames * n), rtol=0, atol=5e-6)
    back = InverseMdct(n)(torch.eye(frames * n).view(-1, frames, n))[:, :, 0]
    torch.testing.assert_close(back, matrix.t(), rtol=0, atol=5e-6)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("length", [0, 1, 2, 7, 8, 9, 159, 160, 161, 320, 321, 1000, 3200])
def test_any_length_comes_back(n: int, length: int) -> None:
    """With silence up to a whole frame; the same energy in time and in frequency."""
    x = signal(length, batch=2)
    coefficients = Mdct(n)(x)
    assert coefficients.shape == (2, -(-length // n), n)
    torch.testing.assert_close(coefficients.square().sum(), x.square().sum(), rtol=1e-5, atol=1e-6)
    back = InverseMdct(n)(coefficients)
    assert back.shape == (2, coefficients.shape[1] * n, 1)
    torch.testing.assert_close(back[:, :length], x, rtol=0, atol=5e-6)
    assert float(back[:, length:].abs().sum()) < 1e-4 * max(1, length)


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 8, 12, 13, 64, 203])
def test_it_holds_the_layers_contract(length: int) -> None:
    verify(Mdct(8), signal(length, batch=2))


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 40])
def test_its_inverse_does(frames: int) -> None:
    verify(InverseMdct(8), torch.randn(2, frames, 8, generator=torch.Generator().manual_seed(frames)))


def test_what_each_holds_back() -> None:
    """A frame goes in when half of the next is there; the second half of a frame comes out with the next."""
    given = [step.shape[1] for step in in_pieces(Mdct(8), signal(40), 4)]
    assert given == [0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    out = [step.shape[1] for step in in_pieces(InverseMdct(8), torch.zeros(1, 4, 8), 1)]
    assert out == [4, 8, 8, 8, 4]


def test_a_sine_is_where_its_frequency_is() -> None:
    """At 24 kHz, coefficient k is around (k + 1/2) * 37.5 Hz."""
    for hertz in (110.0, 1_000.0, 9_000.0):
        x = torch.sin(2 * math.pi * hertz * torch.arange(9_600) / 24_000)[None, :, None]
        energy = Mdct(320)(x)[0, 2:-2].square().sum(dim=0)
        assert abs(int(energy.argmax()) + 0.5 - hertz / 37.5) <= 1, hertz
        near = energy[max(0, int(hertz / 37.5) - 4) : int(hertz / 37.5) + 5].sum()
        assert float(near / energy.sum()) > 0.99


def test_gradients_pass() -> None:
    x = signal(100).requires_grad_()
    InverseMdct(8)(Mdct(8)(x)).square().sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 2 * x.detach(), rtol=0, atol=1e-4)
