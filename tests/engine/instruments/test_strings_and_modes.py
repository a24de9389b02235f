"""Plucked strings, banks of modes, FM and noise: each against the physics or arithmetic it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.instruments.measuring import cents_off, key_hz
from resonantgen.instruments import fm, modal, noise
from resonantgen.instruments.plucked import TICK, pluck_string, ring_string


def plucked(hz: float, rate: int, seconds: float, *, decay_s: float = 3.0, treble_s: float = 0.8, seed: int = 1,
            noise_part: float = 0.2) -> NDArray[np.float64]:  # fmt: skip
    string = pluck_string(
        hz, rate, decay_s=decay_s, treble_s=treble_s, hardness_hz=4000.0, position=0.2, noise=noise_part, seed=seed
    )
    out = np.zeros((1, round(seconds * rate)))
    ring_string(
        string.line,
        string.excitation,
        string.pole,
        string.loop_gain,
        string.fraction,
        string.at,
        string.memory,
        1.0,
        out,
    )
    return out[0]


def partial_db(samples: NDArray[np.float64], hz: float, rate: int) -> float:
    """Level of the partial nearest to `hz`."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    at = round(hz * len(samples) / rate)
    return float(20.0 * np.log10(spectrum[at - 3 : at + 4].max()))


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("key", [28, 36, 45, 52, 60, 69, 76, 84, 96])
def test_a_string_is_in_tune(key: int, rate: int) -> None:
    tone = plucked(key_hz(key), rate, 2.0)
    assert abs(cents_off(np.stack([tone, tone], axis=1), key_hz(key), rate)) < 0.5


@pytest.mark.parametrize("hz", [55.0, 220.0, 880.0])
def test_a_string_decays_as_asked_and_its_treble_sooner(hz: float) -> None:
    rate, decay_s = 48_000, 2.0
    tone = plucked(hz, rate, 1.5, decay_s=decay_s, treble_s=0.4)

    def seconds_to_60_db(partial_hz: float) -> float:
        early, late = (
            partial_db(tone[start : start + rate // 4], partial_hz, rate) for start in (4800, 4800 + rate // 2)
        )
        return 60.0 * 0.5 / (early - late)

    assert seconds_to_60_db(hz) == pytest.approx(decay_s, rel=0.1)
    treble_hz = hz * round(4000.0 / hz)
    assert seconds_to_60_db(treble_hz) < 0.35 * decay_s


def test_a_string_has_no_dc_and_its_noise_comes_from_its_seed() -> None:
    tone = plucked(82.4, 48_000, 2.0)
    assert abs(tone.mean()) < 1e-4 * np.abs(tone).max()
    assert np.array_equal(tone, plucked(82.4, 48_000, 2.0))
    assert not np.array_equal(tone, plucked(82.4, 48_000, 2.0, seed=2))
    assert np.array_equal(
        plucked(82.4, 48_000, 0.1, noise_part=0.0), plucked(82.4, 48_000, 0.1, noise_part=0.0, seed=2)
    )


def test_modes_are_decaying_sines() -> None:
    rate, frames = 48_000, 300 * TICK
    frequency, decay_s = np.array([200.0, 3333.3]), np.array([1.0, 0.2])
    out = np.zeros((1, frames))
    modal.ring_modes(modal.turning(frequency, decay_s, rate), np.array([[0.0, -1.0], [0.0, -0.5]]), out)
    time = np.arange(frames) / rate
    expected = sum(
        level * np.sin(2.0 * np.pi * hz * time) * 10.0 ** (-3.0 * time / decay)
        for level, hz, decay in zip((1.0, 0.5), frequency, decay_s, strict=True)
    )
    np.testing.assert_allclose(out[0], expected, atol=1e-7)


def test_a_mode_that_has_died_is_left_out() -> None:
    state = np.array([[0.0, -1e-6]])
    out = np.zeros((1, TICK))
    modal.ring_modes(modal.turning(np.array([200.0]), np.array([1.0]), 48_000), state, out)
    assert not np.any(out) and not np.any(state)


def operators(index: float, feedback: float, frames: int = 1 << 15) -> NDArray[np.float64]:
    """A 750 Hz carrier modulated by a 750 Hz sine, at 48 kHz, and fed back on itself."""
    ticks = frames // TICK
    out = np.zeros((1, frames))
    fm.operate(
        fm.SINE,
        np.ones(2),
        np.zeros(2),
        np.array([-1, 0]),
        np.array([1.0, index / (2.0 * np.pi)]),
        np.array([0.5 * feedback / (2.0 * np.pi), 0.0]),
        np.ones((2, ticks + 1)),
        np.full(ticks + 1, 750.0 / 48_000),
        np.zeros(2),
        np.zeros((2, 2)),
        out,
    )
    return out[0]


def test_fm_is_the_sine_of_a_sine() -> None:
    time = np.arange(1 << 15) / 48_000
    modulator = np.sin(2.0 * np.pi * 750.0 * time)
    np.testing.assert_allclose(operators(1.7, 0.0), np.sin(2.0 * np.pi * 750.0 * time + 1.7 * modulator), atol=1e-5)


def test_feedback_turns_a_sine_into_a_saw() -> None:
    plain, fed = (np.abs(np.fft.rfft(operators(0.0, feedback)))[512:4096:512] for feedback in (0.0, 1.0))
    assert plain[1] < 1e-3 * plain[0]
    assert np.all(np.diff(fed) < 0) and fed[1] > 0.2 * fed[0]


def test_an_fm_operator_that_is_silent_still_keeps_time() -> None:
    ticks = 64
    levels = np.ones((1, ticks + 1))
    levels[0, 10:20] = 0.0
    out = np.zeros((1, ticks * TICK))
    fm.operate(fm.SINE, np.ones(1), np.zeros(1), np.array([-1]), np.ones(1), np.zeros(1), levels,
               np.full(ticks + 1, 0.01), np.zeros(1), np.zeros((1, 2)), out)  # fmt: skip
    np.testing.assert_allclose(
        out[0, 20 * TICK :], np.sin(2.0 * np.pi * 0.01 * np.arange(20 * TICK, ticks * TICK)), atol=1e-5
    )


def test_noise_is_uncorrelated_and_stays_in_its_band() -> None:
    ticks, rate = 1024, 48_000
    out = np.zeros((2, ticks * TICK))
    g = np.tan(np.pi * 2000.0 / rate)
    noise.add_noise(np.array([1, 99]), g, 0.5, 1.0, 1.0, np.ones(ticks + 1), np.zeros((2, 2)), out)
    assert abs(np.corrcoef(out)[0, 1]) < 0.05
    spectrum = np.abs(np.fft.rfft(out[0])) ** 2
    hz = np.fft.rfftfreq(out.shape[1], 1.0 / rate)
    assert spectrum[(hz > 1500) & (hz < 2600)].mean() > 20.0 * spectrum[hz > 12_000].mean()
    assert abs(out.mean()) < 0.01
