"""Band-limited oscillators."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from resonantgen.instruments.oscillators import LEVELS, TABLE_SIZE, TICK, oscillate, wave_tables

FRAMES = 1 << 16


def tone(wave: str, hz: float, rate: int, *, width: float = 0.5, frames: int = FRAMES) -> NDArray[np.float64]:
    """A steady tone, [frames]."""
    tables = wave_tables("saw" if wave == "pulse" else wave)[np.newaxis]
    ticks = frames // TICK
    out = np.zeros((1, frames))
    oscillate(
        tables,
        np.zeros(1, np.int64),
        np.array([wave == "pulse"]),
        np.ones(1),
        np.ones((1, 1)),
        np.zeros(1, np.int64),
        np.full(ticks + 1, hz / rate),
        np.full(ticks + 1, width),
        out,
    )
    return out[0]


def worst_alias_db(samples: NDArray[np.float64], hz: float, rate: int) -> float:
    """The strongest bin that belongs to no harmonic, relative to the fundamental.

    A Kaiser window of beta 20 has side lobes below -150 dB, and its main lobe is 13 bins wide.
    """
    spectrum = np.abs(np.fft.rfft(samples * np.kaiser(len(samples), 20.0)))
    frequency = np.fft.rfftfreq(len(samples), 1.0 / rate)
    lobe = 8.0 * rate / len(samples)
    distance = np.abs(frequency - np.round(frequency / hz) * hz)
    return float(20.0 * np.log10(spectrum[distance > lobe].max() / spectrum[np.abs(frequency - hz) < lobe].max()))


def test_a_saw_of_5_khz_at_48_khz_aliases_below_60_db() -> None:
    # 5,000 Hz itself divides 48,000 nearly evenly, which could hide aliases under harmonics; 5,001.7 Hz does not.
    for hz in (5000.0, 5001.7):
        assert worst_alias_db(tone("saw", hz, 48_000), hz, 48_000) < -120.0


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("wave", ["saw", "square", "triangle", "sine", "pulse"])
@pytest.mark.parametrize("hz", [41.2, 110.3, 440.7, 1234.5, 3520.9, 7040.3])
def test_no_wave_aliases_above_80_db_at_any_pitch(wave: str, hz: float, rate: int) -> None:
    assert worst_alias_db(tone(wave, hz, rate, width=0.3), hz, rate) < -80.0


def test_the_alias_measure_finds_a_naive_saw() -> None:
    naive = 2.0 * (np.arange(FRAMES) * 5001.7 / 48_000 % 1.0) - 1.0
    assert worst_alias_db(naive, 5001.7, 48_000) > -40.0


@pytest.mark.parametrize(("wave", "falls"), [("saw", lambda n: 1 / n), ("square", lambda n: n % 2 / n)])
def test_harmonics_have_their_textbook_levels(wave: str, falls: object) -> None:
    assert callable(falls)
    cycle = tone(wave, 48_000 / 512, 48_000, frames=512 * 8)
    harmonics = np.abs(np.fft.rfft(cycle))[8 : 8 * 60 : 8]
    expected = np.array([falls(n) for n in range(1, 60)])
    # Linear interpolation dulls the 59th harmonic of 1,024 possible ones by less than 0.1 %.
    np.testing.assert_allclose(harmonics / harmonics[0], expected, atol=2e-4)


def test_pulse_width_sets_the_missing_harmonics() -> None:
    cycle = tone("pulse", 48_000 / 512, 48_000, width=0.25, frames=512 * 8)
    harmonics = np.abs(np.fft.rfft(cycle))[8 : 8 * 9 : 8]
    assert harmonics[3] < 1e-3 * harmonics[0] and harmonics[7] < 1e-3 * harmonics[0]
    assert harmonics[1] > 0.5 * harmonics[0]


def test_a_tone_above_nyquist_is_silent() -> None:
    assert not np.any(tone("saw", 30_000.0, 48_000, frames=1024))


def test_tables_have_no_dc_and_keep_the_harmonics_that_fit() -> None:
    tables = wave_tables("saw")
    assert tables.shape == (LEVELS, TABLE_SIZE + 1)
    assert np.abs(tables[:, :-1].mean(axis=1)).max() < 1e-6
    counts = [int(np.count_nonzero(np.abs(np.fft.rfft(table[:-1])) > 1e-2)) for table in tables]
    assert counts[0] == 1024 and counts[-1] == 1 and counts == sorted(counts, reverse=True)


def test_a_wave_of_harmonics_has_the_levels_asked_for() -> None:
    spectrum = np.abs(np.fft.rfft(wave_tables("harmonics", (1.0, 0.0, 0.5))[0, :-1]))
    assert spectrum[3] == pytest.approx(0.5 * spectrum[1], rel=1e-5) and spectrum[2] < 1e-3
