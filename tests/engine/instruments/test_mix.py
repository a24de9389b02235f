"""The limiter and the mix: ceilings kept, sums untouched, no seams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.instruments.contracts import cuts, process
from engine.instruments.signals import RATE, impulse, noise, sine
from resonantgen.instruments.base import Samples
from resonantgen.instruments.effects.filters import Filter, butterworth
from resonantgen.instruments.limiter import Limiter
from resonantgen.instruments.measure import seam_roughness, true_peak_db
from resonantgen.instruments.mix import MixStream, mix_stems, sum_stems


def without_top(signal: Samples) -> Samples:
    """Nothing above 20 kHz (removed exactly, as a loop)."""
    spectrum = np.fft.rfft(signal, axis=0)
    spectrum[np.fft.rfftfreq(len(signal), 1 / RATE) > 20_000] = 0
    return np.fft.irfft(spectrum, len(signal), axis=0)


def nasty(name: str) -> Samples:
    frames = np.arange(RATE)
    one = {
        "square": lambda: np.sign(np.sin(2 * np.pi * 997 * frames / RATE)),
        "sine between the samples": lambda: np.sin(np.pi / 2 * frames + np.pi / 4),
        "high sine": lambda: np.sin(2 * np.pi * 0.41 * frames),
        "clicks": lambda: (frames % 1000 == 0).astype(float),
        "step": lambda: np.where(frames > 20_000, 1.0, -0.5),
        "clipped noise": lambda: np.clip(noise(RATE, 4.0)[:, 0], -1, 1),
        "bursts": lambda: np.where(frames % 6000 < 300, np.sin(2 * np.pi * 7000 * frames / RATE), 0.01),
    }[name]()
    return without_top(np.stack([3 * one, -2 * np.roll(one, 5)], axis=1))


NASTY = ["square", "sine between the samples", "high sine", "clicks", "step", "clipped noise", "bursts"]


@pytest.mark.parametrize("name", NASTY)
def test_no_true_peak_passes_the_ceiling(name: str) -> None:
    signal = nasty(name)
    assert true_peak_db(signal, loop=True) > 0
    limited = mix_stems([signal], RATE)
    assert -1.6 < true_peak_db(limited, 16, loop=True) <= -1.0


@pytest.mark.parametrize("sample_rate", [44_100, 96_000])
def test_the_ceiling_holds_at_other_rates(sample_rate: int) -> None:
    low = Filter(butterworth("low_pass", 6, 12_000, sample_rate))
    signal = low.render(low.start(), noise(sample_rate, 1.0))
    assert -1.6 < true_peak_db(mix_stems([signal], sample_rate), 16, loop=True) <= -1.0


def test_where_nothing_is_limited_the_mix_is_the_sum() -> None:
    stems = [noise(2 * RATE, 0.02, seed) for seed in range(4)]
    assert np.array_equal(mix_stems(stems, RATE), stems[0] + stems[1] + stems[2] + stems[3])
    stems[2][30_000] = 3.0
    mix, plain = mix_stems(stems, RATE), sum_stems(stems)
    changed = np.flatnonzero(np.any(mix != plain, axis=1))
    assert 29_900 < changed[0] <= 30_000 and changed[-1] < 30_000 + 0.7 * RATE, "only around the peak"


def test_summing_leaves_the_stems_as_they_are() -> None:
    stems = [noise(100, 0.1, seed) for seed in range(3)]
    before = [stem.copy() for stem in stems]
    sum_stems(stems)
    assert all(np.array_equal(a, b) for a, b in zip(stems, before, strict=True))


@given(shift=st.integers(0, 29_999))
@settings(max_examples=15, deadline=None)
def test_limiting_a_loop_does_not_depend_on_where_it_starts(shift: int) -> None:
    signal = noise(30_000, 0.2)
    signal[np.arange(0, 30_000, 4100)] *= 6
    turned = Limiter(RATE).limit_loop(np.roll(signal, shift, axis=0))
    assert np.allclose(np.roll(Limiter(RATE).limit_loop(signal), shift, axis=0), turned, atol=1e-7)


@pytest.mark.parametrize("at", [0, 5, 40, 29_999])
def test_a_peak_at_the_seam_is_limited_without_a_click(at: int) -> None:
    signal = sine(200, 48_000, 0.5)  # 200 whole periods: the loop itself has no seam
    signal += 0.8 * np.roll(np.exp(-np.square((np.arange(48_000) - 24_000) / 900))[:, None], 24_000 + at, axis=0)
    limited = mix_stems([signal], RATE)
    assert not np.array_equal(limited, signal)
    assert seam_roughness(limited) < 1.05


def test_gain_changes_are_smooth() -> None:
    """Every step of the gain is at most a share of 1 / look-ahead of the whole reduction: a ramp, not a jump."""
    limiter = Limiter(RATE)
    gains = limiter.loop_gains(limiter.loop_peaks(8 * impulse(2 * RATE, 20_000)))
    assert gains.min() < 0.12
    assert np.abs(np.diff(gains)).max() <= 1.01 / limiter.look_ahead_frames
    assert gains[0] == 1.0 and gains[10_000] == 1.0


def test_the_limiter_streams_and_is_late_by_its_latency() -> None:
    limiter = Limiter(RATE)
    signal = noise(20_000, 0.3)
    padded = np.concatenate([signal, np.zeros((limiter.latency_frames, 2))])
    whole = process(limiter, padded, [len(padded)])  # type: ignore[arg-type]
    for name, cut in cuts(len(padded)):
        assert np.array_equal(whole, process(limiter, padded, cut)), name  # type: ignore[arg-type]
    on_time = whole[limiter.latency_frames :]
    quiet = noise(5000, 0.02)
    assert np.array_equal(
        limiter.render(limiter.start(), quiet)[limiter.latency_frames :], quiet[: -limiter.latency_frames]
    )
    assert true_peak_db(without_top(on_time)) < -0.8


def test_streaming_and_looping_mixes_agree_once_settled() -> None:
    """Two turns of a loop through the stream: the second turn is the mix of the loop."""
    stems = [without_top(noise(RATE, 0.25, seed)) for seed in range(3)]
    stream = MixStream(RATE)
    turns = [stream.render(stems) for _ in range(4)]
    played = np.concatenate(turns)[stream.latency_frames :][2 * RATE : 3 * RATE]
    assert np.allclose(played, mix_stems(stems, RATE), atol=1e-7)
