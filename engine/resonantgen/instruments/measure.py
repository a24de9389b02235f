"""Figures that describe a sound [frames, 2], for tests, benchmarks and the calibration of presets. numpy only."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.base import Samples

WINDOW_FRAMES = 8192


def power_spectrum(signal: Samples, sample_rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies in Hz and mean power of a mono signal [frames] (Welch 1967: Hann windows, half overlapping).

    The power is a share per bin: its sum is the signal's mean square.
    """
    size = min(WINDOW_FRAMES, len(signal))
    starts = range(0, len(signal) - size + 1, max(size // 2, 1))
    window = np.hanning(size)
    total = np.zeros(size // 2 + 1)
    for start in starts:
        total += np.abs(np.fft.rfft(signal[start : start + size] * window)) ** 2
    total[1:] *= 2
    power = total / (len(starts) * size * float(np.sum(window**2)))
    return np.asarray(np.fft.rfftfreq(size, 1 / sample_rate), np.float64), power


def stereo_spectrum(samples: Samples, sample_rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `power_spectrum`, the mean of both sides."""
    frequencies, left = power_spectrum(samples[:, 0], sample_rate)
    return frequencies, (left + power_spectrum(samples[:, 1], sample_rate)[1]) / 2


def band_levels(
    samples: Samples, sample_rate: int, low_hz: float = 100.0, high_hz: float = 10_000.0, bands_per_octave: int = 3
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres in Hz and densities in dB of the bands between two frequencies: pink noise falls by 3 dB an octave."""
    count = round(math.log2(high_hz / low_hz) * bands_per_octave)
    edges = low_hz * (high_hz / low_hz) ** (np.arange(count + 1) / count)
    frequencies, power = stereo_spectrum(samples, sample_rate)
    below = np.interp(edges, frequencies, np.cumsum(power))
    density = np.maximum(np.diff(below), 1e-20) / np.diff(edges)
    return np.sqrt(edges[1:] * edges[:-1]), 10 * np.log10(density)


def spectrum_slope(samples: Samples, sample_rate: int, low_hz: float = 100.0, high_hz: float = 10_000.0) -> float:
    """How the long-term spectrum runs, in dB an octave: the straight line that fits the third-octave densities best."""
    centres, levels = band_levels(samples, sample_rate, low_hz, high_hz)
    return float(np.polyfit(np.log2(centres), levels, 1)[0])


def energy_share_below(samples: Samples, sample_rate: int, frequency_hz: float) -> float:
    """Which share of the energy lies below a frequency, 0 to 1; 0 for silence."""
    frequencies, power = stereo_spectrum(samples, sample_rate)
    total = float(power.sum())
    return float(power[frequencies < frequency_hz].sum()) / total if total > 0 else 0.0


def spectral_centroid(samples: Samples, sample_rate: int) -> float:
    """The spectrum's centre of gravity in Hz; 0 for silence."""
    frequencies, power = stereo_spectrum(samples, sample_rate)
    total = float(power.sum())
    return float((frequencies * power).sum()) / total if total > 0 else 0.0


def side_share_below(samples: Samples, sample_rate: int, frequency_hz: float = 120.0) -> float:
    """Energy of left - right as a share of all energy, below a frequency, 0 (mono) to 1; 0 for silence."""
    frequencies, middle = power_spectrum(samples.sum(axis=1), sample_rate)
    _, side = power_spectrum(samples[:, 0] - samples[:, 1], sample_rate)
    low = frequencies < frequency_hz
    total = float(middle[low].sum() + side[low].sum())
    return float(side[low].sum()) / total if total > 0 else 0.0


def correlation(samples: Samples) -> float:
    """Of left and right: 1 mono, 0 unrelated, -1 cancelling; 1 for silence."""
    left, right = samples[:, 0], samples[:, 1]
    scale = math.sqrt(float(left @ left) * float(right @ right))
    return float(left @ right) / scale if scale > 0 else 1.0


def peak_db(samples: Samples) -> float:
    """Highest sample in dBFS; -inf for silence."""
    return _decibels(float(np.abs(samples).max(initial=0.0)))


def rms_db(samples: Samples) -> float:
    """Mean level of both sides in dBFS; -inf for silence."""
    return _decibels(math.sqrt(float(np.mean(np.square(samples)))))


def crest_factor_db(samples: Samples) -> float:
    """Peak over mean level, in dB; 0 for silence."""
    mean = rms_db(samples)
    return peak_db(samples) - mean if math.isfinite(mean) else 0.0


def true_peak_db(samples: Samples, oversampling: int = 8, loop: bool = False) -> float:
    """Highest point of the band-limited curve through the samples, in dBTP, by interpolating the whole spectrum.

    `loop`: the clip repeats; otherwise silence surrounds it.
    """
    around = samples if loop else np.concatenate([samples, np.zeros((2048, 2))])
    peak = 0.0
    for c in range(2):
        spectrum = np.fft.rfft(around[:, c])
        if len(around) % 2 == 0:
            spectrum[-1] *= 0.5  # the highest frequency is shared by both halves of the longer spectrum
        fine = np.fft.irfft(spectrum, len(around) * oversampling) * oversampling
        peak = max(peak, float(np.abs(fine).max()))
    return _decibels(peak)


def seam_roughness(samples: Samples) -> float:
    """The largest second difference across a loop's seam, over the largest inside it: above 1, the seam may click."""
    bends = np.abs(np.diff(np.concatenate([samples[-2:], samples, samples[:2]]), 2, axis=0)).max(axis=1)
    inside = float(bends[2:-2].max())
    seam = float(max(bends[:2].max(), bends[-2:].max()))
    return seam / inside if inside > 0 else 0.0


def _decibels(level: float) -> float:
    return 20 * math.log10(level) if level > 0 else -math.inf
