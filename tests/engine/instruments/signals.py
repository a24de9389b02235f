"""Test signals [frames, 2], and what sounds and effects are judged by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.base import Samples
from resonantgen.instruments.effects.filters import Sections

RATE = 48_000


def sine(frequency_hz: float, frames: int, level: float = 0.5, sample_rate: int = RATE) -> Samples:
    """The same sine on both sides."""
    wave = level * np.sin(2 * np.pi * frequency_hz / sample_rate * np.arange(frames))
    return np.stack([wave, wave], axis=1)


def noise(frames: int, level: float = 0.2, seed: int = 1) -> Samples:
    """White noise, each side its own."""
    return level * np.random.default_rng(seed).standard_normal((frames, 2))


def impulse(frames: int, at: int = 0) -> Samples:
    block = np.zeros((frames, 2))
    block[at] = 1.0
    return block


def decibels(ratio: float) -> float:
    return float(20 * np.log10(ratio))


def level(samples: Samples) -> float:
    """Root mean square of everything."""
    return float(np.sqrt(np.mean(np.square(samples))))


def response_db(sections: Sections, frequencies_hz: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Magnitude response of second-order sections at some frequencies, in dB."""
    z = np.exp(-2j * np.pi * frequencies_hz / sample_rate)
    total = np.ones_like(z)
    for b0, b1, b2, a1, a2 in sections:
        total *= (b0 + b1 * z + b2 * z * z) / (1 + a1 * z + a2 * z * z)
    return np.asarray(20 * np.log10(np.maximum(np.abs(total), 1e-15)))


def static_curve_db(
    level_db: NDArray[np.float64], threshold_db: float, ratio: float, knee_db: float
) -> NDArray[np.float64]:
    """A compressor's gain in dB for a steady level in dB.

    Equation 4, less its input, of D. Giannoulis, M. Massberg and J. Reiss, "Digital dynamic range compressor design",
    JAES 60 (2012).
    """
    over = level_db - threshold_db
    slope = 1 / ratio - 1
    in_knee = slope * (over + knee_db / 2) ** 2 / (2 * max(knee_db, 1e-9))
    return np.where(2 * over < -knee_db, 0.0, np.where(2 * over > knee_db, slope * over, in_knee))
