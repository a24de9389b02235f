"""Features of scores made for the purpose are what they were made to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonantgen.errors import BadValue
from resonantgen.music.analysis import (
    density,
    estimate_key,
    features,
    onset_histogram,
    onsets,
    register,
    swing_ratio,
    velocity_stats,
)
from resonantgen.music.notes import DrumPiece, Note, Score
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import Meter

KICK, HAT = DrumPiece.KICK, DrumPiece.CLOSED_HAT
EMPTY = Score((), 1920)


def beat(offbeat_ticks: int = 120, early_ticks: int = 0) -> Score:
    """Two bars of 4/4: kick on each beat, hats on sixteenths whose off-beats come `offbeat_ticks` after the eighth."""
    notes = [Note(480 * n, KICK, 100, 110) for n in range(8)]
    for eighth in range(16):
        notes.append(Note(max(0, 240 * eighth - early_ticks), HAT, 50, 80))
        notes.append(Note(240 * eighth + offbeat_ticks - early_ticks, HAT, 50, 60))
    return Score.of(notes, 3840)


def test_onsets_of_pieces() -> None:
    assert onsets(beat(), {KICK}) == tuple(range(0, 3840, 480))
    assert onsets(beat()) == tuple(range(0, 3840, 120))


def test_density_counts_notes_a_bar() -> None:
    assert density(beat(), Meter()) == 4 + 16
    assert density(Score.of([Note(0, 60, 10, 1)], 7 * 240), Meter(7, 8)) == 1
    assert density(EMPTY, Meter()) == 0


def test_onset_histogram() -> None:
    kicks = onset_histogram(beat(), Meter(), 16, {KICK})
    assert kicks == (1, 0, 0, 0) * 4
    # In quarters: a kick and the hats on it, before it and after it; the off-beat eighth is nearer to the next quarter.
    assert onset_histogram(beat(), Meter(), 4) == (5, 5, 5, 5)
    assert onset_histogram(Score.of([Note(0, 60, 10, 1), Note(1900, 60, 10, 1)], 3840), Meter(), 4) == (1, 0, 0, 0)


@given(st.sampled_from([Meter(4, 4), Meter(7, 8), Meter(5, 4)]), st.integers(1, 16), st.integers(-55, 55))
def test_micro_timing_does_not_blur_the_histogram(meter: Meter, step: int, shift: int) -> None:
    """55 ticks are less than half of the finest step here (7/8 in 14 steps: 120 ticks)."""
    steps = meter.bar_ticks // 120
    step %= steps
    bars = 3
    notes = [
        Note(bar * meter.bar_ticks + step * 120 + shift, 60, 10, 80) for bar in range(bars) if bar or step or shift >= 0
    ]
    histogram = onset_histogram(Score.of(notes, bars * meter.bar_ticks), meter, steps)
    assert [index for index, count in enumerate(histogram) if count] == [step]


def test_a_bar_has_at_least_one_step() -> None:
    with pytest.raises(BadValue, match="0 steps"):
        onset_histogram(beat(), Meter(), 0)


def test_register_and_velocity() -> None:
    score = Score.of([Note(0, 40, 10, 20), Note(10, 50, 10, 60), Note(20, 51, 10, 100), Note(30, 80, 10, 60)], 1920)
    low_high = register(score)
    assert low_high is not None and (low_high.low, low_high.median, low_high.high) == (40, 50.5, 80)
    velocity = velocity_stats(score)
    assert velocity is not None and (velocity.low, velocity.mean, velocity.high) == (20, 60, 100)
    assert velocity.deviation == pytest.approx(800**0.5)  # of 40, 0, 40, 0: sqrt(3200 / 4)
    assert register(EMPTY) is None and velocity_stats(EMPTY) is None


@pytest.mark.parametrize(("offbeat_ticks", "ratio"), [(120, 1.0), (160, 2.0), (144, 1.5), (132, 132 / 108)])
@pytest.mark.parametrize("early_ticks", [0, 8])
def test_swing_is_measured_whether_early_or_late_on_the_beat(
    offbeat_ticks: int, ratio: float, early_ticks: int
) -> None:
    assert swing_ratio(beat(offbeat_ticks, early_ticks), 16) == pytest.approx(ratio, abs=0.01)


def test_swing_of_eighths_ignores_sixteenths() -> None:
    notes = [Note(480 * n + t, 60, 10, 80) for n in range(4) for t in (0, 120, 320, 360)]
    assert swing_ratio(Score.of(notes, 1920), 8) == pytest.approx(2.0)


def test_no_off_beats_no_swing() -> None:
    assert swing_ratio(Score.of([Note(480 * n, 60, 10, 80) for n in range(4)], 1920), 8) is None
    assert swing_ratio(EMPTY) is None


def test_all_features_at_once() -> None:
    chord = Score.of([Note(960 * n, p, 480, 80) for n in range(2) for p in (60, 64, 67)], 1920)
    measured = features(chord, Meter())
    assert (measured.density, measured.note_length_quarters, measured.polyphony) == (6, 1.0, 3.0)
    assert measured.onset_histogram == (3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0)
    silent = features(EMPTY, Meter())
    assert (silent.density, silent.polyphony, silent.register, silent.swing_ratio) == (0, 0, None, None)


def test_polyphony_of_overlapping_notes() -> None:
    # 0-480 alone, 480-960 two, 960-1440 alone, then a rest: 1920 ticks of notes over 1440.
    score = Score.of([Note(0, 60, 960, 80), Note(480, 64, 960, 80)], 3840)
    assert features(score, Meter()).polyphony == pytest.approx(1920 / 1440)


keys = st.builds(Key, st.integers(0, 11), st.sampled_from(Mode))


def planted(key: Key, octave: int = 4) -> Score:
    """Tonic chord, scale up and down, tonic chord: an exercise that leaves no doubt about key and mode."""
    degrees = [0, 1, 2, 3, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1]
    notes = [Note(0, key.pitch(d, octave), 960, 80) for d in (0, 2, 4)]
    notes += [Note(960 + 240 * i, key.pitch(d, octave), 240, 80) for i, d in enumerate(degrees)]
    notes += [Note(960 + 240 * len(degrees), key.pitch(d, octave), 1440, 80) for d in (-7, 0, 2, 4)]
    return Score.of(notes, 6 * 1920)


@given(keys, st.integers(3, 5))
def test_a_planted_key_is_found(key: Key, octave: int) -> None:
    assert estimate_key(planted(key, octave)) == key


@given(keys, st.integers(-12, 12))
def test_the_estimate_moves_with_the_music(key: Key, semitones: int) -> None:
    moved = [Note(n.start_ticks, n.pitch + semitones, n.duration_ticks, n.velocity) for n in planted(key)]
    assert estimate_key(Score.of(moved, 6 * 1920)) == key.transposed(semitones)


def test_several_scores_together() -> None:
    """Neither the chords' A C E alone nor the bass's scale settles on A minor as both together do."""
    chords = Score.of([Note(0, p, 1920, 80) for p in (57, 60, 64)], 1920)
    bass = Score.of([Note(240 * i, p, 240, 80) for i, p in enumerate([45, 43, 41, 40, 38, 40, 47, 48])], 1920)
    assert estimate_key([chords, bass]) == Key(9, Mode.MINOR)


def test_without_notes_the_key_is_c_major() -> None:
    assert estimate_key([]) == estimate_key(EMPTY) == Key(0, Mode.MAJOR)
