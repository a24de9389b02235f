"""Frequency modulation (Chowning, 1973), as phase modulation of up to six sine operators with feedback."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.jit import kernel

TICK = 32
SINE_SIZE = 4096
# Two points more than a cycle: the part of a cycle can round up to 1.
SINE: NDArray[np.float64] = np.sin(2.0 * np.pi * np.arange(SINE_SIZE + 2) / SINE_SIZE)


@kernel
def operate(
    sine: NDArray[np.float64],
    ratio: NDArray[np.float64],
    offset: NDArray[np.float64],
    target: NDArray[np.int64],
    amount: NDArray[np.float64],
    own: NDArray[np.float64],
    levels: NDArray[np.float64],
    increment: NDArray[np.float64],
    phase: NDArray[np.float64],
    last: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Add a voice's operators to `out` [channels, ticks * TICK].

    Per operator: ratio to the voice's pitch; offset (cycles per frame); target, an earlier operator or -1 for the sound;
    amount, how loud it is there or how far it moves the target's phase (cycles); own, the same for its own phase;
    levels (its envelope, [operators, ticks + 1]); phase (cycles).
    last: [operators, 2], each one's last two values; their mean is fed back, which keeps it from hunting.
    """
    operators = len(ratio)
    channels, frames = out.shape
    moved = np.zeros(operators + 1)  # how far each is moved in this frame; the last entry collects the sound
    for tick in range(frames // TICK):
        middle = 0.5 * (increment[tick] + increment[tick + 1])
        for frame in range(TICK):
            moved[operators] = 0.0
            for number in range(operators - 1, -1, -1):
                start = levels[number, tick]
                level = start + (levels[number, tick + 1] - start) * (frame / TICK)
                position = phase[number] + moved[number] + own[number] * (last[number, 0] + last[number, 1])
                position = (position - np.floor(position)) * SINE_SIZE
                index = int(position)
                value = level * (sine[index] + (sine[index + 1] - sine[index]) * (position - index))
                last[number, 1] = last[number, 0]
                last[number, 0] = value
                moved[number] = 0.0
                moved[target[number]] += amount[number] * value  # -1 is the last entry
                phase[number] += middle * ratio[number] + offset[number]
            for channel in range(channels):
                out[channel, tick * TICK + frame] += moved[operators]
        for number in range(operators):
            phase[number] -= np.floor(phase[number])
