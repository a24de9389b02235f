"""SEANet, the encoder and decoder of EnCodec (Tagliasacchi et al., 2020), in layers that stream.

Layers are numbered as in the published models, where activations count, so that weights are found by number.
"""

from __future__ import annotations

from typing import Any

from resonantgen.codecs.convolution import Conv1d, ConvTranspose1d
from resonantgen.codecs.encodec.config import EncodecConfig
from resonantgen.codecs.streaming import Elu, Layer, Lstm, Residual, Sequence


def encoder(config: EncodecConfig) -> Sequence:
    """Sound [B, T, C] -> vectors [B, ceil(T / frame_samples), dimension]."""
    width = config.filters
    layers: list[Layer[Any]] = [_conv(config, config.channels, width, config.kernel_size)]
    for ratio in reversed(config.ratios):
        layers += [_residual(config, width, growth) for growth in range(config.residual_layers)]
        layers += [Elu(), _conv(config, width, width * 2, ratio * 2, stride=ratio)]
        width *= 2
    if config.lstm_layers:
        layers.append(Lstm(width, config.lstm_layers))
    layers += [Elu(), _conv(config, width, config.dimension, config.last_kernel_size)]
    return Sequence(layers)


def decoder(config: EncodecConfig) -> Sequence:
    """Vectors [B, F, dimension] -> sound [B, F * frame_samples, C]."""
    width = config.filters << len(config.ratios)
    layers: list[Layer[Any]] = [_conv(config, config.dimension, width, config.kernel_size)]
    if config.lstm_layers:
        layers.append(Lstm(width, config.lstm_layers))
    for ratio in config.ratios:
        layers += [Elu(), _transposed(config, width, width // 2, ratio * 2, ratio)]
        width //= 2
        layers += [_residual(config, width, growth) for growth in range(config.residual_layers)]
    layers += [Elu(), _conv(config, width, config.channels, config.last_kernel_size)]
    return Sequence(layers)


def _residual(config: EncodecConfig, width: int, growth: int) -> Residual:
    inside = width // config.compress
    dilation = config.dilation_growth**growth
    block = Sequence(
        [
            Elu(),
            _conv(config, width, inside, config.residual_kernel_size, dilation=dilation),
            Elu(),
            _conv(config, inside, width, 1),
        ]
    )
    return Residual(block, _conv(config, width, width, 1) if config.conv_shortcut else None)


def _conv(
    config: EncodecConfig, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, dilation: int = 1
) -> Conv1d:
    return Conv1d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        dilation,
        causal=config.causal,
        padding=config.padding,
        norm=config.time_group_norm,
    )


def _transposed(
    config: EncodecConfig, in_channels: int, out_channels: int, kernel_size: int, stride: int
) -> ConvTranspose1d:
    return ConvTranspose1d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        causal=config.causal,
        trim_right=config.trim_right,
        norm=config.time_group_norm,
    )
