"""What an EnCodec model is made of (Défossez et al., "High Fidelity Neural Audio Compression", 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resonantgen.codecs.bandwidth import codebooks_at
from resonantgen.codecs.convolution import Padding
from resonantgen.errors import ModelUnusable


@dataclass(frozen=True, slots=True)
class EncodecConfig:
    """The defaults are those of EnCodec 24 kHz."""

    name: str = "encodec-24khz"
    sample_rate: int = 24_000
    channels: int = 1
    bandwidths_kbps: tuple[float, ...] = (1.5, 3.0, 6.0, 12.0, 24.0)  # the last one uses all codebooks
    cardinality: int = 1024  # entries of a codebook, a power of 2
    dimension: int = 128  # of a frame's vector, which is quantised
    filters: int = 32  # channels after the first convolution of the encoder; they double with each ratio
    ratios: tuple[int, ...] = (8, 5, 4, 2)  # upsampling of the decoder, first to last
    residual_layers: int = 1  # for each ratio
    kernel_size: int = 7
    last_kernel_size: int = 7
    residual_kernel_size: int = 3
    dilation_growth: int = 2  # the j-th residual layer is dilated by this to the j-th power
    compress: int = 2  # channels of a residual layer over those inside it
    lstm_layers: int = 2
    causal: bool = True
    padding: Padding = Padding.REFLECT
    trim_right: float = 1.0
    time_group_norm: bool = (
        False  # after each convolution; otherwise weights were normalised, which is folded into them
    )
    conv_shortcut: bool = True  # a residual layer's shortcut is a convolution
    normalize: bool = False  # each segment has its own scale
    segment_seconds: float | None = None  # sound is coded in segments of this length
    overlap: float = 0.0  # of a segment, that the next one shares

    @property
    def frame_samples(self) -> int:
        return math.prod(self.ratios)

    @property
    def frame_rate(self) -> int:
        """Frames a second; rounded up where they are no whole number, as the published models count bandwidth."""
        return math.ceil(self.sample_rate / self.frame_samples)

    @property
    def bits(self) -> int:
        """Of an index."""
        return self.cardinality.bit_length() - 1

    @property
    def codebooks(self) -> int:
        return codebooks_at(self, self.bandwidths_kbps[-1])

    @property
    def segment_samples(self) -> int | None:
        return None if self.segment_seconds is None else int(self.segment_seconds * self.sample_rate)

    @property
    def segment_stride(self) -> int | None:
        """Samples from one segment's beginning to the next one's."""
        return None if self.segment_samples is None else max(1, int((1 - self.overlap) * self.segment_samples))

    def _is_possible(self) -> bool:
        """Whether values that come from a file can be those of a model."""
        counts = (self.sample_rate, self.channels, self.cardinality, self.dimension, self.filters, *self.ratios)
        sizes = (self.residual_layers, self.kernel_size, self.last_kernel_size, self.residual_kernel_size)
        others = (self.dilation_growth, self.compress, self.lstm_layers + 1)
        flags = (self.causal, self.time_group_norm, self.conv_shortcut, self.normalize)
        return (
            all(isinstance(count, int) and count > 0 for count in (*counts, *sizes, *others))
            and all(isinstance(flag, bool) for flag in flags)
            and self.cardinality == 1 << self.bits
            and bool(self.ratios and self.bandwidths_kbps)
            and codebooks_at(self, self.bandwidths_kbps[-1]) > 0
            and 0 <= self.trim_right <= 1
            and 0 <= self.overlap < 0.5
            and (self.segment_samples is None or self.segment_samples >= self.frame_samples)
            and self.normalize == (self.segment_samples is not None)
        )

    @classmethod
    def from_huggingface(cls, config: Mapping[str, Any], name: str) -> EncodecConfig:
        """From a config.json of `transformers`, of a codec or the audio_encoder of a MusicGen; its defaults are ours.

        Raises ModelUnusable.
        """
        try:
            values = {ours: config[theirs] for ours, theirs in _HUGGINGFACE.items() if config.get(theirs) is not None}
            if "norm_type" in config:
                values["time_group_norm"] = {"weight_norm": False, "time_group_norm": True}[config["norm_type"]]
            for ours in ("bandwidths_kbps", "ratios"):
                if ours in values:
                    values[ours] = tuple(values[ours])
            if "padding" in values:
                values["padding"] = Padding(values["padding"])
            made = cls(name=name, **values)
            if config.get("codebook_dim") not in (None, made.dimension) or not made._is_possible():
                raise ValueError
            return made
        except (KeyError, TypeError, ValueError) as error:
            raise ModelUnusable(f"{name}: its configuration is not one of an EnCodec model.") from error


_HUGGINGFACE = {
    "sample_rate": "sampling_rate",
    "channels": "audio_channels",
    "bandwidths_kbps": "target_bandwidths",
    "cardinality": "codebook_size",
    "dimension": "hidden_size",
    "filters": "num_filters",
    "ratios": "upsampling_ratios",
    "residual_layers": "num_residual_layers",
    "kernel_size": "kernel_size",
    "last_kernel_size": "last_kernel_size",
    "residual_kernel_size": "residual_kernel_size",
    "dilation_growth": "dilation_growth_rate",
    "compress": "compress",
    "lstm_layers": "num_lstm_layers",
    "causal": "use_causal_conv",
    "padding": "pad_mode",
    "trim_right": "trim_right_ratio",
    "conv_shortcut": "use_conv_shortcut",
    "normalize": "normalize",
    "segment_seconds": "chunk_length_s",
    "overlap": "overlap",
}

ENCODEC_24KHZ = EncodecConfig()
ENCODEC_48KHZ = EncodecConfig(
    name="encodec-48khz",
    sample_rate=48_000,
    channels=2,
    bandwidths_kbps=(3.0, 6.0, 12.0, 24.0),
    causal=False,
    time_group_norm=True,
    normalize=True,
    segment_seconds=1.0,
    overlap=0.01,
)
MUSICGEN_32KHZ = EncodecConfig(
    name="musicgen-32khz",
    sample_rate=32_000,
    bandwidths_kbps=(2.2,),
    cardinality=2048,
    filters=64,
    ratios=(8, 5, 4, 4),
    causal=False,
    conv_shortcut=False,
)
