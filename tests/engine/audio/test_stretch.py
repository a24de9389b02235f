import numpy as np
import pytest

from rendered import RATE, clicks
from resonantgen.audio.beats import hear_onsets
from resonantgen.audio.loop import seam_jump
from resonantgen.audio.stretch import rendition, stretch, stretch_loop
from resonantgen.instruments.loudness import integrated_loudness
from resonantgen.instruments.measure import true_peak_db

SMALL, LARGE = (0.96, 0.985, 1.0004, 1.027, 1.04), (0.5, 0.75, 1.5, 2.0)


def chord(seconds=4.0):
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.2 * sum(np.sin(2 * np.pi * hertz * time) for hertz in (110.0, 277.2, 659.3))[:, None] * np.ones((1, 2))


@pytest.mark.parametrize("factor", SMALL + LARGE)
def test_onsets_stay_on_time(factor):
    times = [0.3 + 0.37 * k for k in range(10)]
    samples = clicks(times, 4.2)
    made = stretch(samples, round(len(samples) * factor), RATE)
    assert len(made) == round(len(samples) * factor)
    found = hear_onsets(made, RATE).seconds
    away = [1000 * np.abs(found - time * factor).min() for time in times]
    assert max(away) < (3 if factor in SMALL else 6), away


@pytest.mark.parametrize("factor", SMALL + LARGE)
def test_pitch_and_level_stay(factor):
    samples = chord()
    made = stretch_loop(samples, round(len(samples) * factor), RATE)
    spectrum = np.abs(np.fft.rfft(made[:, 0] * np.hanning(len(made)), 1 << 21))
    for hertz in (110.0, 277.2, 659.3):
        near = slice(round(hertz * 0.97 / RATE * (1 << 21)), round(hertz * 1.03 / RATE * (1 << 21)))
        heard = (near.start + int(np.argmax(spectrum[near]))) * RATE / (1 << 21)
        assert abs(1200 * np.log2(heard / hertz)) < 4, hertz
    assert abs(20 * np.log10(made.std() / samples.std())) < 0.5


@pytest.mark.parametrize("factor", SMALL + LARGE)
def test_a_stretched_loop_is_a_loop(factor):
    """A tone that comes round with the loop, as sound does that was made as a loop."""
    samples = chord()
    made = stretch_loop(samples, round(len(samples) * factor) + 1, RATE)
    assert len(made) == round(len(samples) * factor) + 1
    assert seam_jump(made) < 1.3


def test_the_same_input_gives_the_same_bytes():
    samples = np.random.default_rng(4).standard_normal((30_000, 2)) * 0.1
    assert np.array_equal(stretch_loop(samples, 31_000, RATE), stretch_loop(samples, 31_000, RATE))


def test_nothing_is_changed_where_nothing_has_to_be():
    samples = np.random.default_rng(4).standard_normal((1_000, 2))
    assert np.array_equal(stretch_loop(samples, 1_000, RATE), samples)
    assert np.array_equal(stretch(samples, 1_000, RATE), samples)


@pytest.mark.parametrize("frames", [1, 10, 1_000])
def test_very_short_loops(frames):
    made = stretch_loop(np.full((frames, 2), 0.1), 2 * frames, RATE)
    assert made.shape == (2 * frames, 2)
    assert np.isfinite(made).all()


@pytest.mark.parametrize(
    ("tempo_factor", "rate"), [(0.5, 48_000), (0.8, 44_100), (1.0, 44_100), (1.3, 96_000), (2.0, 44_100)]
)
def test_renditions_keep_their_loudness(tempo_factor, rate):
    noise = np.random.default_rng(6).standard_normal((3 * RATE, 2)) * 0.05
    frames = round(3 * rate / tempo_factor) + 1
    made = rendition(noise, RATE, frames, rate)
    assert made.shape == (frames, 2)
    # Between rates, what is above the lower one's limit is lost, and that is loud in noise.
    assert abs(integrated_loudness(made, rate) - integrated_loudness(noise, RATE)) < 0.6
    assert true_peak_db(made[: 1 << 16]) < -1.0


def test_a_rendition_of_silence_is_silence():
    assert not rendition(np.zeros((RATE, 2)), RATE, 60_000, 44_100).any()
