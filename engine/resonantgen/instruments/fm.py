"""Frequency modulation (Chowning, 1973), as phase modulation of up to six sine operators with feedback."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.jit import kernel

TICK = 32
SINE_SIZE = 4096
SILENT = 1e-5  # an operator below -100 dB is left out
# Two points more than a cycle: the part of a cycle can round up to 1.
SINE: NDArray[np.float64] = np.sin(2.0 * np.pi * np.arange(SINE_SIZE + 2) / SINE_SIZE)


@kernel
def sine_at(sine: NDArray[np.float64], cycles: float) -> float:
    """The sine of a phase in cycles, by linear interpolation: within 3e-7."""
    position = (cycles - np.floor(cycles)) * SINE_SIZE
    index = int(position)
    return float(sine[index] + (sine[index + 1] - sine[index]) * (position - index))


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

    Per operator: ratio to the voice's pitch; offset (cycles per frame); target, an earlier operator or -1 for the
    sound; amount, how loud it is there or how far it moves the target's phase (cycles); own, the same for its own
    phase; levels (its envelope, [operators, ticks + 1]); phase (cycles).
    last: [operators, 2], each one's last two values; their mean is fed back, which keeps it from hunting.
    """
    operators = len(ratio)
    channels, frames = out.shape
    moved = np.empty((operators + 1, TICK))  # how far each is moved; the last row collects the sound
    values = np.empty(TICK)
    for tick in range(frames // TICK):
        moved[:] = 0.0
        middle = 0.5 * (increment[tick] + increment[tick + 1])
        for number in range(operators - 1, -1, -1):
            start, end = levels[number, tick], levels[number, tick + 1]
            step = middle * ratio[number] + offset[number]
            if max(start, end) > SILENT:
                slope = (end - start) / TICK
                if own[number] > 0.0:
                    first, second = last[number, 0], last[number, 1]
                    for frame in range(TICK):
                        back = own[number] * (first + second)
                        value = sine_at(sine, phase[number] + step * frame + moved[number, frame] + back)
                        value *= start + slope * frame
                        second, first = first, value
                        values[frame] = value
                    last[number, 0], last[number, 1] = first, second
                else:
                    # A loop of its own: without feedback the processor computes several frames at once.
                    for frame in range(TICK):
                        value = sine_at(sine, phase[number] + step * frame + moved[number, frame])
                        values[frame] = value * (start + slope * frame)
                for frame in range(TICK):
                    moved[target[number], frame] += amount[number] * values[frame]  # -1 is the last row
            phase[number] += step * TICK
            phase[number] -= np.floor(phase[number])
        for channel in range(channels):
            for frame in range(TICK):
                out[channel, tick * TICK + frame] += moved[operators, frame]
