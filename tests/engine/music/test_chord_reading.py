"""A progression that is played, in any of the ways in which harmony is played, is read back."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonantgen.music.analysis import read_chords
from resonantgen.music.notes import Note, Score
from resonantgen.music.theory import QUALITIES, Chord, ChordSpan, Key, Mode, Progression, lead_voices, roman_chord
from resonantgen.music.time import Meter

C_MAJOR, A_MINOR = Key(0, Mode.MAJOR), Key(9, Mode.MINOR)


def progression(symbols: str, ticks_each: int = 1920) -> Progression:
    chords = [Chord.parse(symbol) for symbol in symbols.split()]
    return Progression(tuple(ChordSpan(chord, n * ticks_each, ticks_each) for n, chord in enumerate(chords)))


def voiced(planted: Progression, size: int = 4) -> list[tuple[ChordSpan, tuple[int, ...]]]:
    """Each chord with a voicing of up to `size` voices, led from the one before."""
    parts, voicing = [], None
    for span in planted.spans:
        count = min(size, len(span.chord.pitch_classes)) if span.chord.quality != "5" else 2
        voicing = lead_voices(voicing, span.chord, 50, 76, count)
        parts.append((span, voicing))
    return parts


def block(start: int, ticks: int, voicing: Sequence[int]) -> list[Note]:
    return [Note(start, pitch, ticks, 80) for pitch in voicing]


def play(planted: Progression, manner: str, size: int = 4) -> Score:
    """A progression in one of the manners that the pattern generators and people use."""
    dice = random.Random(manner)
    notes: list[Note] = []
    for span, voicing in voiced(planted, size):
        start, end = span.start_ticks, span.end_ticks
        match manner:
            case "block":
                notes += block(start, end - start, voicing)
            case "staccato quarters":
                notes += [note for tick in range(start, end, 480) for note in block(tick, 60, voicing)]
            case "off-beats":
                notes += [note for tick in range(start + 240, end, 480) for note in block(tick, 100, voicing)]
            case "arpeggio in eighths" | "arpeggio in sixteenths":
                step = 240 if manner == "arpeggio in eighths" else 120
                ticks = range(start, end, step)
                notes += [Note(t, voicing[i % len(voicing)], step - 10, 80) for i, t in enumerate(ticks)]
            case "broken, ringing":
                notes += [Note(start + 120 * i, pitch, end - start - 120 * i, 80) for i, pitch in enumerate(voicing)]
            case "strummed by a human":
                late = dice.randint(-20, 20)
                notes += [Note(max(0, start + late + 10 * i), p, end - start - 60, 80) for i, p in enumerate(voicing)]
            case "pushed by an eighth":
                notes += block(max(0, start - 240), end - start, voicing)
            case "pushed stabs":
                notes += [note for t in range(start - 240, end - 240, 720) for note in block(max(0, t), 150, voicing)]
            case "charleston, swung":
                notes += block(start, 200, voicing) + block(start + 800, 100, voicing)
    return Score.of(notes, planted.length_ticks)


MANNERS = [
    "block",
    "staccato quarters",
    "off-beats",
    "arpeggio in eighths",
    "arpeggio in sixteenths",
    "broken, ringing",
    "strummed by a human",
    "pushed by an eighth",
    "pushed stabs",
    "charleston, swung",
]


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("ticks_each", [1920, 960])
@pytest.mark.parametrize(
    "symbols",
    [
        "Am F C G",
        "C Am F G",
        "Dm7 G7 Cmaj7 Am7",
        "Fmaj7 Em7 Dm9 G7sus4",
        "Am Dm E7 Am",
        "Cadd9 G Am F",
        "Bm7b5 E7 Am Am",
    ],
)
def test_progressions_are_read_back(symbols: str, ticks_each: int, manner: str) -> None:
    planted = progression(symbols, ticks_each)
    read = read_chords(play(planted, manner), Meter())
    for span in planted.spans:
        for tick in range(span.start_ticks, span.end_ticks, 480):
            assert set(read.at(tick).chord.pitch_classes) == set(span.chord.pitch_classes), (tick, read)


@pytest.mark.parametrize("manner", MANNERS)
def test_names_are_exact_where_the_notes_leave_no_choice(manner: str) -> None:
    planted = progression("Am F C G")
    assert read_chords(play(planted, manner, 3), Meter(), A_MINOR) == planted


@pytest.mark.parametrize("manner", ["block", "arpeggio in sixteenths"])
@pytest.mark.parametrize("quality", sorted(QUALITIES))
@pytest.mark.parametrize("root", [0, 4, 9])
def test_every_quality_in_root_position(root: int, quality: str, manner: str) -> None:
    planted = Progression((ChordSpan(Chord(root, quality), 0, 1920),))
    pitches = [48 + root, *(60 + tone for tone in QUALITIES[quality][1:])]
    voicing = tuple(p if p == 48 + root else p + root for p in pitches)
    if manner == "block":
        score = Score.of(block(0, 1920, voicing), 1920)
    else:
        score = Score.of([Note(120 * i, voicing[i % len(voicing)], 110, 80) for i in range(16)], 1920)
    assert read_chords(score, Meter(), Key(root, Mode.MAJOR)) == planted


@given(
    st.lists(st.builds(Chord, st.integers(0, 11), st.sampled_from(sorted(QUALITIES))), min_size=1, max_size=8),
    st.sampled_from(["block", "staccato quarters"]),
)
def test_any_chords_in_full_voicings_are_read_back(chords: list[Chord], manner: str) -> None:
    planted = Progression(tuple(ChordSpan(chord, 1920 * n, 1920) for n, chord in enumerate(chords)))
    read = read_chords(play(planted, manner, 5), Meter())
    for span in planted.spans:
        assert set(read.at(span.start_ticks + 480).chord.pitch_classes) == set(span.chord.pitch_classes)


@pytest.mark.parametrize(
    "meter", [Meter(3, 4), Meter(5, 4), Meter(6, 8), Meter(7, 8), Meter(12, 8), Meter(2, 4)], ids=str
)
def test_other_meters(meter: Meter) -> None:
    planted = progression("Am F C G", meter.bar_ticks)
    for score in (play(planted, "block", 3), play(planted, "arpeggio in eighths", 3)):
        assert read_chords(score, meter, A_MINOR) == planted


def test_a_waltz_with_the_root_on_one_and_the_rest_after() -> None:
    notes: list[Note] = []
    for bar, (root, *upper) in enumerate([(48, 64, 67), (45, 60, 64), (41, 57, 60), (43, 59, 62)]):
        start = 1440 * bar
        notes += [Note(start, root, 200, 80), *block(start + 480, 200, upper), *block(start + 960, 200, upper)]
    assert read_chords(Score.of(notes, 4 * 1440), Meter(3, 4), C_MAJOR) == progression("C Am F G", 1440)


def test_one_chord_a_beat() -> None:
    planted = progression("C G Am Em F C F G", 480)
    assert read_chords(play(planted, "block", 3), Meter(), C_MAJOR) == planted


def test_equal_neighbours_are_merged() -> None:
    read = read_chords(play(progression("Am Am F F"), "staccato quarters", 3), Meter(), A_MINOR)
    assert [(span.chord.symbol(A_MINOR), span.duration_ticks) for span in read.spans] == [("Am", 3840), ("F", 3840)]


def test_silence_continues_the_chord_and_silence_at_the_start_belongs_to_the_first() -> None:
    notes = block(1920, 480, (57, 60, 64)) + block(5 * 1920, 480, (53, 57, 60))
    read = read_chords(Score.of(notes, 8 * 1920), Meter(), A_MINOR)
    assert [(span.chord.symbol(A_MINOR), span.start_ticks, span.end_ticks) for span in read.spans] == [
        ("Am", 0, 5 * 1920),
        ("F", 5 * 1920, 8 * 1920),
    ]


@pytest.mark.parametrize(
    ("pitches", "key", "symbol"),
    [
        ((48, 64, 67, 69), C_MAJOR, "C6"),  # C is lowest
        ((57, 60, 64, 67), C_MAJOR, "Am7"),  # A is lowest
        ((52, 57, 60, 67), C_MAJOR, "Am7"),  # neither: a seventh chord is the more usual name
        ((48, 55, 62), C_MAJOR, "Csus2"),
        ((43, 60, 62), C_MAJOR, "Gsus4"),
        ((53, 56, 59, 62), Key(0, Mode.HARMONIC_MINOR), "Fdim7"),  # lowest
        ((48, 55), C_MAJOR, "C5"),
        ((48, 55, 60), C_MAJOR, "C5"),
    ],
)
def test_several_names_for_the_same_notes(pitches: tuple[int, ...], key: Key, symbol: str) -> None:
    read = read_chords(Score.of(block(0, 1920, pitches), 1920), Meter(), key)
    assert [span.chord for span in read.spans] == [Chord.parse(symbol)]


def test_the_key_decides_between_names_when_the_lowest_note_does_not() -> None:
    inversion = Score.of(block(0, 1920, (60, 66, 69, 76)), 1920)  # C F# A E: Am6 or F#m7b5
    assert read_chords(inversion, Meter(), A_MINOR).spans[0].chord == Chord.parse("Am6")
    assert read_chords(inversion, Meter(), Key(4, Mode.MINOR)).spans[0].chord == Chord.parse("F#m7b5")


def test_passing_notes_change_nothing() -> None:
    notes = [*block(0, 1920, (48, 52, 55)), Note(960, 62, 120, 80), Note(1080, 65, 120, 80), Note(1200, 64, 720, 80)]
    notes += block(1920, 1920, (45, 52, 60))
    assert read_chords(Score.of(notes, 3840), Meter(), C_MAJOR) == progression("C Am")


def test_power_chords_that_change_within_the_bar() -> None:
    notes = (
        block(0, 960, (45, 52)) + block(960, 960, (43, 50)) + block(1920, 960, (41, 48)) + block(2880, 960, (43, 50))
    )
    assert read_chords(Score.of(notes, 3840), Meter(), A_MINOR) == progression("A5 G5 F5 G5", 960)


def test_borrowed_chords_are_read_as_played() -> None:
    chords = [roman_chord(numeral, C_MAJOR) for numeral in ("I", "iv", "bVII", "V7")]
    planted = Progression(tuple(ChordSpan(chord, 1920 * n, 1920) for n, chord in enumerate(chords)))
    assert read_chords(play(planted, "block"), Meter(), C_MAJOR) == planted


@pytest.mark.parametrize(("key", "symbol"), [(A_MINOR, "Am"), (Key(2, Mode.MIXOLYDIAN), "D"), (None, "C")])
def test_without_notes_the_tonic_sounds(key: Key | None, symbol: str) -> None:
    read = read_chords(Score((), 3840), Meter(), key)
    assert read.spans == (ChordSpan(Chord.parse(symbol), 0, 3840),)


@given(
    st.lists(
        st.builds(Note, st.integers(0, 7679), st.integers(30, 90), st.integers(1, 4000), st.integers(1, 127)),
        max_size=30,
    )
)
def test_any_notes_give_a_progression_as_long_as_the_score(notes: list[Note]) -> None:
    read = read_chords(Score.of(notes, 7680), Meter())
    assert read.length_ticks == 7680
    assert all(a.chord != b.chord for a, b in zip(read.spans, read.spans[1:], strict=False))
