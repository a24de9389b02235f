"""Keys, chords and numerals are read as musicians write them; voices are led smoothly."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from resonantgen.errors import BadValue
from resonantgen.music.theory import (
    QUALITIES,
    Chord,
    ChordSpan,
    Key,
    Mode,
    Progression,
    lead_voices,
    name_at_fifth,
    parse_pitch_class,
    roman_chord,
    scale_share,
    voicings,
)

keys = st.builds(Key, st.integers(0, 11), st.sampled_from(Mode))
chords = st.builds(Chord, st.integers(0, 11), st.sampled_from(sorted(QUALITIES)))


@pytest.mark.parametrize(
    ("text", "tonic", "mode"),
    [
        ("A minor", 9, Mode.MINOR),
        ("Am", 9, Mode.MINOR),
        ("a min", 9, Mode.MINOR),
        ("A", 9, Mode.MAJOR),
        ("AM", 9, Mode.MAJOR),
        ("Bb", 10, Mode.MAJOR),
        ("bb minor", 10, Mode.MINOR),
        ("B minor", 11, Mode.MINOR),
        ("b", 11, Mode.MAJOR),
        ("F# major", 6, Mode.MAJOR),
        ("F♯m", 6, Mode.MINOR),
        ("E♭ Maj", 3, Mode.MAJOR),
        ("D dorian", 2, Mode.DORIAN),
        ("  e   Phrygian ", 4, Mode.PHRYGIAN),
        ("F lydian", 5, Mode.LYDIAN),
        ("G-mixolydian", 7, Mode.MIXOLYDIAN),
        ("A harmonic minor", 9, Mode.HARMONIC_MINOR),
        ("C# harmonic-minor", 1, Mode.HARMONIC_MINOR),
        ("G aeolian", 7, Mode.MINOR),
        ("Cb major", 11, Mode.MAJOR),
    ],
)
def test_keys_are_read(text: str, tonic: int, mode: Mode) -> None:
    assert Key.parse(text) == Key(tonic, mode)


BAD_TEXTS = [
    "",
    " ",
    "H",
    "H minor",
    "A mino",
    "A minorr",
    "A##",
    "minor",
    "A minor\nB",
    "1",
    "\x00",
    "é",
    "A" * 10_000,
    "A " * 5_000,
]


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_bad_keys_give_one_short_line(text: str) -> None:
    with pytest.raises(BadValue) as caught:
        Key.parse(text)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 140 and "A minor" in message


@given(keys)
def test_a_key_reads_back_from_its_name(key: Key) -> None:
    assert Key.parse(str(key)) == key


@pytest.mark.parametrize(
    ("text", "fifths"),
    [
        ("C major", 0),
        ("A minor", 0),
        ("D dorian", 0),
        ("E phrygian", 0),
        ("F lydian", 0),
        ("G mixolydian", 0),
        ("A harmonic minor", 0),
        ("F# major", 6),
        ("Db major", -5),
        ("Eb minor", -6),
        ("C# minor", 4),
        ("B lydian", 6),
    ],
)
def test_key_signatures(text: str, fifths: int) -> None:
    assert Key.parse(text).fifths == fifths


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("A minor", "A Bb B C C# D D# E F F# G G#"),
        ("C major", "C Db D Eb E F F# G Ab A Bb B"),
        ("F# major", "F# G G# A A# B B# C# D D# E E#"),
        ("Eb minor", "Eb Fb F Gb G Ab A Bb Cb C Db D"),
        ("D dorian", "D Eb E F F# G G# A Bb B C C#"),
    ],
)
def test_notes_are_spelled_as_the_key_asks(key: str, names: str) -> None:
    read = Key.parse(key)
    assert [read.name_of(read.tonic + step) for step in range(12)] == names.split()


@given(keys)
def test_the_scale_uses_each_letter_once(key: Key) -> None:
    assume(key != Key(8, Mode.HARMONIC_MINOR))  # its F## is written G
    assert sorted(key.name_of(p)[0] for p in key.pitch_classes) == list("ABCDEFG")


@given(keys, st.integers(0, 127))
def test_a_spelled_name_is_that_pitch(key: Key, pitch: int) -> None:
    assert parse_pitch_class(key.name_of(pitch)) == pitch % 12


def test_names_on_the_line_of_fifths() -> None:
    assert [name_at_fifth(n) for n in (-8, -2, -1, 0, 5, 6, 12, 13, -9)] == [
        "Fb",
        "Bb",
        "F",
        "C",
        "B",
        "F#",
        "B#",
        "G",
        "A",
    ]


@given(keys, st.integers(-35, 35), st.integers(-14, 14))
def test_degrees_and_pitches_invert_each_other(key: Key, degree: int, step: int) -> None:
    pitch = key.pitch(degree)
    assert pitch in key
    assert key.degree_of(pitch) == degree
    assert key.shift(pitch, step) == key.pitch(degree + step)


@given(keys, st.integers(2, 125))
def test_nearest_is_in_the_scale_and_no_other_is_nearer(key: Key, pitch: int) -> None:
    nearest = key.nearest(pitch)
    assert nearest in key
    assert all(abs(other - pitch) >= abs(nearest - pitch) for other in range(pitch - 3, pitch + 4) if other in key)


@given(keys, st.integers(-24, 24))
def test_transposing_moves_every_note(key: Key, semitones: int) -> None:
    moved = key.transposed(semitones)
    assert [(p + semitones) % 12 for p in key.pitch_classes] == list(moved.pitch_classes)


@given(chords, keys)
def test_a_chord_reads_back_from_its_symbol(chord: Chord, key: Key) -> None:
    assert Chord.parse(chord.symbol(key)) == chord


@pytest.mark.parametrize("text", ["", "H", "Cmaj13#11", "A\nm", "c", "C/E", "A" * 10_000, "Cmajor"])
def test_bad_chords(text: str) -> None:
    with pytest.raises(BadValue, match="no chord"):
        Chord.parse(text)


@pytest.mark.parametrize(
    ("quality", "third", "fifth"),
    [
        ("", 4, 7),
        ("m", 3, 7),
        ("dim", 3, 6),
        ("aug", 4, 8),
        ("5", 7, 7),
        ("sus2", 2, 7),
        ("sus4", 5, 7),
        ("9", 4, 7),
        ("m7b5", 3, 6),
    ],
)
def test_thirds_and_fifths(quality: str, third: int, fifth: int) -> None:
    chord = Chord(2, quality)
    assert (chord.third, chord.fifth) == ((2 + third) % 12, (2 + fifth) % 12)


@pytest.mark.parametrize(
    ("numeral", "key", "symbol"),
    [
        ("i", "A minor", "Am"),
        ("VI", "A minor", "F"),
        ("bVI", "A minor", "F"),
        ("bVII", "A minor", "G"),
        ("bVII", "A major", "G"),
        ("bIII", "A minor", "C"),
        ("VII", "A harmonic minor", "G#"),
        ("V7", "A minor", "E7"),
        ("ii7b5", "A minor", "Bm7b5"),
        ("ii°", "A minor", "Bdim"),
        ("viio7", "A harmonic minor", "G#dim7"),
        ("#iv°", "C major", "F#dim"),
        ("IVmaj7", "C major", "Fmaj7"),
        ("I+", "C major", "Caug"),
        ("Isus4", "C major", "Csus4"),
        ("i5", "E phrygian", "E5"),
        ("bII", "E phrygian", "F"),
        ("II", "F lydian", "G"),
        ("iadd9", "C minor", "Cmadd9"),
        ("v9", "C minor", "Gm9"),
        ("V7sus4", "Eb major", "Bb7sus4"),
    ],
)
def test_roman_numerals(numeral: str, key: str, symbol: str) -> None:
    assert roman_chord(numeral, Key.parse(key)) == Chord.parse(symbol)


@pytest.mark.parametrize(
    "numeral", ["", "VIII", "iI", "H", "bb7", "V13", "I°maj7", "I+7", "imaj13", "7", "IV\nV", "V" * 10_000]
)
def test_bad_roman_numerals(numeral: str) -> None:
    with pytest.raises(BadValue) as caught:
        roman_chord(numeral, Key(0))
    assert str(caught.value).isprintable()


@given(keys, st.sampled_from(["I", "II", "III", "IV", "V", "VI", "VII", "i", "ii", "iii", "iv", "v", "vi", "vii"]))
def test_a_plain_numeral_has_its_root_in_the_scale(key: Key, numeral: str) -> None:
    assert roman_chord(numeral, key).root in key


# One octave always holds a complete voicing; 12 semitones more leave room to move.
ranges = st.integers(36, 72).flatmap(lambda low: st.tuples(st.just(low), st.integers(low + 19, low + 28)))


@given(chords, ranges, st.integers(1, 5))
def test_voicings_hold_what_is_needed_and_keep_to_the_range(chord: Chord, span: tuple[int, int], size: int) -> None:
    low, high = span
    for voicing in voicings(chord, low, high, size):
        assert list(voicing) == sorted(set(voicing)) and len(voicing) == size
        assert low <= voicing[0] and voicing[-1] <= high and voicing[-1] - voicing[0] <= 24
        assert all(pitch in chord for pitch in voicing)
        assert set(chord.pitch_classes[:size]) <= {pitch % 12 for pitch in voicing}


@given(st.lists(chords, min_size=2, max_size=6), ranges, st.integers(3, 4))
def test_voices_move_little(progression: list[Chord], span: tuple[int, int], size: int) -> None:
    """No voice leaps by more than a sixth, and on average they move less than a whole tone and a half."""
    low, high = span
    voicing: tuple[int, ...] | None = None
    moves: list[int] = []
    for chord in progression:
        previous, voicing = voicing, lead_voices(voicing, chord, low, high, size)
        assert len(voicing) == size and low <= voicing[0] <= voicing[-1] <= high
        assert set(chord.pitch_classes[:size]) <= {pitch % 12 for pitch in voicing}
        if previous:
            moves += [abs(a - b) for a, b in zip(previous, voicing, strict=True)]
    assert max(moves) <= 9
    assert sum(moves) / len(moves) <= 3.5


def test_a_cadence_keeps_its_common_tones() -> None:
    tonic = lead_voices(None, Chord(0), 55, 76, 3)
    subdominant = lead_voices(tonic, Chord(5), 55, 76, 3)
    assert set(tonic) & set(subdominant), "C and F share C"
    assert lead_voices(tonic, Chord(0), 55, 76, 3) == tonic


def test_a_narrow_range_gets_fewer_voices_and_an_impossible_one_an_error() -> None:
    assert lead_voices(None, Chord(0), 60, 62, 3) == (60,)
    with pytest.raises(BadValue, match="between 61 and 63"):
        lead_voices(None, Chord(0), 61, 63, 3)


def test_a_progression_is_found_by_tick() -> None:
    spans = (ChordSpan(Chord(0), 0, 960), ChordSpan(Chord(5), 960, 960), ChordSpan(Chord(7), 1920, 1920))
    progression = Progression(spans)
    assert progression.length_ticks == 3840
    assert [progression.at(tick) for tick in (0, 959, 960, 3839, 99_999)] == [
        spans[0],
        spans[0],
        spans[1],
        spans[2],
        spans[2],
    ]
    assert progression.between(900, 1920) == spans[:2]


def test_a_gap_in_a_progression_is_refused() -> None:
    with pytest.raises(AssertionError):
        Progression((ChordSpan(Chord(0), 0, 960), ChordSpan(Chord(5), 961, 960)))


def test_scale_share() -> None:
    assert scale_share([60, 62, 64, 66], Key(0, Mode.MAJOR)) == 0.75
    assert scale_share([], Key(0)) == 1.0
