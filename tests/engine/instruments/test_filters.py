"""The voice's filters, and the filters, saturator and tilt after the voices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resonantgen.instruments.base import Macros
from resonantgen.instruments.filters import KINDS, LADDER, TICK, at_rest, shape_voice
from resonantgen.instruments.patch import Envelope, Formant, Oscillator, Patch, Tone
from resonantgen.instruments.synth import PatchInstrument, tone_settings
from resonantgen.instruments.tone import finish

RATE = 48_000
FRAMES = 1 << 14


def filtered(
    kind: str, source: NDArray[np.float64], cutoff_hz: NDArray[np.float64] | float, resonance: float = 0.0
) -> NDArray[np.float64]:
    """Mono `source` through a filter; the cutoff is one number, or one for each tick and one more."""
    ticks = len(source) // TICK
    g = np.tan(np.pi * np.broadcast_to(np.asarray(cutoff_hz, np.float64), (ticks + 1,)) / RATE)
    out = np.empty((2, len(source)))
    state = at_rest(1)
    shape_voice(
        KINDS[kind], resonance, np.ascontiguousarray(g), np.ones((2, ticks + 1)), state, source[None].copy(), out
    )
    return out[0]


def response_db(kind: str, hz: float, cutoff_hz: float, resonance: float = 0.0) -> float:
    impulse = np.zeros(FRAMES)
    impulse[0] = 1e-6  # small: the ladder saturates
    spectrum = np.fft.rfft(filtered(kind, impulse, cutoff_hz, resonance)) / 1e-6
    return float(20.0 * np.log10(np.abs(spectrum[round(hz * FRAMES / RATE)])))


@pytest.mark.parametrize(("kind", "per_octave"), [("lowpass12", 12.0), ("lowpass24", 24.0), ("ladder", 24.0)])
def test_low_passes_fall_by_their_slope(kind: str, per_octave: float) -> None:
    assert response_db(kind, 60.0, 500.0) == pytest.approx(0.0, abs=0.3)
    fall = response_db(kind, 3000.0, 500.0) - response_db(kind, 6000.0, 500.0)
    # The bilinear transform makes the fall a little steeper towards Nyquist.
    assert per_octave - 1.0 < fall < per_octave + 4.0


def test_high_and_band_pass_let_through_what_their_names_say() -> None:
    assert response_db("highpass12", 8000.0, 500.0) == pytest.approx(0.0, abs=0.3)
    assert response_db("highpass12", 62.5, 500.0) < -30.0
    assert response_db("bandpass12", 500.0, 500.0) == pytest.approx(0.0, abs=0.3)
    assert response_db("bandpass12", 60.0, 500.0, 0.8) < -20.0


@pytest.mark.parametrize("kind", ["lowpass12", "lowpass24", "ladder"])
def test_resonance_lifts_the_cutoff(kind: str) -> None:
    lifts = [response_db(kind, 1000.0, 1000.0, resonance) - response_db(kind, 100.0, 1000.0, resonance) for resonance in
             (0.0, 0.4, 0.8)]  # fmt: skip
    assert lifts[0] < lifts[1] < lifts[2] and lifts[2] > 3.0


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.floats(0.0, 1.0),
    st.lists(st.floats(20.0, 20_000.0), min_size=65, max_size=65),
    st.integers(0, 2**32 - 1),
)
def test_filters_stay_bounded_whatever_the_modulation(
    kind: str, resonance: float, cutoffs: list[float], seed: int
) -> None:
    noise = np.random.default_rng(seed).uniform(-1.0, 1.0, 64 * TICK)
    out = filtered(kind, noise, np.array(cutoffs), resonance)
    assert np.all(np.isfinite(out)) and np.abs(out).max() < 200.0
    # Once the input ends, the filter comes to rest (a ladder at full resonance may hum on, softly limited).
    silence = filtered(kind, np.concatenate([noise, np.zeros(RATE // TICK * TICK)]), 1000.0, resonance)
    if KINDS[kind] != LADDER:
        assert np.abs(silence[-100:]).max() < 1e-3


def finished(tone: Tone, source: NDArray[np.float64], formants: list[Formant] | None = None) -> NDArray[np.float64]:
    """[2, frames] through a patch's end."""
    patch = Patch("test", [], oscillators=[Oscillator()], tone=tone, formants=formants or [])
    coefficients, resonances = tone_settings(patch, RATE)
    state = PatchInstrument(patch, Macros(), RATE, 120.0).start()
    out = source.copy()
    finish(coefficients, resonances, state.tone, out)
    return out


def sine(hz: float, level: float) -> NDArray[np.float64]:
    wave = level * np.sin(2.0 * np.pi * hz * np.arange(RATE) / RATE)
    return np.stack([wave, wave])


def level_at(samples: NDArray[np.float64], hz: int) -> float:
    """Amplitude of a whole number of Hz, over one second."""
    return float(np.abs(np.fft.rfft(samples[0]))[hz] * 2.0 / RATE)


def test_an_empty_tone_passes_everything_above_dc() -> None:
    for hz in (40, 1000, 12_000):
        assert level_at(finished(Tone(), sine(hz, 0.25)), hz) == pytest.approx(0.25, rel=0.02)


def test_drive_adds_harmonics_and_keeps_the_usual_level() -> None:
    clean, driven = (finished(Tone(drive_db=drive), sine(200, 0.25)) for drive in (-18.0, 18.0))
    assert level_at(clean, 600) < 1e-3
    assert level_at(driven, 600) > 0.03 and level_at(driven, 400) > 0.003
    assert level_at(driven, 200) == pytest.approx(0.25, rel=0.35)


def test_the_saturator_aliases_little() -> None:
    hz = 5000
    driven = np.abs(np.fft.rfft(finished(Tone(drive_db=12.0, bias=0.0), sine(hz, 0.25))[0]))
    pushed = 10 ** (12 / 20) * sine(hz, 0.25)[0]
    naive = np.abs(np.fft.rfft(pushed / np.sqrt(1.0 + pushed**2)))
    alias = [48_000 - 7 * hz, 48_000 - 9 * hz]  # 13 and 3 kHz
    assert sum(driven[alias]) / driven[hz] < 0.35 * sum(naive[alias]) / naive[hz]
    assert 20.0 * math.log10(max(driven[alias]) / driven[hz]) < -60.0


def test_tilt_turns_around_its_pivot() -> None:
    tone = Tone(tilt_db=12.0, pivot_hz=700.0)
    assert 20.0 * math.log10(level_at(finished(tone, sine(40, 0.2)), 40) / 0.2) == pytest.approx(-6.0, abs=0.5)
    assert 20.0 * math.log10(level_at(finished(tone, sine(9000, 0.2)), 9000) / 0.2) == pytest.approx(6.0, abs=0.5)


def test_a_formant_lifts_its_frequency() -> None:
    formants = [Formant(hz=1000.0, q=6.0, gain_db=12.0)]
    assert level_at(finished(Tone(), sine(1000, 0.05), formants), 1000) == pytest.approx(0.05 * 4.98, rel=0.05)
    assert level_at(finished(Tone(), sine(100, 0.05), formants), 100) == pytest.approx(0.05, rel=0.1)


def test_the_side_is_mono_below_and_as_wide_as_asked_above() -> None:
    def side(hz: int, tone: Tone) -> float:
        left_only = sine(hz, 0.2) * np.array([[1.0], [0.0]])
        out = finished(tone, left_only)
        return level_at((out[0] - out[1])[None], hz)

    assert side(50, Tone(mono_below_hz=200.0)) < 0.1 * side(50, Tone())
    assert side(2000, Tone(width=0.5)) == pytest.approx(0.1, rel=0.05)
    assert side(2000, Tone(width=0.0)) < 1e-12


def test_silence_comes_to_rest() -> None:
    patch = Patch("t", [], amplitude=Envelope(), oscillators=[Oscillator()], tone=Tone(drive_db=6.0, low_cut_hz=50.0))
    instrument = PatchInstrument(patch, Macros(), RATE, 120.0)
    state = instrument.start()
    instrument.render(state, [], 2 * RATE)
    assert not np.any(instrument.render(state, [], 1000))
