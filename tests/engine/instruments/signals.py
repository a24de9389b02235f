"""Test signals [frames, 2] and what they are judged by."""

from __future__ import annotations

import numpy as np

from resonantgen.instruments.base import Samples

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
