"""Keys, modes, chords, roman numerals and voice leading. Pitch classes are 0 (C) to 11 (B), pitches are MIDI keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, pairwise

from resonantgen.errors import BadValue, quoted

SHARPS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_LINE_OF_FIFTHS = "FCGDAEB"


class Mode(StrEnum):
    MAJOR = "major"
    MINOR = "minor"
    DORIAN = "dorian"
    PHRYGIAN = "phrygian"
    LYDIAN = "lydian"
    MIXOLYDIAN = "mixolydian"
    HARMONIC_MINOR = "harmonic minor"

    @property
    def intervals(self) -> tuple[int, ...]:
        """Semitones of the seven degrees above the tonic."""
        return _INTERVALS[self]

    @property
    def is_minor(self) -> bool:
        return self.intervals[2] == 3


_INTERVALS = {
    Mode.MAJOR: (0, 2, 4, 5, 7, 9, 11),
    Mode.MINOR: (0, 2, 3, 5, 7, 8, 10),
    Mode.DORIAN: (0, 2, 3, 5, 7, 9, 10),
    Mode.PHRYGIAN: (0, 1, 3, 5, 7, 8, 10),
    Mode.LYDIAN: (0, 2, 4, 6, 7, 9, 11),
    Mode.MIXOLYDIAN: (0, 2, 4, 5, 7, 9, 10),
    Mode.HARMONIC_MINOR: (0, 2, 3, 5, 7, 8, 11),
}
# How far the mode's signature is from that of the major key on the same tonic, in fifths.
_SIGNATURE_SHIFT = {
    Mode.MAJOR: 0,
    Mode.MINOR: -3,
    Mode.DORIAN: -2,
    Mode.PHRYGIAN: -4,
    Mode.LYDIAN: 1,
    Mode.MIXOLYDIAN: -1,
    Mode.HARMONIC_MINOR: -3,
}


# Other words for a mode, and how chord symbols write it.
_MODE_WORDS = {mode.value: mode for mode in Mode} | {
    "": Mode.MAJOR,
    "M": Mode.MAJOR,
    "m": Mode.MINOR,
    "maj": Mode.MAJOR,
    "min": Mode.MINOR,
    "ionian": Mode.MAJOR,
    "aeolian": Mode.MINOR,
    "natural minor": Mode.MINOR,
}


def name_at_fifth(fifths: int) -> str:
    """The note so many fifths above C (0), with one accidental at most: 1 is G, -2 is Bb, 6 is F#, 13 is G, not F##."""
    alteration, letter = divmod(fifths + 1, 7)
    if not -1 <= alteration <= 1:
        return SHARPS[fifths * 7 % 12]
    return _LINE_OF_FIFTHS[letter] + ("b", "", "#")[alteration + 1]


def parse_pitch_class(text: str) -> int:
    """Read "F#", "Bb", "E♭". Raises BadValue."""
    match = re.fullmatch(r"([A-Ga-g])([#♯b♭]?)", text.strip())
    if match is None:
        raise BadValue(f"{quoted(text)} is no note name. Names look like: C, F#, Bb.")
    shift = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}[match[2]]
    return (_LETTERS[match[1].upper()] + shift) % 12


@dataclass(frozen=True, slots=True)
class Key:
    """A tonic (pitch class) and a mode."""

    tonic: int
    mode: Mode = Mode.MINOR

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read "A minor", "F# major", "D dorian", "Am", "Bb" (major). Raises BadValue."""
        match = re.fullmatch(r"([A-Ga-g][#♯b♭]?)(.*)", text.strip())
        if match is not None:
            word = " ".join(match[2].replace("-", " ").split())
            mode = _MODE_WORDS.get(word) or _MODE_WORDS.get(word.lower())
            if mode is not None:
                return cls(parse_pitch_class(match[1]), mode)
        raise BadValue(f'{quoted(text)} is no key. Keys look like: "A minor", "F# major", "D dorian".')

    @property
    def fifths(self) -> int:
        """Sharps (positive) or flats (negative) in the key signature, -6 to 6."""
        fifths = (self.tonic * 7 + _SIGNATURE_SHIFT[self.mode] + 6) % 12 - 6
        return 6 if fifths == -6 and self.mode in (Mode.MAJOR, Mode.LYDIAN) else fifths

    def name_of(self, pitch: int) -> str:
        """The name of a pitch or pitch class as it is spelled in this key: 1 b2 2 b3 3 4 #4 5 b6 6 b7 7 of the tonic.

        So A minor has G# and Bb, C major Bb and F#, Eb minor Cb.
        """
        lowest = self.fifths - _SIGNATURE_SHIFT[self.mode] - 5  # the b2: five fifths below the tonic
        return name_at_fifth(lowest + (pitch * 7 - lowest) % 12)

    def __str__(self) -> str:
        return f"{self.name_of(self.tonic)} {self.mode.value}"

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """The seven pitch classes in scale order, tonic first."""
        return tuple((self.tonic + step) % 12 for step in self.mode.intervals)

    def __contains__(self, pitch: int) -> bool:
        return pitch % 12 in self.pitch_classes

    def pitch(self, degree: int, octave: int = 4) -> int:
        """The MIDI pitch of a scale degree (0 is the tonic; any integer) above the tonic in an octave (C4 is 60)."""
        return 12 * (octave + 1) + self.tonic + 12 * (degree // 7) + self.mode.intervals[degree % 7]

    def degree_of(self, pitch: int) -> int:
        """The scale degree (0 is the tonic in octave 4) of a pitch; one out of the scale counts as the degree below."""
        octaves, step = divmod(pitch - 60 - self.tonic, 12)
        return 7 * octaves + max(i for i, interval in enumerate(self.mode.intervals) if interval <= step)

    def nearest(self, pitch: int) -> int:
        """The pitch itself if it is in the scale, otherwise the nearest one that is (the lower of two)."""
        return min((p for p in range(pitch - 2, pitch + 3) if p in self), key=lambda p: (abs(p - pitch), p))

    def shift(self, pitch: int, degrees: int) -> int:
        """A pitch of the scale moved by so many scale degrees."""
        degree = self.degree_of(self.nearest(pitch)) + degrees
        return self.pitch(degree)

    def transposed(self, semitones: int) -> Key:
        return Key((self.tonic + semitones) % 12, self.mode)


# Chord qualities: symbol -> semitones above the root, in the order in which a voicing can least do without them.
QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "5": (0, 7),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "6": (0, 4, 9, 7),
    "m6": (0, 3, 9, 7),
    "7": (0, 4, 10, 7),
    "maj7": (0, 4, 11, 7),
    "m7": (0, 3, 10, 7),
    "m7b5": (0, 3, 10, 6),
    "dim7": (0, 3, 9, 6),
    "7sus4": (0, 5, 10, 7),
    "add9": (0, 4, 2, 7),
    "madd9": (0, 3, 2, 7),
    "9": (0, 4, 10, 2, 7),
    "maj9": (0, 4, 11, 2, 7),
    "m9": (0, 3, 10, 2, 7),
}


@dataclass(frozen=True, slots=True)
class Chord:
    """A root (pitch class) and a quality, one of QUALITIES."""

    root: int
    quality: str = ""

    def __post_init__(self) -> None:
        assert 0 <= self.root < 12 and self.quality in QUALITIES, self

    @classmethod
    def parse(cls, text: str) -> Chord:
        """Read a symbol such as "Am", "F#m7b5", "Bbmaj7". Raises BadValue."""
        match = re.fullmatch(r"([A-G][#b]?)(.*)", text.strip())
        if match is None or match[2] not in QUALITIES:
            raise BadValue(f"{quoted(text)} is no chord. Chords look like: Am, F#m7b5, Bbmaj7.")
        return cls(parse_pitch_class(match[1]), match[2])

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Root first, then the others in the order in which a voicing can least do without them."""
        return tuple((self.root + step) % 12 for step in QUALITIES[self.quality])

    def __contains__(self, pitch: int) -> bool:
        return pitch % 12 in self.pitch_classes

    def symbol(self, key: Key) -> str:
        """The chord's name as spelled in a key: "Bbmaj7"."""
        return key.name_of(self.root) + self.quality

    @property
    def fifth(self) -> int:
        """Pitch class of the fifth (perfect, diminished or augmented)."""
        steps = QUALITIES[self.quality]
        return (self.root + next((s for s in steps if s in (6, 7, 8)), 7)) % 12

    @property
    def third(self) -> int:
        """Pitch class of the third, of the fourth or second that replaces it, or of the fifth in a power chord."""
        steps = QUALITIES[self.quality]
        return (self.root + next((s for s in (3, 4, 5, 2) if s in steps), 7)) % 12


_NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII")
_ROMAN = re.compile(r"([b#]?)(VII|VI|V|IV|III|II|I|vii|vi|v|iv|iii|ii|i)(°|o|\+)?(.*)")


def roman_chord(numeral: str, key: Key) -> Chord:
    """The chord of a roman numeral in a key: "i", "bVII", "V7", "ii7b5", "IVmaj7", "vii°", "Isus4", "i5".

    The degree is the key's own (so VI in a minor key is its sixth degree); b and # then move it by a semitone *from the
    major scale's degree*, as is usual in popular music: bVII in A minor and in A major is G. Lower case is minor.
    Raises BadValue.
    """
    match = _ROMAN.fullmatch(numeral.strip())
    if match is None:
        raise BadValue(f"{quoted(numeral)} is no roman numeral. Numerals look like: i, bVII, V7, ii7b5, IVmaj7.")
    accidental, digits, mark, suffix = match.groups()
    degree = _NUMERALS.index(digits.upper())
    intervals = Mode.MAJOR.intervals if accidental else key.mode.intervals
    step = intervals[degree] + {"b": -1, "": 0, "#": 1}[accidental]
    minor = digits.islower()
    if mark in ("°", "o"):
        quality = {"": "dim", "7": "dim7"}.get(suffix, "?")
    elif mark == "+":
        quality = "aug" if not suffix else "?"
    elif minor:
        quality = suffix if suffix in ("5", "sus2", "sus4", "7sus4") else {"7b5": "m7b5"}.get(suffix, "m" + suffix)
    else:
        quality = suffix
    if quality not in QUALITIES:
        known = ", ".join(filter(None, QUALITIES))
        raise BadValue(f"{quoted(numeral)} is no chord that is known here. Qualities: {known}.")
    return Chord((key.tonic + step) % 12, quality)


@dataclass(frozen=True, slots=True)
class ChordSpan:
    """A chord and where it sounds, in ticks from the clip's start."""

    chord: Chord
    start_ticks: int
    duration_ticks: int

    @property
    def end_ticks(self) -> int:
        return self.start_ticks + self.duration_ticks


@dataclass(frozen=True, slots=True)
class Progression:
    """Chords that follow each other without a gap from tick 0 to the clip's end."""

    spans: tuple[ChordSpan, ...]

    def __post_init__(self) -> None:
        position = 0
        for span in self.spans:
            assert span.start_ticks == position and span.duration_ticks > 0, self
            position = span.end_ticks

    @property
    def length_ticks(self) -> int:
        return self.spans[-1].end_ticks if self.spans else 0

    def at(self, tick: int) -> ChordSpan:
        """The span that sounds at a tick."""
        assert self.spans, "an empty progression"
        return next((span for span in self.spans if tick < span.end_ticks), self.spans[-1])

    def between(self, start_ticks: int, end_ticks: int) -> tuple[ChordSpan, ...]:
        """The spans that overlap [start, end), whole."""
        return tuple(s for s in self.spans if s.start_ticks < end_ticks and s.end_ticks > start_ticks)


def voicings(chord: Chord, low: int, high: int, size: int) -> list[tuple[int, ...]]:
    """Every voicing with `size` different pitches in [low, high], sorted upward.

    Each contains the chord's most needed tones (as many as `size` allows) and none spans more than two octaves.
    """
    needed = set(chord.pitch_classes[:size])
    pitches = [p for p in range(low, high + 1) if p in chord]
    return [
        voicing
        for voicing in combinations(pitches, size)
        if voicing[-1] - voicing[0] <= 24 and needed <= {p % 12 for p in voicing}
    ]


def lead_voices(previous: Sequence[int] | None, chord: Chord, low: int, high: int, size: int) -> tuple[int, ...]:
    """The voicing of a chord that moves least from the previous one (or, without one, lies closest to the middle).

    Cost: semitones moved by each voice, plus a little for wide or clustered spacing; ties go to the lower voicing.
    Falls back to fewer voices where the range is too narrow.
    """
    for count in range(size, 0, -1):
        choices = voicings(chord, low, high, count)
        if choices:
            break
    else:
        raise BadValue(f"No tone of the chord lies between {low} and {high}.")
    middle = (low + high) / 2

    def cost(voicing: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        if previous and len(previous) == len(voicing):
            movement: float = sum(abs(a - b) for a, b in zip(sorted(previous), voicing, strict=True))
        elif previous:
            movement = sum(min(abs(p - q) for q in previous) for p in voicing)
        else:
            movement = 2 * abs(sum(voicing) / len(voicing) - middle)
        gaps = [b - a for a, b in pairwise(voicing)]
        spacing = sum(0.5 * max(0, gap - 9) + 2.0 * (gap == 1) + 1.0 * (gap == 2) for gap in gaps)
        drift = 0.15 * abs(sum(voicing) / len(voicing) - middle)
        return movement + spacing + drift, voicing

    return min(choices, key=cost)


def scale_share(pitches: Iterable[int], key: Key) -> float:
    """Share of pitches that lie in a key's scale; 1.0 when there are none."""
    inside = [pitch in key for pitch in pitches]
    return sum(inside) / len(inside) if inside else 1.0
