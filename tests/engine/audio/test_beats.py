import numpy as np
import pytest

from rendered import RATE, clicks, continued, rendered
from resonantgen.audio.beats import find_beat, grid_error, hear_onsets, pulse_offset
from resonantgen.audio.resample import resample
from resonantgen.audio.stretch import stretch_loop
from resonantgen.music.notes import Role
from resonantgen.music.time import Meter
from rhythm import STYLES

FOUR = Meter()
# Where the loudest strokes lie between the beats (double kicks, a surdo, syncopated snares), the phase is another.
ODD_PHASE = {"metal", "bossa_nova", "funk"}


def off_beat(beat, start_seconds, tempo_bpm):
    """How far the beats are from where they should be, in milliseconds."""
    places = (beat.downbeat_seconds - start_seconds) * tempo_bpm / 60
    return 1000 * abs(places - round(places)) * 60 / tempo_bpm


@pytest.mark.parametrize("style", STYLES)
def test_drums_of_every_style(style):
    """At a tempo that is not the expected one, with an offset that is on no grid, swing and all."""
    part = rendered(style)
    tempo = float(part.plan.tempo_bpm)
    seed = STYLES.index(style)
    random = np.random.default_rng(seed)
    lead, expected = random.uniform(0.1, 1.2), tempo * random.uniform(0.95, 1.05)
    samples = continued(part.samples, lead, 8 * 240 / tempo + 1, RATE)
    beat = find_beat(samples, RATE, expected, FOUR)
    assert beat is not None, (style, seed)
    assert abs(beat.tempo_bpm / tempo - 1) < 0.001
    if style not in ODD_PHASE:
        # Laid-back drums are late by what their groove says.
        assert off_beat(beat, lead, tempo) < (25 if style in ("lo_fi", "boom_bap", "r_and_b") else 6)
    assert 0 <= beat.downbeat_seconds + 0.1 * 60 / tempo < 4 * 60 / tempo + 0.01


@pytest.mark.parametrize("factor", [0.93, 0.97, 1.027, 1.07])
@pytest.mark.parametrize("style", ["techno", "disco", "trap"])
def test_stretched_by_a_known_factor(style, factor):
    part = rendered(style)
    loop = stretch_loop(part.samples, round(len(part.samples) * factor), RATE)
    tempo = float(part.plan.tempo_bpm) * len(part.samples) / len(loop)
    beat = find_beat(continued(loop, 0.13, 16, RATE), RATE, float(part.plan.tempo_bpm), FOUR)
    assert beat is not None
    assert abs(beat.tempo_bpm / tempo - 1) < 0.002
    assert off_beat(beat, 0.13, tempo) < 8


@pytest.mark.parametrize("tempo_bpm", [62, 87, 121, 147, 176])
def test_tempos(tempo_bpm):
    part = rendered("house", tempo_bpm=tempo_bpm, bars=4)
    beat = find_beat(continued(part.samples, 0.3, 8 * 120 / tempo_bpm, RATE), RATE, tempo_bpm * 1.03, FOUR)
    assert beat is not None
    assert abs(beat.tempo_bpm / tempo_bpm - 1) < 0.002
    assert off_beat(beat, 0.3, tempo_bpm) < 6


@pytest.mark.parametrize("meter", ["3/4", "6/8", "7/8", "5/4", "12/8"])
def test_meters(meter):
    part = rendered("rock", meter=meter)
    tempo = float(part.plan.tempo_bpm)
    bar = part.plan.meter.bar_ticks / 480 * 60 / tempo
    beat = find_beat(continued(part.samples, 0.2, 8 * bar, RATE), RATE, tempo * 0.98, part.plan.meter)
    assert beat is not None
    assert abs(beat.tempo_bpm / tempo - 1) < 0.002


@pytest.mark.parametrize("rate", [32_000, 44_100])
def test_other_sample_rates(rate):
    samples = resample(clicks([0.25 + 0.5 * k for k in range(30)], 15.5), RATE, rate)
    beat = find_beat(samples, rate, 118.0, FOUR)
    assert beat is not None
    assert abs(beat.tempo_bpm / 120 - 1) < 0.0005
    assert off_beat(beat, 0.25, 120) < 3
    assert beat.error_ms < 2


@pytest.mark.parametrize("factor", [0.5, 2.0], ids=["half", "double"])
def test_half_and_double_tempo_are_the_same_grid(factor):
    """What plays half as often is on the beats all the same."""
    period = 0.5 / factor
    samples = clicks([0.2 + period * k for k in range(int(15 / period))], 15.5)
    beat = find_beat(samples, RATE, 121.5, FOUR)
    assert beat is not None
    assert abs(beat.tempo_bpm / 120 - 1) < 0.001


@pytest.mark.parametrize("off", [0.87, 0.91, 1.1])
def test_what_is_far_from_the_expected_tempo_is_told_as_it_is(off):
    part = rendered("techno")
    beat = find_beat(continued(part.samples, 0.1, 14, RATE), RATE, float(part.plan.tempo_bpm) / off, FOUR)
    assert beat is not None
    assert abs(beat.tempo_bpm / float(part.plan.tempo_bpm) - 1) < 0.002


@pytest.mark.parametrize("role", [Role.BASS, Role.MELODY])
@pytest.mark.parametrize("style", ["house", "disco", "synthwave"])
def test_pitched_parts(style, role):
    part = rendered(style, role)
    tempo = float(part.plan.tempo_bpm)
    beat = find_beat(continued(part.samples, 0.2, 15, RATE), RATE, tempo * 1.02, FOUR)
    assert beat is not None
    assert abs(beat.tempo_bpm / tempo - 1) < 0.004


def tone(seconds=15.0):
    return 0.3 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * RATE)) / RATE)[:, None] * np.ones((1, 2))


def swell():
    """Chords that come and go slowly."""
    time = np.arange(15 * RATE) / RATE
    return tone() * (0.55 + 0.45 * np.sin(2 * np.pi * 0.11 * time))[:, None]


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((15 * RATE, 2)),
        tone(),
        swell(),
        np.random.default_rng(1).standard_normal((15 * RATE, 2)) * 0.1,
        np.zeros((0, 2)),
        clicks([0.1, 1.7], 15),
    ],
    ids=["silence", "tone", "swell", "noise", "nothing", "two clicks"],
)
def test_no_beat(samples):
    assert find_beat(samples, RATE, 120, FOUR) is None


@pytest.mark.parametrize("seed", range(5))
def test_random_clicks_have_no_beat(seed):
    times = sorted(np.random.default_rng(seed).uniform(0, 15, 60))
    beat = find_beat(clicks([float(time) for time in times], 15.5), RATE, 120, FOUR)
    assert beat is None, seed


@pytest.mark.parametrize("late", [-0.02, 0.0, 0.013])
def test_how_late_a_grid_is(late):
    onsets = hear_onsets(clicks([0.5 + late + 0.5 * k for k in range(20)], 11), RATE)
    assert abs(pulse_offset(onsets, 0.5) - late) < 0.0025
    assert abs(grid_error(onsets, 0.5, 0.0) - abs(late)) < 0.0025
