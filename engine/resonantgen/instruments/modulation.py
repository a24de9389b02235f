"""What moves within a note: envelopes, glide, vibrato, tremolo, wobble, pulse width.

Everything is a closed function of the time since the note began, because a note's length is known when it starts. It
is evaluated once a tick (32 frames of the voice's own age) and read by the audio kernels, which interpolate; so no
modulation has state, and none can depend on where a block begins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.jit import kernel

TICK = 32

# Rows of the tracks that `modulate` fills.
GAIN_LEFT, GAIN_RIGHT, INCREMENT, CUTOFF, WIDTH = range(5)
TRACKS = 5
# Columns of an envelope.
ATTACK, DECAY, SUSTAIN, RELEASE, START = range(5)
# The first rows of the envelopes; operators follow.
AMPLITUDE, FILTER, NOISE = range(3)

FALL = 6.907755  # a decay's "seconds" are those in which it falls by 60 dB
KNEE_S = 0.005  # in which a release gathers speed
CURVE = 1.8  # how much faster an attack begins than it ends


class Motion(NamedTuple):
    """All that one note needs to be modulated; times in seconds, rates in Hz, phases in cycles."""

    seconds_per_tick: float
    sample_rate: float
    started_s: float  # when the note began, since the start of the stream: what tempo-synced motion counts from
    hold_s: float  # until the key is let go
    gain: float
    pan: float  # -1 to 1
    key: float  # MIDI key, with fractions
    glide_from: float
    glide_s: float
    sweep_semitones: float
    sweep_s: float
    vibrato_cents: float
    vibrato_hz: float
    vibrato_delay_s: float
    vibrato_phase: float
    drift_cents: float
    drift_phase: float
    cutoff_hz: float
    filter_octaves: float
    wobble_hz: float
    wobble_octaves: float
    wobble_shape: float  # 0 sine, 1 triangle, 2 falling saw
    tremolo_hz: float
    tremolo_depth: float
    tremolo_pan: float
    pulse_width: float
    pulse_depth: float
    pulse_hz: float


@kernel
def envelope_at(shape: NDArray[np.float64], time_s: float, hold_s: float) -> float:
    """An exponential ADSR envelope, 0 to 1, at a time since its start; ends at exactly 0."""
    held_s = min(time_s, hold_s)
    if held_s < shape[ATTACK]:
        rise = (1.0 - np.exp(-CURVE * held_s / shape[ATTACK])) / (1.0 - np.exp(-CURVE))
        level = shape[START] + (1.0 - shape[START]) * rise
    else:
        fallen = np.exp(-FALL * (held_s - shape[ATTACK]) / shape[DECAY])
        level = shape[SUSTAIN] + (1.0 - shape[SUSTAIN]) * fallen
    if time_s > hold_s:
        since_s = time_s - hold_s
        # It begins with no slope: a kink in the level would click.
        fallen = np.exp(-FALL * since_s * since_s / ((since_s + KNEE_S) * shape[RELEASE]))
        end = np.exp(-FALL * shape[RELEASE] / (shape[RELEASE] + KNEE_S))
        level *= (fallen - end) / (1.0 - end) if since_s < shape[RELEASE] else 0.0
    return float(level)


@kernel
def wave_at(shape: float, cycles: float) -> float:
    """A low-frequency wave from -1 to 1, highest where a bar begins."""
    part = cycles - np.floor(cycles)
    if shape == 1.0:
        return float(abs(4.0 * part - 2.0) - 1.0)
    if shape == 2.0:
        return float(1.0 - 2.0 * part if part < 0.9 else -0.8 + 18.0 * (part - 0.9))
    return float(np.cos(2.0 * np.pi * part))


@kernel
def modulate(
    motion: Motion,
    envelopes: NDArray[np.float64],
    first_tick: int,
    levels: NDArray[np.float64],
    tracks: NDArray[np.float64],
) -> None:
    """Fill `levels` [envelopes, ticks + 1] and `tracks` [TRACKS, ticks + 1] from `first_tick` of the note on.

    tracks: gain of each channel, pitch in cycles per frame, the filter's tan(pi * cutoff / rate), pulse width.
    """
    for column in range(tracks.shape[1]):
        time_s = (first_tick + column) * motion.seconds_per_tick
        clock_s = motion.started_s + time_s
        for row in range(len(envelopes)):
            levels[row, column] = envelope_at(envelopes[row], time_s, motion.hold_s)

        tremolo = 0.0
        if motion.tremolo_hz > 0.0:
            tremolo = np.sin(2.0 * np.pi * motion.tremolo_hz * clock_s)
        gain = levels[AMPLITUDE, column] * motion.gain * (1.0 - motion.tremolo_depth * (0.5 + 0.5 * tremolo))
        angle = (min(1.0, max(-1.0, motion.pan + motion.tremolo_pan * tremolo)) + 1.0) * 0.25 * np.pi
        tracks[GAIN_LEFT, column] = gain * np.sqrt(2.0) * np.cos(angle)
        tracks[GAIN_RIGHT, column] = gain * np.sqrt(2.0) * np.sin(angle)

        key = motion.key
        if motion.glide_s > 0.0:
            key += (motion.glide_from - key) * np.exp(-FALL * time_s / motion.glide_s)
        if motion.sweep_semitones != 0.0:
            key += motion.sweep_semitones * np.exp(-FALL * time_s / motion.sweep_s)
        if motion.vibrato_cents > 0.0:
            fade = min(1.0, max(0.0, time_s / motion.vibrato_delay_s - 0.5)) if motion.vibrato_delay_s > 0.0 else 1.0
            cycles = motion.vibrato_hz * time_s + motion.vibrato_phase
            key += 0.01 * motion.vibrato_cents * fade * np.sin(2.0 * np.pi * cycles)
        if motion.drift_cents > 0.0:
            slow = np.sin(2.0 * np.pi * (0.37 * time_s + motion.drift_phase))
            key += (
                0.005 * motion.drift_cents * (slow + np.sin(2.0 * np.pi * (0.91 * time_s + 3.0 * motion.drift_phase)))
            )
        tracks[INCREMENT, column] = 440.0 * 2.0 ** ((key - 69.0) / 12.0) / motion.sample_rate

        octaves = motion.filter_octaves * levels[FILTER, column]
        if motion.wobble_octaves > 0.0:
            octaves += motion.wobble_octaves * (0.5 * wave_at(motion.wobble_shape, motion.wobble_hz * clock_s) - 0.5)
        cutoff = min(0.45 * motion.sample_rate, max(20.0, motion.cutoff_hz * 2.0**octaves))
        tracks[CUTOFF, column] = np.tan(np.pi * cutoff / motion.sample_rate)
        swing = motion.pulse_depth * np.sin(2.0 * np.pi * motion.pulse_hz * clock_s)
        tracks[WIDTH, column] = min(0.95, max(0.05, motion.pulse_width + swing))
