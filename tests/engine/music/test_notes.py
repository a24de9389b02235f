"""A score is sorted, stays in its clip, and never has two notes sounding on one key."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonantgen.music.notes import DrumPiece, Note, Score

LENGTH = 4 * 1920
# Few pitches and a coarse grid, so that notes collide often.
notes = st.builds(
    Note,
    start_ticks=st.integers(0, 40).map(lambda n: 240 * n),
    pitch=st.integers(60, 63),
    duration_ticks=st.integers(1, 3000),
    velocity=st.integers(1, 127),
)
note_lists = st.lists(notes, max_size=40)


@given(note_lists)
def test_score_invariants(given_notes: list[Note]) -> None:
    score = Score.of(given_notes, LENGTH)
    assert list(score) == sorted(score)
    assert all(0 <= n.start_ticks < n.end_ticks <= LENGTH for n in score)
    for pitch in {n.pitch for n in score}:
        row = [n for n in score if n.pitch == pitch]
        assert all(a.end_ticks <= b.start_ticks for a, b in pairwise(row))


@given(note_lists)
def test_order_and_repetition_do_not_matter(given_notes: list[Note]) -> None:
    score = Score.of(given_notes, LENGTH)
    shuffled = given_notes[::-1] + given_notes[: len(given_notes) // 2]
    assert Score.of(shuffled, LENGTH) == score
    assert Score.of(score, LENGTH) == score


@given(note_lists)
def test_every_onset_in_the_clip_survives(given_notes: list[Note]) -> None:
    score = Score.of(given_notes, LENGTH)
    wanted = {(n.start_ticks, n.pitch) for n in given_notes if n.start_ticks < LENGTH}
    assert {(n.start_ticks, n.pitch) for n in score} == wanted and len(score) == len(wanted)


@given(note_lists)
def test_of_two_that_start_together_the_louder_stays(given_notes: list[Note]) -> None:
    for note in Score.of(given_notes, LENGTH):
        rivals = [n.velocity for n in given_notes if (n.start_ticks, n.pitch) == (note.start_ticks, note.pitch)]
        assert note.velocity == max(rivals)


@given(note_lists)
def test_the_hash_is_of_the_notes_and_the_length(given_notes: list[Note]) -> None:
    score = Score.of(given_notes, LENGTH)
    assert Score(tuple(replace(note) for note in score), LENGTH).sha256 == score.sha256
    assert Score(score.notes, LENGTH * 2).sha256 != score.sha256
    if score.notes:
        assert Score(score.notes[1:], LENGTH).sha256 != score.sha256


def test_the_hash_is_stable_across_versions() -> None:
    score = Score((Note(0, 36, 120, 100), Note(480, 38, 120, 90)), 1920)
    assert score.sha256 == "e18aee555503c399b7d763e03e404a0a3f0c48c60a2af503873c6235efd8128f"


def test_between_is_half_open() -> None:
    score = Score.of([Note(0, 60, 10, 1), Note(480, 60, 10, 1), Note(960, 60, 10, 1)], 1920)
    assert [n.start_ticks for n in score.between(480, 960)] == [480]


@pytest.mark.parametrize(
    ("start", "pitch", "duration", "velocity"),
    [(-1, 60, 1, 1), (0, 128, 1, 1), (0, -1, 1, 1), (0, 60, 0, 1), (0, 60, 1, 0), (0, 60, 1, 128)],
)
def test_impossible_notes_are_caught(start: int, pitch: int, duration: int, velocity: int) -> None:
    with pytest.raises(AssertionError):
        Note(start, pitch, duration, velocity)


def test_drum_pieces_are_general_midi_keys() -> None:
    assert (DrumPiece.KICK, DrumPiece.SNARE, DrumPiece.CLOSED_HAT, DrumPiece.OPEN_HAT) == (36, 38, 42, 46)
    assert DrumPiece.CLOSED_HAT.word == "closed_hat"
