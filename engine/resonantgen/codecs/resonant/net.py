"""The encoder and the decoder: MDCT coefficients, compressed, through ConvNeXt blocks, to vectors and back.

The transform makes sound a linear function of what the decoder writes, so that phase needs no discovering: on a CPU
that learns dozens of times faster than convolutions on samples do. The decoder looks one frame ahead, the transform
half a frame each way: two frames of delay in all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from resonantgen.codecs.convolution import Conv1d, Padding
from resonantgen.codecs.resonant.config import ResonantConfig
from resonantgen.codecs.resonant.convnext import ConvNext, Norm
from resonantgen.codecs.resonant.mdct import InverseMdct, Mdct
from resonantgen.codecs.streaming import Layer, Sequence

SMALL = 1e-4  # -80 dB: below it, compression is nearly linear, so that silence is not noise
# Root mean square of compressed coefficients of music, of all roles alike (measured): a network's numbers are around 1.
LEVEL, CORNER_HZ, SLOPE = 0.75, 150.0, -0.75
VECTOR_GAIN = 8.0  # of the encoder's last layer at first, so that vectors are around 1, too


def compress(x: Tensor) -> Tensor:
    """The signed square root of coefficients, so that soft ones count."""
    compressed: Tensor = x.sign() * ((x.abs() + SMALL).sqrt() - SMALL**0.5)
    return compressed


def expand(x: Tensor) -> Tensor:
    """The inverse of `compress`."""
    expanded: Tensor = x * (x.abs() + 2 * SMALL**0.5)
    return expanded


def levels(config: ResonantConfig) -> Tensor:
    """What each compressed coefficient of music is around, [N]."""
    frequencies = (torch.arange(config.frame_samples) + 0.5) * config.sample_rate / 2 / config.frame_samples
    return LEVEL * (1 + frequencies / CORNER_HZ) ** SLOPE


class _Levelled(Layer[None]):
    levels: Tensor

    def __init__(self, config: ResonantConfig) -> None:
        super().__init__()
        self.register_buffer("levels", levels(config), persistent=False)

    def start(self, batch: int) -> None:
        return None


class Compress(_Levelled):
    """Coefficients -> numbers around 1."""

    def step(self, x: Tensor, state: None, last: bool) -> Tensor:
        return compress(x) / self.levels


class Expand(_Levelled):
    """And back."""

    def step(self, x: Tensor, state: None, last: bool) -> Tensor:
        return expand(x * self.levels)


def encoder(config: ResonantConfig) -> Sequence:
    """Sound [B, T, 1] -> vectors [B, F, D]."""
    width = config.encoder_width
    blocks = [ConvNext(width, config.kernel_size, config.expansion) for _ in range(config.encoder_blocks)]
    first = Conv1d(config.frame_samples, width, 3, padding=Padding.ZERO)
    last = Conv1d(width, config.dimension, 1)
    with torch.no_grad():
        last.weight.mul_(VECTOR_GAIN)
    return Sequence([Mdct(config.frame_samples), Compress(config), first, *blocks, last])


def decoder(config: ResonantConfig) -> Sequence:
    """Vectors [B, F, D] -> sound [B, F * N, 1]."""
    width = config.decoder_width
    blocks = [ConvNext(width, config.kernel_size, config.expansion) for _ in range(config.decoder_blocks)]
    first = Conv1d(config.dimension, width, 3, causal=False, padding=Padding.ZERO)
    last = Conv1d(width, config.frame_samples, 1)
    return Sequence([first, *blocks, Norm(width), last, Expand(config), InverseMdct(config.frame_samples)])
