"""What is heard in our own sound, of which the notes are known."""

import numpy as np
import pytest

from rendered import RATE, f_measure, matched, rendered
from resonantgen.audio.hearing import hear
from resonantgen.audio.pitch import HOP_SECONDS, track_pitch
from resonantgen.music.notes import DrumPiece, Role
from resonantgen.music.time import TempoMap
from rhythm import STYLES

P = DrumPiece
KICKS, SNARES = (P.KICK,), (P.SNARE, P.CLAP, P.RIM)
HATS = (P.CLOSED_HAT, P.PEDAL_HAT, P.OPEN_HAT, P.RIDE, P.SHAKER, P.TAMBOURINE, P.CRASH)


def heard_in(part, role):
    return hear(part.samples, part.tempo, part.plan.bars, role, part.plan.chords)


def starts(score, tempo, *pitches):
    return sorted({tempo.seconds(note.start_ticks) for note in score if not pitches or note.pitch in pitches})


def test_drums_of_many_styles():
    """Of ten styles, on each one's first kit: kicks 0.9, snares 0.75 and hats 0.75 within 30 ms at least."""
    for pieces, heard_as, least in (
        (KICKS, (P.KICK,), 0.9),
        (SNARES, (P.SNARE,), 0.75),
        (HATS, (P.CLOSED_HAT, P.OPEN_HAT), 0.75),
    ):
        found = truth = pairs = 0
        for style in STYLES[::2]:
            part = rendered(style, bars=8)
            heard = starts(heard_in(part, Role.DRUMS), part.tempo, *heard_as)
            real = part.starts(*pieces)
            pairs += matched(real, heard, 0.03)
            found, truth = found + len(heard), truth + len(real)
        assert 2 * pairs / (found + truth) > least, (pieces, pairs, found, truth)


@pytest.mark.parametrize("style", ["house", "trap", "rock", "synthwave"])
def test_louder_kicks_are_heard_louder(style):
    part = rendered(style, bars=8)
    heard = {note.start_ticks: note.velocity for note in heard_in(part, Role.DRUMS) if note.pitch == P.KICK}
    velocities = [n.velocity for n in part.score if n.pitch == P.KICK]
    assert heard
    assert all(1 <= velocity <= 127 for velocity in heard.values())
    assert max(heard.values()) - min(heard.values()) < 60 + max(velocities) - min(velocities)


@pytest.mark.parametrize("style", ["house", "disco", "lo_fi", "bossa_nova", "synthwave", "trance"])
def test_basslines(style):
    """Pitch class and onset within 50 ms. (Octaves: some of these patches sound an octave lower than written.)"""
    part = rendered(style, Role.BASS, bars=8)
    heard = heard_in(part, Role.BASS)
    pairs = sum(
        matched(
            [part.tempo.seconds(n.start_ticks) for n in part.score if n.pitch % 12 == c],
            [part.tempo.seconds(n.start_ticks) for n in heard if n.pitch % 12 == c],
            0.05,
        )
        for c in range(12)
    )
    assert 2 * pairs / (len(part.score) + len(heard)) > 0.9


@pytest.mark.parametrize("style", ["disco", "lo_fi", "reggae", "synthwave"])
def test_melodies(style):
    part = rendered(style, Role.MELODY, bars=8)
    heard = heard_in(part, Role.MELODY)
    pairs = sum(
        matched(
            [part.tempo.seconds(n.start_ticks) for n in part.score if n.pitch % 12 == c],
            [part.tempo.seconds(n.start_ticks) for n in heard if n.pitch % 12 == c],
            0.05,
        )
        for c in range(12)
    )
    assert 2 * pairs / (len(part.score) + len(heard)) > 0.75


def sounding(score, tick):
    return {note.pitch % 12 for note in score if note.start_ticks <= tick < note.end_ticks}


@pytest.mark.parametrize("style", ["house", "pop", "lo_fi", "trance"])
def test_chords(style):
    """The pitch classes of most beats, and those of the plan's chords only where they are what sounds."""
    part = rendered(style, Role.HARMONY)
    heard = heard_in(part, Role.HARMONY)
    pairs = found = truth = 0
    for start in range(0, part.score.length_ticks, 480):
        real = {n.pitch % 12 for n in part.score if n.start_ticks < start + 480 and n.end_ticks > start}
        ours = sounding(heard, start)
        pairs, found, truth = pairs + len(real & ours), found + len(ours), truth + len(real)
    assert 2 * pairs / (found + truth) > 0.9


def test_other_chords_than_the_planned_are_heard_as_they_are():
    """The same sound against a plan of another piece: what sounds wins."""
    part, other = rendered("pop", Role.HARMONY), rendered("jazz", Role.HARMONY)
    heard = hear(part.samples, part.tempo, part.plan.bars, Role.HARMONY, other.plan.chords)
    agree = []
    for start in range(0, part.score.length_ticks, 480):
        real = part.plan.chords.at(start).chord.pitch_classes[:3]
        agree.append(len(set(real) & sounding(heard, start)) / 3)
    assert np.mean(agree) > 0.8


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("level", [0.0, 1e-6], ids=["silence", "nearly"])
def test_there_is_nothing_in_silence(role, level):
    part = rendered("house", bars=8)
    noise = level * np.random.default_rng(1).standard_normal(part.samples.shape)
    score = hear(noise, part.tempo, 8, role, part.plan.chords)
    assert len(score) == 0
    assert score.length_ticks == part.score.length_ticks


@pytest.mark.parametrize("role", Role)
def test_noise_is_heard_as_something_valid(role):
    part = rendered("house", bars=8)
    noise = 0.1 * np.random.default_rng(2).standard_normal(part.samples.shape)
    score = hear(noise, part.tempo, 8, role, part.plan.chords)
    assert all(note.start_ticks >= 0 and note.end_ticks <= score.length_ticks for note in score)


def test_timing_off_the_grid_is_kept():
    """What is 30 ms late stays so; what is on the grid is heard there."""
    tempo = TempoMap(rendered("house").tempo.tempo_bpm, sample_rate=RATE)
    part = rendered("house", bars=8)
    late = round(0.03 * RATE)
    on_time = heard_in(part, Role.DRUMS)
    shifted = hear(np.roll(part.samples, late, axis=0), tempo, 8, Role.DRUMS, part.plan.chords)
    before = starts(on_time, tempo, P.KICK)
    after = starts(shifted, tempo, P.KICK)
    assert f_measure([time + 0.03 for time in before], after, 0.012) > 0.9
    on_grid = sum(note.start_ticks % 120 == 0 for note in on_time)
    assert on_grid > 0.8 * len(on_time)
    assert sum(note.start_ticks % 120 == 0 for note in shifted) < 0.2 * len(shifted)


@pytest.mark.parametrize("key", [24, 33, 45, 60, 72, 88])
def test_pitch_of_a_rich_tone(key):
    hertz = 440 * 2 ** ((key - 69) / 12)
    time = np.arange(RATE) / RATE
    sound = sum(np.sin(2 * np.pi * hertz * h * time) / h for h in range(1, 9) if h * hertz < 7_000)[:, None]
    track = track_pitch(0.2 * sound, RATE, 28.0, 2200.0)
    middle = slice(round(0.2 / HOP_SECONDS), round(0.8 / HOP_SECONDS))
    assert np.abs(track.keys[middle] - key).max() < 0.12
    assert track.aperiodicity[middle].max() < 0.05


def test_noise_has_no_pitch():
    track = track_pitch(np.random.default_rng(3).standard_normal((RATE, 1)), RATE, 28.0, 420.0)
    assert np.median(track.aperiodicity) > 0.4
