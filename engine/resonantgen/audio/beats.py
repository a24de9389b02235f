"""The beat grid of a piece of sound: tempo, phase and downbeat, near what is expected.

The tempo is the one at which onsets gather at the same places of the beat: a Fourier tempogram with harmonics, taken of
onset times (P. Grosche, M. Müller, "Extracting predominant local pulse information from music recordings", IEEE TASLP
2011), weighted towards the expected tempo as listeners do (D. Ellis, "Beat tracking by dynamic programming", JNMR
2007). A line through the onsets that lie on beats then gives both tempo and phase exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resonantgen.audio.onsets import Onsets, band_levels, find_onsets, flux
from resonantgen.audio.rhythm import Events, hear_events, likely_bar, likely_tempo
from resonantgen.music.time import TICKS_PER_QUARTER, Meter

Array = NDArray[np.float64]

ONSET_DB = 1.0  # an onset is so much growth, in the mean of all bands, above what is around it
SLOWEST, FASTEST, STEP = 0.66, 1.5, 1.0005  # the tempos that are tried, over the expected one
PRIOR_OCTAVES = 0.15  # standard deviation of the weight towards the expected tempo
LEAST_ONSETS, LEAST_ONSETS_PER_BAR = 6, 1.0
# For a beat: the largest resultant of a pulse's phases. Of n random onsets, chance makes it the second over sqrt(n).
LEAST_CLARITY, CHANCE, MOST_CLARITY = 0.35, 3.4, 0.9
LAP_SECONDS = 0.5  # of a loop that is heard again on each side of it
EARLY_SECONDS = 0.02
NEAR_BEAT = 0.12  # of a beat: an onset so near to it is on it


@dataclass(frozen=True, slots=True)
class Beat:
    """Where the beats of a piece are."""

    tempo_bpm: float  # quarter notes a minute, on the level of the expected tempo: half and double are the same grid
    downbeat_seconds: float  # a bar starts here: the first that is not before the piece's start
    clarity: float  # 0 to 1: how well onsets gather on one phase of the pulse
    downbeat_clarity: float  # 0 to 1: how likely the bar begins here, and not on another beat
    error_ms: float  # root mean square distance of the onsets that are on beats from them


def pulses(meter: Meter) -> tuple[float, tuple[int, ...]]:
    """The pulse to look for, in quarter notes, and its harmonics that count: its divisions by two, three and four."""
    groups = meter.groups
    unit = meter.unit_ticks / 480
    if len(set(groups)) > 1:
        return unit, (1, 2)  # 7/8: felt beats are unequal
    if meter.denominator == 8 and groups[0] == 3:
        return 3 * unit, (1, 2, 3, 6)
    return groups[0] * unit, (1, 2, 3, 4, 6, 8)


def resultants(onsets: Onsets, frequencies: Array) -> NDArray[np.complex128]:
    """How far onsets gather on one phase of each of the frequencies [any shape] in Hz: 0 to 1, with that phase."""
    weights = onsets.strengths / max(float(onsets.strengths.sum()), 1e-12)
    turns = np.exp(-2j * np.pi * frequencies[..., None] * onsets.seconds)
    found: NDArray[np.complex128] = turns @ weights
    return found


def find_tempo(onsets: Onsets, tempo_bpm: float, meter: Meter) -> tuple[float, float]:
    """The tempo (quarter notes a minute) that suits the onsets best, and its clarity, 0 to 1."""
    quarters, harmonics = pulses(meter)
    ratios = np.exp(np.arange(np.log(SLOWEST), np.log(FASTEST), np.log(STEP)))
    base = tempo_bpm / 60 / quarters
    # One by one: for a piece of minutes all at once would take hundreds of megabytes
    strengths = np.stack([np.abs(resultants(onsets, base * ratios * harmonic)) for harmonic in harmonics], axis=1)
    prior = np.exp(-0.5 * (np.log2(ratios) / PRIOR_OCTAVES) ** 2)
    scores = (strengths**2).sum(axis=1) * prior
    best = int(np.argmax(scores))
    return tempo_bpm * float(ratios[best]), float(strengths[best].max())


def hear_onsets(samples: Array, sample_rate: int) -> Onsets:
    """What begins in [frames, channels]."""
    return find_onsets(flux(band_levels(samples, sample_rate)).mean(axis=1), ONSET_DB)


def loop_onsets(loop: Array, sample_rate: int) -> Onsets:
    """What begins in a loop [frames, channels], where its end is followed by its start."""
    lap = round(LAP_SECONDS * sample_rate)
    heard = hear_onsets(np.take(loop, np.arange(-lap, len(loop) + lap), axis=0, mode="wrap"), sample_rate)
    seconds = heard.seconds - lap / sample_rate
    # What begins a moment before the loop's start belongs to its first beat.
    inside = (seconds >= -EARLY_SECONDS) & (seconds < len(loop) / sample_rate - EARLY_SECONDS)
    return Onsets(seconds[inside], heard.strengths[inside])


def find_beat(samples: Array, sample_rate: int, tempo_bpm: float, meter: Meter) -> Beat | None:
    """The beat grid of [frames, channels] that is expected near a tempo; None if no beat can be heard."""
    growth = flux(band_levels(samples, sample_rate))
    heard = hear_events(find_onsets(growth.mean(axis=1), ONSET_DB), growth)
    return beat_of(heard, len(samples) / sample_rate, tempo_bpm, meter)


def beat_of(heard: Events, seconds: float, tempo_bpm: float | None, meter: Meter) -> Beat | None:
    """The beat grid of what begins in a piece, near a tempo if one is expected; None if no beat can be heard."""
    onsets = heard.onsets
    if len(onsets.seconds) < LEAST_ONSETS:
        return None
    if tempo_bpm is None:
        tempo = likely_tempo(heard)
        quarters, harmonics = pulses(meter)
        frequencies = tempo / 60 / quarters * np.array(harmonics)
        clarity = float(np.abs(resultants(onsets, frequencies)).max())
    else:
        tempo, clarity = find_tempo(onsets, tempo_bpm, meter)
    bars = seconds * tempo / 60 / (meter.bar_ticks / TICKS_PER_QUARTER)
    chance = CHANCE / math.sqrt(len(onsets.seconds))
    if len(onsets.seconds) < LEAST_ONSETS_PER_BAR * bars or clarity < min(max(chance, LEAST_CLARITY), MOST_CLARITY):
        return None
    pulse = pulses(meter)[0] * 60 / tempo
    per_bar = round(meter.bar_ticks / TICKS_PER_QUARTER / pulses(meter)[0])
    start, ahead = likely_bar(heard, pulse, per_bar)
    pulse, phase, error = _fit_line(onsets, pulse, start)
    start = phase + round((start - phase) / pulse) * pulse
    bar = per_bar * pulse
    downbeat = start - math.floor((start + 0.1 * pulse) / bar) * bar
    return Beat(pulses(meter)[0] * 60 / pulse, downbeat, clarity, ahead, 1000 * error)


def grid_error(onsets: Onsets, pulse: float, phase: float) -> float:
    """Root mean square distance in seconds, by strength, of the onsets near a pulse from it; 0 if none is near."""
    away = _away(onsets, pulse, phase)
    near = np.abs(away) < NEAR_BEAT * pulse
    weights = onsets.strengths[near]
    return float(np.sqrt((weights * away[near] ** 2).sum() / weights.sum())) if near.any() else 0.0


def pulse_offset(onsets: Onsets, pulse: float) -> float:
    """By how many seconds the onsets near a pulse are late, in the middle (the median by strength)."""
    away = _away(onsets, pulse, 0.0)
    near = np.abs(away) < NEAR_BEAT * pulse
    order = np.argsort(away[near])
    reached = np.cumsum(onsets.strengths[near][order])
    return float(away[near][order][np.searchsorted(reached, reached[-1] / 2)]) if len(order) else 0.0


def _away(onsets: Onsets, pulse: float, phase: float) -> Array:
    """Signed distance in seconds of each onset from the nearest pulse."""
    places = (onsets.seconds - phase) / pulse
    return np.asarray((places - np.round(places)) * pulse)


def _fit_line(onsets: Onsets, pulse: float, phase: float) -> tuple[float, float, float]:
    """Pulse, phase and error, in seconds, of the line through the onsets on beats; outliers count less each time."""
    for _ in range(6):
        places = (onsets.seconds - phase) / pulse
        numbers = np.round(places)
        away = (places - numbers) * pulse
        near = np.abs(places - numbers) < NEAR_BEAT
        if near.sum() < 3 or len(set(numbers[near])) < 3:
            break
        scale = max(1.5 * float(np.median(np.abs(away[near]))), 0.002)
        weights = onsets.strengths[near] * np.minimum(1.0, scale / np.maximum(np.abs(away[near]), 1e-6))
        slope, start = np.polyfit(numbers[near], onsets.seconds[near], 1, w=np.sqrt(weights))
        if abs(slope / pulse - 1) > 0.01:
            break
        pulse, phase = float(slope), float(start)
    return pulse, phase, grid_error(onsets, pulse, phase)
