from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from rendered import RATE, clicks, continued, rendered
from resonantgen.audio.beats import grid_error, loop_onsets, pulses
from resonantgen.audio.loop import seam_jump
from resonantgen.audio.resample import resample
from resonantgen.errors import ModelError
from resonantgen.generators.sound.fitting import LARGEST_STRETCH, fit, seconds_needed
from resonantgen.music.time import Meter, TempoMap
from rhythm import plan_of


def plan(tempo="120", meter="4/4", bars=4):
    return replace(plan_of("house", bars=bars, meter=meter), tempo_bpm=Fraction(tempo), meter=Meter.parse(meter))


def click_track(tempo_bpm, seconds, lead=0.2):
    """Quarters, the first of four lower and louder, so that it is the downbeat."""
    beats = [lead + k * 60 / tempo_bpm for k in range(int((seconds - lead) * tempo_bpm / 60))]
    samples = 0.6 * clicks(beats, seconds)
    for k in range(0, len(beats), 4):
        at = round(beats[k] * RATE)
        time = np.arange(min(6_000, len(samples) - at)) / RATE
        samples[at : at + len(time)] += (0.8 * np.sin(2 * np.pi * 60 * time) * np.exp(-time * 30))[:, None]
    return samples


@pytest.mark.parametrize(("tempo", "rate"), [("120", 48_000), ("97.3", 44_100), ("133.33", 96_000)])
@pytest.mark.parametrize("off", [0.965, 1.0, 1.038])
def test_clicks_end_up_on_the_beats(tempo, off, rate):
    asked = plan(tempo)
    made = fit(click_track(float(asked.tempo_bpm) * off, seconds_needed(asked)), RATE, asked, rate, -18.0)
    exact = TempoMap(asked.tempo_bpm, asked.meter, rate)
    assert made.samples.shape == (exact.frames(4), 2)
    assert made.aligned
    assert made.stretch == pytest.approx(off, abs=0.0007)
    onsets = loop_onsets(made.samples, rate)
    assert len(onsets.seconds) >= 16
    assert 1000 * grid_error(onsets, 60 / float(asked.tempo_bpm), 0.0) < 4
    assert made.beat_error_ms < 4


def test_the_loop_begins_on_the_downbeat():
    made = fit(click_track(118, seconds_needed(plan()), lead=0.7), RATE, plan(), RATE, -18.0)
    spectrum = [np.abs(np.fft.rfft(made.samples[k * 24_000 : k * 24_000 + 6_000, 0]))[4:12].sum() for k in range(4)]
    assert int(np.argmax(spectrum)) == 0


@pytest.mark.parametrize("off", [1 - LARGEST_STRETCH - 0.012, 1 + LARGEST_STRETCH + 0.012])
def test_what_is_too_far_off_is_left_as_it_is(off):
    made = fit(click_track(120 * off, seconds_needed(plan())), RATE, plan(), RATE, -18.0)
    assert not made.aligned
    assert made.stretch == 1.0
    assert made.heard_tempo_bpm == pytest.approx(120 * off, rel=0.001)


@pytest.mark.parametrize("meter", ["3/4", "6/8", "7/8"])
def test_meters(meter):
    part = rendered("rock", meter=meter, bars=4)
    piece = continued(part.samples, 0.15, seconds_needed(part.plan), RATE)
    made = fit(resample(piece, RATE, 32_000), 32_000, part.plan, RATE, -18.0)
    assert made.samples.shape == (part.tempo.frames(4), 2)
    assert made.aligned
    pulse = pulses(part.plan.meter)[0] * 60 / float(part.plan.tempo_bpm)
    assert grid_error(loop_onsets(made.samples, RATE), pulse, 0.0) < 0.012


@pytest.mark.parametrize("seed", range(4))
def test_noise_loops_and_is_not_stretched(seed):
    random = np.random.default_rng(seed)
    offset = 0.2
    piece = 0.1 * random.standard_normal((round(seconds_needed(plan()) * 32_000), 2)) + offset
    made = fit(piece, 32_000, plan(), 48_000, -18.0)
    assert (made.heard_tempo_bpm, made.stretch, made.beat_error_ms, made.aligned) == (None, 1.0, None, False)
    assert seam_jump(made.samples) < 1.5
    assert np.abs(made.samples.mean(axis=0)).max() < 1e-3


def test_of_several_windows_the_one_that_loops_is_taken():
    """A piece whose first bars are quiet, as where a model fades in."""
    part = rendered("techno", bars=2)
    piece = continued(part.samples, 0.1, seconds_needed(replace(part.plan, bars=2)) + 8, RATE)
    fade = 5 * RATE
    piece[:fade] *= np.linspace(0.0, 1.0, fade)[:, None] ** 2
    made = fit(piece, RATE, part.plan, RATE, -18.0)
    halves = np.split(made.samples[: len(made.samples) // 2 * 2], 2)
    powers = [float(np.mean(half**2)) for half in halves]
    assert 0.7 < powers[0] / powers[1] < 1.4


def test_better_attempts_come_first():
    near = fit(click_track(121, seconds_needed(plan())), RATE, plan(), RATE, -18.0)
    far = fit(click_track(124, seconds_needed(plan())), RATE, plan(), RATE, -18.0)
    beyond = fit(click_track(132, seconds_needed(plan())), RATE, plan(), RATE, -18.0)
    assert near.rank < far.rank < beyond.rank


def test_what_is_too_short_is_an_error():
    with pytest.raises(ModelError, match="are needed"):
        fit(np.zeros((RATE, 1)), RATE, plan(), RATE, -18.0)
