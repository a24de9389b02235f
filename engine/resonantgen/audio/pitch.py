"""The pitch of one voice, frame by frame: YIN (A. de Cheveigné, H. Kawahara, "YIN, a fundamental frequency estimator
for speech and music", JASA 2002)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from resonantgen.audio.resample import resample

Array = NDArray[np.float64]

ANALYSIS_RATE = 16_000
HOP_SECONDS = 0.01
THRESHOLD = 0.15  # the first dip of the normalised difference below this is the period
FRAMES_AT_A_TIME = 512


@dataclass(frozen=True, slots=True, eq=False)
class PitchTrack:
    """Frame k is centred on k * HOP_SECONDS."""

    keys: Array  # [n] MIDI keys with fractions; meaningless where aperiodicity is high
    aperiodicity: Array  # [n] 0: a perfect period, 1: none
    levels_db: Array  # [n] below full scale


def track_pitch(samples: Array, sample_rate: int, lowest_hz: float, highest_hz: float) -> PitchTrack:
    """Pitches of [frames, channels], whatever sounds loudest where several do."""
    mono = resample(samples.mean(axis=1, keepdims=True), sample_rate, ANALYSIS_RATE)[:, 0]
    longest = int(ANALYSIS_RATE / lowest_hz) + 2
    shortest = max(int(ANALYSIS_RATE / highest_hz), 2)
    window = max(longest, round(0.025 * ANALYSIS_RATE))
    hop = round(HOP_SECONDS * ANALYSIS_RATE)
    count = len(mono) // hop + 1
    reach = window + longest
    padded = np.pad(mono, (reach // 2, reach))
    parts = [
        _yin(padded[np.arange(first, min(first + FRAMES_AT_A_TIME, count))[:, None] * hop + np.arange(reach)], window)
        for first in range(0, count, FRAMES_AT_A_TIME)
    ]
    difference = np.concatenate([part[0] for part in parts])
    levels = np.concatenate([part[1] for part in parts])
    periods, aperiodicity = _first_dips(difference[:, : longest + 1], shortest)
    return PitchTrack(69 + 12 * np.log2(ANALYSIS_RATE / periods / 440), aperiodicity, levels)


def _yin(frames: Array, window: int) -> tuple[Array, Array]:
    """The normalised difference function of frames [n, window + lags], [n, lags + 1], and their levels in dB, [n]."""
    lags = frames.shape[1] - window
    size = fft.next_fast_len(frames.shape[1] + window, real=True)
    spectrum = fft.rfft(frames, size, axis=1)
    head = fft.rfft(frames[:, :window], size, axis=1)
    products = fft.irfft(spectrum * np.conj(head), size, axis=1)[:, : lags + 1]
    running = np.concatenate([np.zeros((len(frames), 1)), np.cumsum(frames**2, axis=1)], axis=1)
    energies = running[:, window:] - running[:, : lags + 1]
    difference = np.maximum(energies[:, :1] + energies - 2 * products, 0.0)
    totals = np.cumsum(difference[:, 1:], axis=1)
    normalised = np.ones_like(difference)
    normalised[:, 1:] = difference[:, 1:] * np.arange(1, lags + 1) / np.maximum(totals, 1e-12)
    return normalised, 10 * np.log10(running[:, -1] / frames.shape[1] + 1e-12)


def _first_dips(difference: Array, shortest: int) -> tuple[Array, Array]:
    """For each frame the period in samples, with a parabola's fraction, and the depth of the dip there, [n] each."""
    inner = difference[:, shortest:-1]
    is_dip = (inner <= difference[:, shortest - 1 : -2]) & (inner <= difference[:, shortest + 1 :])
    good = is_dip & (inner < THRESHOLD)
    first = np.where(good.any(axis=1), np.argmax(good, axis=1), np.argmin(inner, axis=1)) + shortest
    rows = np.arange(len(difference))
    left, middle, right = difference[rows, first - 1], difference[rows, first], difference[rows, first + 1]
    bend = left - 2 * middle + right
    offset = np.where(bend > 1e-12, 0.5 * (left - right) / np.where(bend > 1e-12, bend, 1.0), 0.0)
    return first + np.clip(offset, -0.5, 0.5), np.clip(middle, 0.0, 1.0)
