"""A plucked string: Karplus-Strong as extended by Jaffe and Smith (1983), tuned exactly.

The loop is a delay line, a one-pole low-pass (treble dies before bass) and an all-pass whose phase delay supplies the
fraction of a frame that is missing at the fundamental. The string is set off by a smooth pulse with some noise in it,
combed by where it is plucked; the comb also takes the DC out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.jit import kernel

TICK = 32
TREBLE_HZ = 4000.0


@dataclass(slots=True)
class StringState:
    """One sounding string."""

    line: NDArray[np.float64]  # the delay line, a ring
    excitation: NDArray[np.float64]
    pole: float
    loop_gain: float
    fraction: float  # coefficient of the all-pass
    at: NDArray[np.int64]  # position in the ring, frames since the pluck
    memory: NDArray[np.float64]  # low-pass, all-pass in, all-pass out


def pluck_string(
    frequency_hz: float,
    sample_rate: int,
    *,
    decay_s: float,
    treble_s: float,
    hardness_hz: float,
    position: float,
    noise: float,
    seed: int,
) -> StringState:
    """Tune and set off a string.

    decay_s: in which the fundamental falls by 60 dB; treble_s: the same at 4 kHz.  hardness_hz: up to where the pluck
    reaches.  position: where it is plucked, as a part of the string's length.  noise: part of the pluck that is noise.
    """
    pole, loop_gain = _loop_filter(frequency_hz, sample_rate, decay_s, min(treble_s, decay_s))
    omega = 2.0 * math.pi * frequency_hz / sample_rate
    lag = math.atan2(pole * math.sin(omega), 1.0 - pole * math.cos(omega)) / omega
    missing = sample_rate / frequency_hz - lag
    length = int(missing - 0.3)
    delay = missing - length  # 0.3 to 1.3 frames, where the all-pass settles quickly
    fraction = math.sin((1.0 - delay) * omega / 2.0) / math.sin((1.0 + delay) * omega / 2.0)
    return StringState(
        np.zeros(length),
        _excitation(sample_rate / frequency_hz, sample_rate, hardness_hz, position, noise, seed),
        pole,
        loop_gain,
        fraction,
        np.zeros(2, np.int64),
        np.zeros(3),
    )


def _loop_filter(frequency_hz: float, sample_rate: int, decay_s: float, treble_s: float) -> tuple[float, float]:
    """The low-pass's pole and the loop's gain that give both decay times, found by bisection on the pole."""
    treble_hz = max(TREBLE_HZ, 3.0 * frequency_hz)
    wanted = 10.0 ** (-3.0 / (frequency_hz * treble_s)) / 10.0 ** (-3.0 / (frequency_hz * decay_s))

    def lowpass(pole: float, hz: float) -> float:
        return (1.0 - pole) / math.sqrt(1.0 - 2.0 * pole * math.cos(2.0 * math.pi * hz / sample_rate) + pole * pole)

    low, high = 0.0, 0.95
    for _ in range(40):
        middle = 0.5 * (low + high)
        if lowpass(middle, treble_hz) / lowpass(middle, frequency_hz) > wanted:
            low = middle
        else:
            high = middle
    # A loop gain below 1 at every frequency: the string can only lose energy.
    return low, min(10.0 ** (-3.0 / (frequency_hz * decay_s)) / lowpass(low, frequency_hz), 0.99999)


def _excitation(
    period: float, sample_rate: int, hardness_hz: float, position: float, noise: float, seed: int
) -> NDArray[np.float64]:
    """The pluck, with the power of one unit pulse low-passed at `hardness_hz` whatever the period."""
    width = max(3, round(sample_rate / hardness_hz))
    pulse = np.hanning(width + 2)[1:-1]
    pulse /= np.sqrt(np.sum(pulse**2))
    if noise > 0.0:
        grains = np.random.default_rng(seed).uniform(-1.0, 1.0, max(8, int(period)))
        burst = np.convolve(grains, pulse)
        burst *= noise / np.sqrt(np.sum(burst**2))
        plucked = burst
        plucked[:width] += (1.0 - noise) * pulse
    else:
        plucked = pulse
    apart = max(1, round(position * period))
    combed = np.zeros(len(plucked) + apart)
    combed[: len(plucked)] = plucked
    combed[apart:] -= plucked
    return combed * math.sqrt(period)


@kernel
def ring_string(
    line: NDArray[np.float64],
    excitation: NDArray[np.float64],
    pole: float,
    loop_gain: float,
    fraction: float,
    at: NDArray[np.int64],
    memory: NDArray[np.float64],
    level: float,
    out: NDArray[np.float64],
) -> None:
    """Add a string to `out` [channels, frames], `level` times, and move it on (see StringState)."""
    channels, frames = out.shape
    length = len(line)
    position, age = at[0], at[1]
    low, before, after = memory[0], memory[1], memory[2]
    for frame in range(frames):
        delayed = line[position]
        low = (1.0 - pole) * delayed + pole * low
        damped = loop_gain * low
        after = fraction * (damped - after) + before
        before = damped
        value = after
        if age < len(excitation):
            value += excitation[age]
        age += 1
        line[position] = value
        position += 1
        if position == length:
            position = 0
        for channel in range(channels):
            out[channel, frame] += level * value
    at[0], at[1] = position, age
    memory[0], memory[1], memory[2] = low, before, after
