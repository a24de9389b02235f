"""Our loudness meter against pyloudnorm, and against the recommendation's own fixed points."""

from __future__ import annotations

import math

import numpy as np
import pyloudnorm
import pytest

from engine.instruments.signals import RATE, noise, sine
from resonantgen.instruments.base import Samples
from resonantgen.instruments.effects.filters import Filter, butterworth
from resonantgen.instruments.loudness import integrated_loudness


def hits(frames: int, every: int, sample_rate: int) -> Samples:
    """Decaying bursts with silence between, as drums are."""
    times = np.arange(frames) % every / sample_rate
    return noise(frames, 0.5) * np.exp(-30 * times)[:, None]


def steps(frames: int) -> Samples:
    """Loud, quiet and very quiet parts: the relative gate matters."""
    return noise(frames) * np.repeat([1.0, 0.1, 0.004, 0.5], frames // 4)[:, None]


@pytest.mark.parametrize("sample_rate", [44_100, 48_000, 88_200, 96_000])
@pytest.mark.parametrize("name", ["sine", "low sine", "noise", "hits", "steps", "bass noise"])
def test_loudness_agrees_with_pyloudnorm(name: str, sample_rate: int) -> None:
    frames = sample_rate * 4 // 4 * 4
    rumble = Filter(butterworth("low_pass", 4, 120, sample_rate))
    signal = {
        "sine": lambda: sine(997, frames, 0.3, sample_rate),
        "low sine": lambda: sine(45, frames, 0.6, sample_rate),
        "noise": lambda: noise(frames, 0.1),
        "hits": lambda: hits(frames, sample_rate // 2, sample_rate),
        "steps": lambda: steps(frames),
        "bass noise": lambda: rumble.render(rumble.start(), noise(frames, 0.5)),
    }[name]()
    reference = pyloudnorm.Meter(sample_rate).integrated_loudness(signal)
    assert integrated_loudness(signal, sample_rate) == pytest.approx(reference, abs=0.01)


@pytest.mark.parametrize("seconds", [0.4, 0.43, 0.77, 1.249, 2.051])
@pytest.mark.parametrize("sample_rate", [44_100, 47_999, 48_000])
def test_loudness_of_odd_lengths_agrees_with_pyloudnorm(seconds: float, sample_rate: int) -> None:
    """0.1 LU: where a block's edge falls on half a sample, the two may differ by one."""
    signal = hits(math.ceil(seconds * sample_rate), sample_rate // 5, sample_rate)
    reference = pyloudnorm.Meter(sample_rate).integrated_loudness(signal)
    assert integrated_loudness(signal, sample_rate) == pytest.approx(reference, abs=0.1)


def test_a_full_scale_sine_of_997_hz_on_both_sides_is_at_0_lufs() -> None:
    """One side alone reads -3.01 LKFS by BS.1770-4; both sides 3.01 dB more."""
    assert integrated_loudness(sine(997, 4 * RATE, 1.0), RATE) == pytest.approx(0.0, abs=0.05)
    left = sine(997, 4 * RATE, 1.0) * [1.0, 0.0]
    assert integrated_loudness(left, RATE) == pytest.approx(-3.01, abs=0.05)


def test_level_moves_loudness_by_as_much() -> None:
    signal = noise(3 * RATE)
    assert integrated_loudness(0.1 * signal, RATE) == pytest.approx(integrated_loudness(signal, RATE) - 20, abs=1e-9)


def test_a_clip_shorter_than_a_gating_block_counts_as_a_loop() -> None:
    short = sine(1000, RATE // 10)  # 100 whole periods
    assert integrated_loudness(short, RATE) == pytest.approx(integrated_loudness(sine(1000, RATE), RATE), abs=0.1)


def test_silence_has_no_loudness() -> None:
    assert integrated_loudness(np.zeros((RATE, 2)), RATE) == -math.inf
    assert integrated_loudness(np.zeros((10, 2)), RATE) == -math.inf
    assert integrated_loudness(noise(RATE, 1e-6), RATE) == -math.inf, "below the absolute gate"
