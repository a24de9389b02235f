"""Bar-exact: every stem has the frames that the design's formula gives, and every note starts on its tick's sample."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import make_song, style_song
from resonantgen.instruments.stem import StemStream
from resonantgen.music.notes import Note, Role
from resonantgen.music.time import Meter, TempoMap
from resonantgen.session.values import Take

TEMPOS = ("97.3", "133.7", "20", "400", "61.07")
METERS = ("2/4", "3/4", "4/4", "5/4", "6/8", "7/8", "9/8", "11/8", "12/8")
RATES = (44_100, 48_000, 88_200, 96_000)


def frames_of(bars: int, meter: str, tempo: str, rate: int) -> int:
    """The design's formula, written out again: ticks at 480 a quarter, rounded once."""
    numerator, denominator = map(int, meter.split("/"))
    ticks = Fraction(bars * numerator * 4 * 480, denominator)
    return round(ticks * 60 * rate / (480 * Fraction(tempo)))


@pytest.mark.slow
@settings(max_examples=25)
@given(st.sampled_from(TEMPOS), st.sampled_from(METERS), st.sampled_from(RATES), st.integers(1, 3), st.integers(0, 99))
def test_every_stem_has_exactly_the_frames_of_its_bars(tempo: str, meter: str, rate: int, bars: int, seed: int) -> None:
    song = make_song(
        "house without melody",
        seed,
        bars=bars if tempo != "20" else 1,
        audible=True,
        tempo=tempo,
        meter=meter,
        sample_rate=rate,
    )
    expected = frames_of(song.settings.bars, meter, tempo, rate)
    for stem in song.stems.values():
        assert stem.shape == (expected, 2)
    assert song.mix.shape == (expected, 2)


def first_pass(take: Take, notes: list[Note]) -> np.ndarray:
    tempo, bars = take.recipe.settings.tempo, take.recipe.settings.bars
    stream, size = StemStream(take.role, take.sound, tempo), tempo.meter.bar_ticks
    return np.concatenate([stream.next_bar([n for n in notes if n.start_ticks // size == bar]) for bar in range(bars)])


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("style_id", "tempo", "rate"), [("techno", "97.3", 44_100), ("trance", "133.7", 96_000)])
def test_notes_start_within_a_sample_of_their_tick(style_id: str, tempo: str, rate: int, role: Role) -> None:
    """Taking a note away leaves the sound as it was up to that note's sample, and changes it from there on."""
    song = style_song(style_id, 3, bars=1, tempo=tempo, sample_rate=rate)
    take, exact = song.takes[role], TempoMap(Fraction(tempo), Meter(), rate)
    notes = list(take.score)
    whole = first_pass(take, notes)
    assert len(whole) == frames_of(1, "4/4", tempo, rate)
    for note in notes[:6]:
        without = first_pass(take, [other for other in notes if other is not note])
        changed = np.flatnonzero((whole != without).any(axis=1))
        assert len(changed), f"{note} is not heard"
        expected = round(Fraction(note.start_ticks * 60 * rate, 480) / Fraction(tempo))
        assert exact.sample_at(note.start_ticks) == expected
        assert expected <= changed[0] <= expected + 1, f"{note} is heard from {changed[0]}, not {expected}"


def test_a_tempo_change_keeps_the_notes() -> None:
    song = style_song("rock", 5, tempo="120")
    again = style_song("rock", 5, tempo="97.3")
    assert {role: song.score(role) for role in Role} == {role: again.score(role) for role in Role}
    assert again.settings == replace(song.settings, tempo_bpm=Fraction("97.3"))
