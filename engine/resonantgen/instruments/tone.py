"""The end of every patch: what happens to the sum of its voices.

Low cut, drive, resonances of a body, mouth or loudspeaker, tilt, high cut, width, and a bass that is mono.
The saturator is y = x / sqrt(1 + x^2), antialiased by its antiderivative (Parker, Zavalishin, Le Bivic, "Reducing the
aliasing of nonlinear waveshaping using continuous-time convolution", DAFx-16). For this curve the difference quotient
of the antiderivative sqrt(1 + x^2) has the closed form (x1 + x0) / (sqrt(1 + x1^2) + sqrt(1 + x0^2)): no division by
small differences. Averaging two frames that way dulls the treble; one pole makes up for it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.jit import kernel

DULLNESS = 0.6  # pole that undoes the average of two frames to within 1 dB up to two thirds of Nyquist
# What a channel remembers, by index; two numbers for each formant follow.
LOW_CUT, SATURATOR, DULLED, TILT, HIGH_CUT, BLOCKER, SILENT_FRAMES, FORMANTS = 0, 2, 4, 5, 6, 10, 12, 13


class ToneSettings(NamedTuple):
    """Coefficients for one sample rate; every `g` is tan(pi * f / rate), 0 switches its part off."""

    level_in: float  # of the voices
    low_cut_g: float
    drive: float  # gain into the saturator, 0 for no saturator
    bias: float  # offset into the saturator: even harmonics
    makeup: float  # gain after it
    dry: float  # what goes past the formants
    tilt_pole: float  # of the low-pass that splits the sound for the tilt
    tilt_low: float
    tilt_high: float
    high_cut_g: float
    high_cut_steep: float  # 1: 24 dB an octave, 0: 12
    blocker: float  # pole of the DC blocker
    width: float  # gain of the side
    side_g: float  # the side's high-pass
    level_out: float
    rest_frames: float  # of silence in, after which the filters are set to rest: their last ringing is below -100 dB


@kernel
def rest(state: NDArray[np.float64], bias: float) -> None:
    """Set a channel's memory to what silence leaves, so that numbers too small to be heard cost no time."""
    silent_frames = state[SILENT_FRAMES]
    state[:] = 0.0
    state[SATURATOR] = bias
    state[SATURATOR + 1] = np.sqrt(1.0 + bias * bias)
    state[SILENT_FRAMES] = silent_frames


@kernel
def second_order(
    value: float, g: float, damping: float, memory: NDArray[np.float64], at: int
) -> tuple[float, float, float]:
    """One frame of a topology-preserving state-variable filter: high, band (of unit gain at its peak), low."""
    high = (value - (g + damping) * memory[at] - memory[at + 1]) / (1.0 + g * (g + damping))
    band = g * high + memory[at]
    low = g * band + memory[at + 1]
    memory[at] = g * high + band
    memory[at + 1] = g * band + low
    return high, damping * band, low


@kernel
def finish(
    settings: ToneSettings, formants: NDArray[np.float64], memory: NDArray[np.float64], samples: NDArray[np.float64]
) -> None:
    """Shape `samples` [2, frames] in place.

    formants: [formants, 3], each g, damping, gain.  memory: [3, FORMANTS + 2 * formants]; the last row is the side's.
    """
    frames = samples.shape[1]
    offset = settings.bias / np.sqrt(1.0 + settings.bias * settings.bias)
    for channel in range(2):
        state = memory[channel]
        for frame in range(frames):
            value = settings.level_in * samples[channel, frame]
            if value != 0.0:
                state[SILENT_FRAMES] = 0.0
            elif state[SILENT_FRAMES] >= settings.rest_frames:
                rest(state, settings.bias)
                continue
            else:
                state[SILENT_FRAMES] += 1.0
            if settings.low_cut_g > 0.0:
                value = second_order(value, settings.low_cut_g, 1.414, state, LOW_CUT)[0]
            if settings.drive > 0.0:
                pushed = settings.drive * value + settings.bias
                root = np.sqrt(1.0 + pushed * pushed)
                mean = (pushed + state[SATURATOR]) / (root + state[SATURATOR + 1]) - offset
                state[SATURATOR], state[SATURATOR + 1] = pushed, root
                state[DULLED] = (1.0 + DULLNESS) * mean - DULLNESS * state[DULLED]
                value = settings.makeup * state[DULLED]
            if len(formants) > 0:
                resonant = settings.dry * value
                for number in range(len(formants)):
                    band = second_order(value, formants[number, 0], formants[number, 1], state, FORMANTS + 2 * number)[
                        1
                    ]
                    resonant += formants[number, 2] * band
                value = resonant
            state[TILT] += settings.tilt_pole * (value - state[TILT])
            value = settings.tilt_low * state[TILT] + settings.tilt_high * (value - state[TILT])
            if settings.high_cut_g > 0.0:
                value = second_order(value, settings.high_cut_g, 1.414, state, HIGH_CUT)[2]
                if settings.high_cut_steep > 0.0:
                    value = second_order(value, settings.high_cut_g, 1.0, state, HIGH_CUT + 2)[2]
            blocked = value - state[BLOCKER] + settings.blocker * state[BLOCKER + 1]
            state[BLOCKER], state[BLOCKER + 1] = value, blocked
            samples[channel, frame] = settings.level_out * blocked
    side_state = memory[2]
    for frame in range(frames):
        middle = 0.5 * (samples[0, frame] + samples[1, frame])
        side = 0.5 * settings.width * (samples[0, frame] - samples[1, frame])
        if settings.side_g > 0.0:
            side = second_order(side, settings.side_g, 1.414, side_state, 0)[0]
        samples[0, frame] = middle + side
        samples[1, frame] = middle - side
