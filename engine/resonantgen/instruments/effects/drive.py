"""Saturation without audible aliasing.

The curve runs at twice the sample rate, between two elliptic half-band filters, and is applied as the mean of the curve
over the step from one sample to the next (first-order antiderivative antialiasing: J. Parker, V. Zavalishin, E. Le
Bivic, "Reducing the aliasing of nonlinear waveshaping using continuous-time convolution", DAFx 2016). The means are
written without the usual division of two vanishing differences, so that they are exact for the smallest steps too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from resonantgen.instruments.base import Samples
from resonantgen.instruments.effects import inserts
from resonantgen.instruments.half_band import half_band
from resonantgen.instruments.jit import kernel

Triple: TypeAlias = tuple[float, float, float]
Quad: TypeAlias = tuple[float, float, float, float]

REFERENCE_LEVEL = 0.25  # the peak (-12 dBFS) whose level a drive keeps
TUBE_BIAS = 0.6  # how far off its centre the "tube" curve works: even harmonics

WARM, TUBE, HARD, FOLD = range(4)
CHARACTERS = {"warm": WARM, "tube": TUBE, "hard": HARD, "fold": FOLD}


HALF_BAND = half_band(6, 0.05)  # passes 0.4 of the sample rate, stops by 100 dB what would fold back below that


@kernel
def _curve(character: int, x: float) -> float:
    """The curve itself, at one point."""
    if character == WARM:
        return x / math.sqrt(1 + x * x)
    if character == TUBE:
        y = x + TUBE_BIAS
        return y / math.sqrt(1 + y * y) - TUBE_BIAS / math.sqrt(1 + TUBE_BIAS * TUBE_BIAS)
    if character == HARD:
        return min(1.0, max(-1.0, x))
    return math.sin(x)


@kernel
def _mean(character: int, a: float, b: float) -> float:
    """Mean of the curve between a and b."""
    if character == WARM:
        return (a + b) / (math.sqrt(1 + a * a) + math.sqrt(1 + b * b))
    if character == TUBE:
        a, b = a + TUBE_BIAS, b + TUBE_BIAS
        rest = TUBE_BIAS / math.sqrt(1 + TUBE_BIAS * TUBE_BIAS)
        return (a + b) / (math.sqrt(1 + a * a) + math.sqrt(1 + b * b)) - rest
    if character == HARD:
        low, high = (a, b) if a < b else (b, a)
        if low >= -1 and high <= 1:
            return 0.5 * (a + b)
        if low >= 1 or high <= -1:
            return 1.0 if low >= 1 else -1.0
        inside_low, inside_high = max(low, -1.0), min(high, 1.0)
        inside = 0.5 * (inside_high + inside_low) * (inside_high - inside_low)
        return ((high - inside_high) - (inside_low - low) + inside) / (high - low)
    middle, half = 0.5 * (a + b), 0.5 * (b - a)
    spread = 1 - half * half / 6 if abs(half) < 1e-4 else math.sin(half) / half
    return math.sin(middle) * spread


@kernel
def _branch(x: float, k: Triple, past: Quad) -> Quad:
    """One sample through one branch of a half-band filter: three all-passes in a row.

    `past` is what went in and came out of each the last time, and is what returns: its last is the output.
    """
    first = k[0] * (x - past[1]) + past[0]
    second = k[1] * (first - past[2]) + past[1]
    third = k[2] * (second - past[3]) + past[2]
    if -1e-30 < third < 1e-30 and -1e-30 < x < 1e-30:
        return (0.0, 0.0, 0.0, 0.0)  # rather than numbers too small to be normal, which slow a processor down
    return (x, first, second, third)


@kernel
def _run_drive(
    block: Samples, character: int, gain: float, makeup: float, mix: float, coefficients: Samples, memory: Samples
) -> Samples:
    """`memory` [2 channels, 18]: two branches up, two down, the last input of the curve, and its last odd output."""
    out = np.empty_like(block)
    even_k = (coefficients[0], coefficients[2], coefficients[4])
    odd_k = (coefficients[1], coefficients[3], coefficients[5])
    dry, wet = 0.5 * (1 - mix) / gain, mix * makeup
    for c in range(2):
        m = memory[c]
        up_even, up_odd = (m[0], m[1], m[2], m[3]), (m[4], m[5], m[6], m[7])
        down_even, down_odd = (m[8], m[9], m[10], m[11]), (m[12], m[13], m[14], m[15])
        before, odd = m[16], m[17]
        for n in range(block.shape[0]):
            x = block[n, c] * gain
            up_even, up_odd = _branch(x, even_k, up_even), _branch(x, odd_k, up_odd)
            first, second = up_even[3], up_odd[3]
            even = dry * (before + first) + wet * _mean(character, before, first)
            # The odd samples' branch is one sample of the doubled rate behind: it takes the odd sample before.
            down_even, down_odd = _branch(even, even_k, down_even), _branch(odd, odd_k, down_odd)
            odd = dry * (first + second) + wet * _mean(character, first, second)
            before = second
            out[n, c] = 0.5 * (down_even[3] + down_odd[3])
        for i in range(4):
            m[i], m[4 + i], m[8 + i], m[12 + i] = up_even[i], up_odd[i], down_even[i], down_odd[i]
        m[16], m[17] = before, odd
    return out


@dataclass(slots=True)
class DriveState:
    memory: Samples


@dataclass(frozen=True, slots=True)
class DriveEffect:
    """See `inserts.Drive`."""

    character: int
    gain: float
    makeup: float
    mix: float

    @classmethod
    def of(cls, insert: inserts.Drive) -> DriveEffect:
        character, gain = CHARACTERS[insert.character], 10 ** (insert.amount_db / 20)
        loudest = min(REFERENCE_LEVEL * gain, math.pi / 2) if character == FOLD else REFERENCE_LEVEL * gain
        return cls(character, gain, REFERENCE_LEVEL / _curve(character, loudest), insert.mix)

    @property
    def gap_frames(self) -> int:
        return 0

    def start(self) -> DriveState:
        return DriveState(np.zeros((2, 18)))

    def render(self, state: DriveState, block: Samples) -> Samples:
        block = np.ascontiguousarray(block)
        return _run_drive(block, self.character, self.gain, self.makeup, self.mix, HALF_BAND, state.memory)
