"""What is read of public sets of music is what is in them, and what is held out is never trained on."""

from __future__ import annotations

import zlib
from itertools import pairwise
from pathlib import Path

import pytest

from music_archives import midi_bytes, write_archive, write_freedoom, write_groove, write_pop909
from resonantgen.errors import BadValue
from resonantgen.music.notes import Role
from resonantgen.music.theory import Chord, Key, Mode
from resonantgen.training.corpora import Split, corpora
from resonantgen.training.corpora.piece import split_of
from resonantgen.training.corpora.pop909 import parse_chord
from resonantgen.training.corpora.timed_midi import read_timed


def test_notes_are_where_the_tempo_changes_put_them() -> None:
    notes = [(0, 1, 60, 100), (4, 2, 62, 90), (8, 1, 64, 80)]
    midi = read_timed(midi_bytes({"lead": notes}, tempos=((0, 120.0), (4, 60.0), (6, 240.0))), "test")
    [track] = midi.tracks
    # Four quarters at 120, two at 60, then 240.
    assert [note.start_seconds for note in track.notes] == pytest.approx([0.0, 2.0, 4.5])
    assert [note.duration_seconds for note in track.notes] == pytest.approx([0.5, 2.0, 0.25])
    assert [(note.pitch, note.velocity) for note in track.notes] == [(60, 100), (62, 90), (64, 80)]
    assert midi.beat_seconds == pytest.approx((0, 0.5, 1, 1.5, 2, 3, 4, 4.25, 4.5))
    assert midi.downbeat_seconds == pytest.approx((0, 2, 4.5))
    assert midi.tempo_bpm == pytest.approx(120)  # which four of the eight quarters have


def test_a_note_off_ends_the_oldest_note_of_its_key() -> None:
    midi = read_timed(midi_bytes({"lead": [(0, 2, 60, 100), (1, 2, 60, 50)]}), "test")
    assert [(n.start_seconds, n.duration_seconds) for n in midi.tracks[0].notes] == [(0.0, 1.0), (0.5, 1.0)]


def test_what_is_no_midi_file_is_named() -> None:
    with pytest.raises(BadValue, match=r"^song 7 is no MIDI file"):
        read_timed(b"RIFF....", "song 7")


def test_groove_is_held_out_as_it_says_itself(tmp_path: Path) -> None:
    write_groove(tmp_path, {"d/1": "train", "d/2": "validation", "d/3": "test"})
    groove = corpora(tmp_path)["groove"]
    assert groove.names(Split.TRAIN, Role.DRUMS) == ("d/1", "d/2")  # the fill is left out
    assert groove.names(Split.HELD_OUT, Role.DRUMS) == ("d/3",)
    assert groove.names(Split.TRAIN, Role.BASS) == ()
    piece = groove.piece("d/2")
    assert (piece.split, piece.style, piece.tempo_bpm) == (Split.TRAIN, "jazz", pytest.approx(120))
    assert len(piece.downbeat_seconds) == 8 and piece.downbeat_seconds[1] == pytest.approx(2.0)
    assert [part.role for part in piece.parts] == [Role.DRUMS]
    assert groove.piece("d/3").split is Split.HELD_OUT


def test_pop909_knows_bars_chords_and_key(tmp_path: Path) -> None:
    write_pop909(tmp_path, ("001",))
    piece = corpora(tmp_path)["pop909"].piece("001")
    assert piece.tempo_bpm == pytest.approx(120)
    assert str(piece.meter) == "4/4"  # whatever the file says
    assert piece.downbeat_seconds[:3] == pytest.approx((0.5, 2.5, 4.5))
    assert piece.key == Key(0, Mode.MAJOR)  # that of the longest stretch
    assert [span.chord for span in piece.chords[:3]] == [None, Chord(0), Chord(9, "m")]
    heard = list(piece.chord_at.values())
    assert heard[:8] == [Chord(0)] * 4 + [Chord(9, "m")] * 4
    assert len(piece.of_role(Role.MELODY)) == 2 and len(piece.of_role(Role.HARMONY)) == 1


def test_pop909_s_bass_is_the_left_hand_one_note_at_a_time(tmp_path: Path) -> None:
    write_pop909(tmp_path, ("001",))
    [bass] = corpora(tmp_path)["pop909"].piece("001").of_role(Role.BASS)
    # Bars of C and A: C2 is the lowest of the first; of the others A3 is above a left hand's notes.
    assert [note.pitch for note in bass.notes] == [36] * 4
    assert all(28 <= note.pitch <= 51 for note in bass.notes)
    assert all(before.end_seconds <= after.start_seconds + 1e-9 for before, after in pairwise(bass.notes))


@pytest.mark.parametrize(
    ("label", "chord"),
    [
        ("N", None),
        ("Bb:min7/b7", Chord(10, "m7")),
        ("C#:sus4(b7)", Chord(1, "7sus4")),
        ("F:hdim7", Chord(5, "m7b5")),
        ("E:minmaj7", Chord(4, "m")),
    ],
)
def test_chords_as_pop909_writes_them(label: str, chord: Chord | None) -> None:
    assert parse_chord(label) == chord


def test_freedoom_s_tracks_get_their_roles(tmp_path: Path) -> None:
    write_freedoom(tmp_path, ("d_dm01",))
    piece = corpora(tmp_path)["freedoom"].piece("d_dm01")
    roles = {part.program: part.role for part in piece.parts if part.role is not Role.DRUMS}
    assert roles == {33: Role.BASS, 81: Role.BASS, 30: Role.HARMONY, 80: Role.MELODY}  # and no helicopter
    assert len(piece.of_role(Role.DRUMS)) == 1
    assert piece.tempo_bpm == pytest.approx(90, rel=1e-5)


def test_one_name_in_ten_is_held_out(tmp_path: Path) -> None:
    names = tuple(f"{number:03}" for number in range(1, 41))
    write_pop909(tmp_path, names, bars=2)
    pop909 = corpora(tmp_path)["pop909"]
    held_out = pop909.names(Split.HELD_OUT, Role.MELODY)
    assert held_out == tuple(name for name in names if zlib.crc32(name.encode()) % 10 == 0)
    assert held_out and all(split_of(name) is pop909.piece(name).split for name in names)
    assert sorted((*held_out, *pop909.names(Split.TRAIN, Role.MELODY))) == list(names)


def test_composed_pieces_have_all_roles_and_their_truth(tmp_path: Path) -> None:
    composed = corpora(tmp_path)["composed"]
    piece = composed.piece("jazz-3")
    assert piece == composed.piece("jazz-3")
    assert [part.role for part in piece.parts] == list(Role) and all(part.notes for part in piece.parts)
    assert piece.key is not None
    assert piece.chords[0].start_seconds == 0.0
    assert all(a.end_seconds == pytest.approx(b.start_seconds) for a, b in pairwise(piece.chords))
    bar = piece.downbeat_seconds[1]
    assert bar == pytest.approx(piece.meter.numerator * 4 / piece.meter.denominator * 60 / piece.tempo_bpm)
    assert 55 < piece.seconds < 75
    train, held_out = (set(composed.names(split, Role.BASS)) for split in (Split.TRAIN, Split.HELD_OUT))
    assert not train & held_out
    assert composed.piece(min(held_out)).split is Split.HELD_OUT


def test_the_bass_of_composed_pieces_plays_their_chords(tmp_path: Path) -> None:
    """The chords are where the notes are, in seconds: most of a bass's notes on bar lines belong to them."""
    hits = total = 0
    for name in ("rock-1", "house-2", "pop-3", "reggae-4"):
        piece = corpora(tmp_path)["composed"].piece(name)
        [bass] = piece.of_role(Role.BASS)
        for downbeat, chord in piece.chord_at.items():
            if downbeat not in piece.downbeat_seconds or chord is None:
                continue
            for note in bass.notes:
                if abs(note.start_seconds - downbeat) < 0.05:
                    hits += note.pitch in chord
                    total += 1
    assert total > 20 and hits / total > 0.85, (hits, total)


def test_missing_and_damaged_archives_are_one_line(tmp_path: Path) -> None:
    found = corpora(tmp_path)
    with pytest.raises(BadValue, match=r"groove-midi.tar.xz is not there"):
        found["groove"].names(Split.TRAIN, Role.DRUMS)
    (tmp_path / "pop909.tar.xz").write_bytes(b"\xfd7zXZ\x00 and then nothing")
    with pytest.raises(BadValue, match=r"pop909.tar.xz cannot be read"):
        found["pop909"].names(Split.TRAIN, Role.BASS)
    write_archive(tmp_path / "freedoom-midi.tar.xz", {"freedoom/musics/a.mid": b"no midi"})
    with pytest.raises(BadValue, match=r"^a is no MIDI file"):
        found["freedoom"].piece("a")
