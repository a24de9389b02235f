"""Second-order filter sections: equalisers, crossovers, role filters and loudness weighting.

Coefficients follow the bilinear designs of R. Bristow-Johnson's "Audio EQ cookbook" (as in U. Zölzer, DAFX, ch. 2). A
section is a row [b0, b1, b2, a1, a2] with a0 = 1; a filter is an array of rows [sections, 5], run one after another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.base import Samples
from resonantgen.instruments.jit import kernel

Sections: TypeAlias = NDArray[np.float64]  # [sections, 5]
Shape: TypeAlias = Literal["peak", "low_shelf", "high_shelf", "high_pass", "low_pass", "all_pass"]

BUTTERWORTH_Q = math.sqrt(0.5)


def section(
    shape: Shape, frequency_hz: float, sample_rate: int, gain_db: float = 0.0, q: float = BUTTERWORTH_Q
) -> Sections:
    """One section, [1, 5]. A frequency above 0.45 of the sample rate counts as that."""
    w = 2 * math.pi * min(frequency_hz / sample_rate, 0.45)
    cos_w, alpha = math.cos(w), math.sin(w) / (2 * q)
    amplitude = 10 ** (gain_db / 40)
    slope = 2 * math.sqrt(amplitude) * alpha
    up, down = amplitude + 1, amplitude - 1
    numerator, denominator = {
        "low_pass": (((1 - cos_w) / 2, 1 - cos_w, (1 - cos_w) / 2), (1 + alpha, -2 * cos_w, 1 - alpha)),
        "high_pass": (((1 + cos_w) / 2, -1 - cos_w, (1 + cos_w) / 2), (1 + alpha, -2 * cos_w, 1 - alpha)),
        "all_pass": ((1 - alpha, -2 * cos_w, 1 + alpha), (1 + alpha, -2 * cos_w, 1 - alpha)),
        "peak": (
            (1 + alpha * amplitude, -2 * cos_w, 1 - alpha * amplitude),
            (1 + alpha / amplitude, -2 * cos_w, 1 - alpha / amplitude),
        ),
        "low_shelf": (
            (
                amplitude * (up - down * cos_w + slope),
                2 * amplitude * (down - up * cos_w),
                amplitude * (up - down * cos_w - slope),
            ),
            (up + down * cos_w + slope, -2 * (down + up * cos_w), up + down * cos_w - slope),
        ),
        "high_shelf": (
            (
                amplitude * (up + down * cos_w + slope),
                -2 * amplitude * (down + up * cos_w),
                amplitude * (up + down * cos_w - slope),
            ),
            (up - down * cos_w + slope, 2 * (down - up * cos_w), up - down * cos_w - slope),
        ),
    }[shape]
    a0 = denominator[0]
    return np.array([[*(b / a0 for b in numerator), denominator[1] / a0, denominator[2] / a0]])


def butterworth(shape: Literal["high_pass", "low_pass"], order: int, frequency_hz: float, sample_rate: int) -> Sections:
    """A maximally flat filter of even order, [order / 2, 5]."""
    assert order > 0 and order % 2 == 0, order
    qs = [1 / (2 * math.cos(math.pi * (2 * i + 1) / (2 * order))) for i in range(order // 2)]
    return np.concatenate([section(shape, frequency_hz, sample_rate, q=q) for q in qs])


def tilt(gain_db: float, frequency_hz: float, sample_rate: int) -> Sections:
    """Turns the whole spectrum about a frequency: `gain_db` up at the top, as much down at the bottom, [2, 5]."""
    wide = 0.4  # two gentle shelves that overlap make a nearly straight slope
    return np.concatenate(
        [
            section("low_shelf", frequency_hz / 2, sample_rate, -gain_db, wide),
            section("high_shelf", frequency_hz * 2, sample_rate, gain_db, wide),
        ]
    )


@kernel
def _run_sections(block: Samples, sections: Sections, state: Samples) -> Samples:
    """Transposed direct form II over [frames, channels]; `state` is [sections, 2, channels].

    What has decayed below 1e-30 becomes 0: numbers too small to be normal would slow the processor down many times.
    """
    frames, channels = block.shape
    out = np.empty_like(block)
    for n in range(frames):
        for c in range(channels):
            x = block[n, c]
            for s in range(sections.shape[0]):
                y = sections[s, 0] * x + state[s, 0, c]
                first = sections[s, 1] * x - sections[s, 3] * y + state[s, 1, c]
                second = sections[s, 2] * x - sections[s, 4] * y
                state[s, 0, c] = 0.0 if -1e-30 < first < 1e-30 else first
                state[s, 1, c] = 0.0 if -1e-30 < second < 1e-30 else second
                x = y
            out[n, c] = x
    return out


@dataclass(slots=True)
class FilterState:
    memory: Samples  # [sections, 2, channels]


@dataclass(frozen=True, slots=True)
class Filter:
    """A cascade of sections as an effect. `channels` is 2 but for parts that filter a single signal."""

    sections: Sections
    channels: int = 2

    @classmethod
    def of(cls, parts: Sequence[Sections]) -> Filter:
        """All parts one after another."""
        return cls(np.concatenate(parts) if parts else np.empty((0, 5)))

    @property
    def gap_frames(self) -> int:
        return 0

    def start(self) -> FilterState:
        return FilterState(np.zeros((len(self.sections), 2, self.channels)))

    def render(self, state: FilterState, block: Samples) -> Samples:
        """[frames, channels] to the same."""
        return _run_sections(np.ascontiguousarray(block), self.sections, state.memory)
