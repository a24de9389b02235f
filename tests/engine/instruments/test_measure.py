"""The measuring helpers on sounds whose figures are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.instruments.signals import RATE, noise, sine
from resonantgen.instruments.base import Samples
from resonantgen.instruments.measure import (
    band_levels,
    correlation,
    crest_factor_db,
    energy_share_below,
    peak_db,
    power_spectrum,
    rms_db,
    seam_roughness,
    side_share_below,
    spectral_centroid,
    spectrum_slope,
    true_peak_db,
)


def sloped_noise(db_per_octave: float) -> Samples:
    """Noise whose density falls evenly, made in the spectrum."""
    spectrum = np.fft.rfft(noise(8 * RATE), axis=0)
    frequencies = np.maximum(np.fft.rfftfreq(8 * RATE, 1 / RATE), 1.0)
    return np.fft.irfft(spectrum * (frequencies[:, None] / 1000) ** (db_per_octave / 6.0206), axis=0)


@pytest.mark.parametrize("slope", [-6.0, -4.5, -3.0, 0.0, 2.0])
def test_slope_of_noise(slope: float) -> None:
    assert spectrum_slope(sloped_noise(slope), RATE) == pytest.approx(slope, abs=0.15)


def test_bands_of_white_noise_are_level_whatever_their_width() -> None:
    for bands_per_octave in (1, 3):
        centres, levels = band_levels(noise(8 * RATE), RATE, 200, 12_800, bands_per_octave)
        assert len(centres) == 6 * bands_per_octave
        assert np.ptp(levels) < 1.5


def test_power_sums_to_the_mean_square() -> None:
    signal = noise(4 * RATE)[:, 0]
    assert power_spectrum(signal, RATE)[1].sum() == pytest.approx(np.mean(signal**2), rel=0.02)


def test_centroid_and_shares() -> None:
    assert spectral_centroid(sine(1000, RATE), RATE) == pytest.approx(1000, abs=2)
    both = sine(100, RATE, 0.3) + sine(5000, RATE, 0.1)
    assert energy_share_below(both, RATE, 300) == pytest.approx(0.9, abs=0.005)
    silence = np.zeros((RATE, 2))
    assert spectral_centroid(silence, RATE) == 0.0 and energy_share_below(silence, RATE, 300) == 0.0


def test_stereo_figures() -> None:
    mono, wide = sine(80, RATE), noise(RATE)
    against = mono * [1.0, -1.0]
    assert correlation(mono) == pytest.approx(1) and correlation(against) == pytest.approx(-1)
    assert abs(correlation(wide)) < 0.03 and correlation(np.zeros((9, 2))) == 1.0
    assert side_share_below(mono, RATE) == 0.0
    assert side_share_below(against, RATE) == pytest.approx(1.0)
    assert side_share_below(mono * [1.0, 0.0], RATE) == pytest.approx(0.5)


def test_levels() -> None:
    assert peak_db(sine(1000, RATE, 0.5)) == pytest.approx(-6.02, abs=0.01)
    assert rms_db(sine(1000, RATE, 0.5)) == pytest.approx(-9.03, abs=0.01)
    assert crest_factor_db(sine(1000, RATE, 0.5)) == pytest.approx(3.01, abs=0.01)
    assert peak_db(np.zeros((5, 2))) == rms_db(np.zeros((5, 2))) == -math.inf


def test_true_peak_sees_between_the_samples() -> None:
    """A quarter of the sample rate, sampled at 45 degrees: the samples reach 0.707 of the wave's peak."""
    wave = np.sin(np.pi / 2 * np.arange(RATE) + np.pi / 4)
    signal = np.stack([wave, wave], axis=1)
    assert peak_db(signal) == pytest.approx(-3.01, abs=0.01)
    assert true_peak_db(signal, loop=True) == pytest.approx(0.0, abs=0.01)


def test_seam_roughness_finds_a_step_and_passes_a_whole_wave() -> None:
    assert seam_roughness(sine(100, RATE)) < 1.001
    assert seam_roughness(sine(100.3, RATE)) > 10
