"""The voice's filter and amplifier: topology-preserving filters (Zavalishin, "The Art of VA Filter Design", 2012).

The state-variable filter keeps its state in integrators, so its cutoff may move every frame without clicks or
blow-ups; 24 dB is two of them in series. The ladder is four one-pole filters in a zero-delay feedback loop with a
saturator in it, which is what makes an acid line squelch rather than whistle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.jit import kernel

TICK = 32
# Kinds, as numbers for the kernel.
NONE, LOWPASS12, LOWPASS24, HIGHPASS12, BANDPASS12, LADDER = range(6)
KINDS = {
    "lowpass12": LOWPASS12,
    "lowpass24": LOWPASS24,
    "highpass12": HIGHPASS12,
    "bandpass12": BANDPASS12,
    "ladder": LADDER,
}
STATES = 6  # numbers a channel's filter remembers
SOFTNESS = 0.1  # the ladder bends at one over the root of this
STEEP = 1.848  # damping of the first of two sections in series whose product is maximally flat at no resonance


def at_rest(channels: int) -> NDArray[np.float64]:
    """The state of a filter that has heard nothing, [channels, STATES]."""
    state = np.zeros((channels, STATES))
    state[:, 5] = 1.0
    return state


@kernel
def state_variable(
    value: float, g: float, damping: float, scale: float, first: float, second: float
) -> tuple[float, float, float]:
    """One frame of a state-variable filter: its high-pass, and the band- and low-pass from which its state follows.

    The state moves to (2 band - first, 2 low - second); scale is 1 / (1 + g * (g + damping)).
    """
    high = (value - (g + damping) * first - second) * scale
    band = g * high + first
    return high, band, g * band + second


@kernel
def ladder(value: float, g: float, feedback: float, state: NDArray[np.float64]) -> float:
    """One frame of a four-pole ladder, solved for its zero-delay loop, whose input saturates softly.

    The saturator is antialiased as in `tone.py`; state[4] is what it was given last, state[5] the root of that.
    """
    rest = 1.0 / (1.0 + g)
    pole = g * rest
    power = pole * pole
    scale = 1.0 / (1.0 + feedback * power * power)
    held = rest * (state[3] + pole * state[2] + power * (state[1] + pole * state[0]))
    pushed = (value * (1.0 + feedback) - feedback * held) * scale
    root = np.sqrt(1.0 + SOFTNESS * pushed * pushed)
    signal = (pushed + state[4]) / (root + state[5])
    state[4], state[5] = pushed, root
    for stage in range(4):
        moved = (signal - state[stage]) * pole
        signal = moved + state[stage]
        state[stage] = signal + moved
    return float(signal)


@kernel
def shape_voice(
    kind: int,
    resonance: float,
    cutoff: NDArray[np.float64],
    gain: NDArray[np.float64],
    state: NDArray[np.float64],
    source: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Filter a voice's `source` [1 or 2 channels, ticks * TICK] in place; write it, amplified, to `out` [2, ...].

    cutoff: tan(pi * f / rate), [ticks + 1]; gain: [2, ticks + 1]; both are interpolated within a tick.
    resonance: 0 to 1.  state: [channels, STATES].
    """
    channels, frames = source.shape
    damping = 2.0 - 1.96 * resonance
    narrow = 0.765 * (1.0 - 0.95 * resonance)
    if kind == LOWPASS24:
        damping = STEEP - 0.5 * STEEP * resonance
    if kind != NONE:
        for frame in range(frames):
            tick, part = frame // TICK, (frame % TICK) / TICK
            g = cutoff[tick] + part * (cutoff[tick + 1] - cutoff[tick])
            scale = 1.0 / (1.0 + g * (g + damping))
            narrow_scale = 1.0 / (1.0 + g * (g + narrow))
            # Channels inside frames: the processor works on both at once.
            for channel in range(channels):
                memory, value = state[channel], source[channel, frame]
                if kind == LADDER:
                    source[channel, frame] = ladder(value, g, 4.1 * resonance, memory)
                    continue
                high, band, low = state_variable(value, g, damping, scale, memory[0], memory[1])
                memory[0], memory[1] = 2.0 * band - memory[0], 2.0 * low - memory[1]
                if kind == LOWPASS24:
                    high, band, low = state_variable(low, g, narrow, narrow_scale, memory[2], memory[3])
                    memory[2], memory[3] = 2.0 * band - memory[2], 2.0 * low - memory[3]
                if kind == HIGHPASS12:
                    low = high
                elif kind == BANDPASS12:
                    low = damping * band
                source[channel, frame] = low
    for channel in range(2):
        filtered = source[channel if channels == 2 else 0]
        for tick in range(frames // TICK):
            level = gain[channel, tick]
            slope = (gain[channel, tick + 1] - level) / TICK
            for frame in range(TICK):
                out[channel, tick * TICK + frame] = filtered[tick * TICK + frame] * (level + frame * slope)
