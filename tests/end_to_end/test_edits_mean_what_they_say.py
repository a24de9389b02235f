"""Edits in words, from the words to the notes: what they ask happens, and nothing else."""

from __future__ import annotations

from collections import Counter
from statistics import fmean

import pytest

from lab import Song, style_song
from resonantgen.errors import PromptError
from resonantgen.generators.style import style_ids
from resonantgen.music.notes import DrumPiece, Role


def changed(before: Song, after: Song) -> set[Role]:
    return {role for role in before.takes if after.takes.get(role) is not before.takes[role]}


def mean_pitch(song: Song, role: Role) -> float:
    return fmean(note.pitch for note in song.score(role))


def pieces(song: Song) -> Counter[int]:
    return Counter(note.pitch for note in song.score(Role.DRUMS))


@pytest.fixture(scope="module")
def techno() -> Song:
    return style_song("techno", 5)


@pytest.mark.parametrize("style_id", style_ids())
def test_up_a_fourth_moves_key_and_melody_by_five_semitones_and_leaves_the_drums(style_id: str) -> None:
    """To the semitone on average for the melody; a harmony may invert a chord: within two."""
    before = style_song(style_id, 5)
    after = before.edited("up a fourth")
    assert after.settings.key == before.settings.key.transposed(5)
    assert mean_pitch(after, Role.MELODY) - mean_pitch(before, Role.MELODY) == pytest.approx(5, abs=1)
    assert mean_pitch(after, Role.HARMONY) - mean_pitch(before, Role.HARMONY) == pytest.approx(5, abs=2)
    assert after.takes[Role.DRUMS] is before.takes[Role.DRUMS]


def test_an_octave_moves_the_tracks_and_not_the_key(techno: Song) -> None:
    after = techno.edited("down an octave")
    assert after.settings.key == techno.settings.key
    assert mean_pitch(after, Role.MELODY) - mean_pitch(techno, Role.MELODY) == pytest.approx(-12, abs=1)


def test_leaving_a_track_out_leaves_the_others_alone(techno: Song) -> None:
    after = techno.edited("without melody")
    assert changed(techno, after) == {Role.MELODY} and Role.MELODY not in after.takes
    with pytest.raises(PromptError, match="no melody to leave out"):
        after.edited("without melody")


def test_no_hi_hats_removes_the_hats_and_keeps_the_kick(techno: Song) -> None:
    after = techno.edited("no hi-hats")
    hats = {DrumPiece.CLOSED_HAT, DrumPiece.OPEN_HAT, DrumPiece.PEDAL_HAT}
    assert any(pieces(techno)[hat] for hat in hats) and not any(pieces(after)[hat] for hat in hats)
    assert pieces(after)[DrumPiece.KICK] == pieces(techno)[DrumPiece.KICK]
    assert changed(techno, after) == {Role.DRUMS}


def test_half_time_drums_put_the_backbeat_on_three() -> None:
    before = style_song("rock", 5, bars=8)
    after = before.edited("half-time drums")

    def snares_on(song: Song, beats: set[int]) -> int:
        snares = [note for note in song.score(Role.DRUMS) if note.pitch == DrumPiece.SNARE]
        return sum(round(note.start_ticks / 480) % 4 + 1 in beats for note in snares if note.velocity > 80)

    assert snares_on(before, {2, 4}) >= 12 and snares_on(before, {3}) <= 2
    assert snares_on(after, {3}) >= 6 and snares_on(after, {2, 4}) <= 6  # what is left on 2 and 4 are fills


def test_tempo_and_key_reach_every_track(techno: Song) -> None:
    after = techno.edited("128 bpm, F# minor")
    assert (str(after.settings.key), after.settings.tempo_bpm) == ("F# minor", 128)
    assert changed(techno, after) == set(Role)


@pytest.mark.parametrize("words", ["make the drums louder", "xyzzy plugh the bass"])
def test_words_that_are_not_understood_change_nothing(techno: Song, words: str) -> None:
    with pytest.raises(PromptError, match="Not understood"):
        techno.edited(words)


@pytest.mark.parametrize("words", ["", "another idea", "try again"])
def test_asking_for_another_idea_changes_every_track(techno: Song, words: str) -> None:
    assert changed(techno, techno.edited(words)) == set(Role)


def test_less_reverb_adds_no_notes(techno: Song) -> None:
    after = techno.edited("less reverb")
    for role in Role:
        assert len(after.score(role)) == len(techno.score(role)), role
        assert after.takes[role].sound.macros.space < techno.takes[role].sound.macros.space
