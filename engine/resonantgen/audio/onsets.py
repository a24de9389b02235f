"""When something begins in a piece of sound: an onset envelope, and its peaks.

The envelope is spectral flux: the growth of level in bands from frame to frame, after a logarithm and with a maximum
filter against vibrato (S. Böck, G. Widmer, "Maximum filter vibrato suppression for onset detection", DAFx 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from resonantgen.audio.pcm import Pcm, part_of

Array = NDArray[np.float64]

ENVELOPE_RATE = 200  # frames of an envelope in a second
WINDOW_SECONDS = 0.023
LOWEST_HZ, HIGHEST_HZ, BANDS = 30.0, 16_000.0, 24
RANGE_DB = 60.0  # below the loudest band of the piece nothing is heard
LAG = 2  # envelope frames over which growth is taken
MEDIAN_SECONDS = 0.25  # of the flux around, that is the floor
LOCAL_SECONDS = 0.03  # a peak is the highest so far around
LATENESS_SECONDS = -0.002  # of a peak behind the sound, measured on drums


@dataclass(frozen=True, slots=True, eq=False)
class Onsets:
    """What begins in a piece, in order."""

    seconds: Array  # [n]
    strengths: Array  # [n] dB of growth, mean of the bands


def band_edges(sample_rate: int) -> Array:
    """The limits of the bands in Hz, [BANDS + 1], each at least two bins of the window wide."""
    highest = min(HIGHEST_HZ, 0.45 * sample_rate)
    edges = np.geomspace(LOWEST_HZ, highest, BANDS + 1)
    least = 2 / WINDOW_SECONDS
    for i in range(1, BANDS + 1):
        edges[i] = max(edges[i], edges[i - 1] + least)
    return edges


def band_levels(samples: Pcm, sample_rate: int) -> Array:
    """Levels of [frames, channels] in bands, [envelope frames, BANDS], in dB from 0 (the floor) to RANGE_DB.

    Envelope frame k is centred on k / ENVELOPE_RATE seconds. The sound is taken in parts, of about five seconds.
    """
    size = round(WINDOW_SECONDS * sample_rate)
    count = int(len(samples) * ENVELOPE_RATE / sample_rate) + 1
    starts = np.round(np.arange(count) * sample_rate / ENVELOPE_RATE).astype(np.int64)
    window = signal.get_window("hann", size)
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    limits = np.searchsorted(frequencies, band_edges(sample_rate))
    power = np.zeros((count, BANDS))
    for first in range(0, count, 1024):
        begin, end = int(starts[first]), int(starts[min(first + 1024, count) - 1]) + size
        part = part_of(samples, begin - size // 2, end - size // 2)
        at = starts[first : first + 1024, None] - begin + np.arange(size)
        for channel in range(samples.shape[1]):
            spectrum = np.abs(np.fft.rfft(part[at, channel] * window, axis=1)) ** 2
            sums = np.concatenate([np.zeros((len(at), 1)), np.cumsum(spectrum, axis=1)], axis=1)
            power[first : first + 1024] += sums[:, limits[1:]] - sums[:, limits[:-1]]
    loudest = float(power.max(initial=0.0))
    if loudest < 1e-12:
        return np.zeros_like(power)
    return np.asarray(np.maximum(10 * np.log10(power / loudest + 1e-12) + RANGE_DB, 0.0))


def flux(levels: Array) -> Array:
    """Growth of band levels [envelope frames, bands] over LAG frames, [envelope frames, bands], never negative."""
    highest = ndimage.maximum_filter1d(levels, 3, axis=1)
    growth = np.zeros_like(levels)
    growth[LAG:] = np.maximum(levels[LAG:] - highest[:-LAG], 0.0)
    return growth


def find_onsets(envelope: Array, threshold: float) -> Onsets:
    """The peaks of an onset envelope [envelope frames] that stand out from what is around by `threshold`."""
    around = round(MEDIAN_SECONDS * ENVELOPE_RATE) | 1
    local = round(LOCAL_SECONDS * ENVELOPE_RATE)
    standing = envelope - ndimage.median_filter(envelope, around)
    peaks = np.flatnonzero(
        (standing >= threshold) & (envelope == ndimage.maximum_filter1d(envelope, 2 * local + 1)) & (envelope > 0)
    )
    peaks = peaks[np.diff(peaks, prepend=-local - 1) > local]
    inner = np.clip(peaks, 1, len(envelope) - 2)
    left, middle, right = envelope[inner - 1], envelope[inner], envelope[inner + 1]
    bend = left - 2 * middle + right
    offset = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1.0), 0.0)
    seconds = (peaks + np.clip(offset, -0.5, 0.5)) / ENVELOPE_RATE - LATENESS_SECONDS
    return Onsets(seconds, standing[peaks])
