"""Finds tempos, keys, meters, bar counts and intervals among the tokens of a prompt.

Each reader is given the tokens and a position, and returns what starts there with the number of tokens it takes.
What is clearly meant as one of them but is impossible ("tempo 900", "Q minor", "4/5") raises BadValue, as the command
line's options do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from resonantgen.errors import BadValue
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import MAX_TEMPO_BPM, MIN_TEMPO_BPM, Meter, check_bars, parse_tempo
from resonantgen.prompt.tokens import PAUSE, Token

MAX_TRANSPOSE_SEMITONES = 36


@dataclass(frozen=True, slots=True)
class Interval:
    """A distance in pitch. `direction` is 1 (up), -1 (down) or 0 where the words beside it must tell."""

    semitones: int
    direction: int


Quantity = Fraction | Key | Mode | Meter | int | Interval  # a Fraction is a tempo in bpm, an int a number of bars
Found = tuple[Quantity, int]

_SMALL = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_NUMBER_WORDS = {word: n for n, word in enumerate(_SMALL.split(), start=1)} | {"twenty": 20, "thirty": 30, "sixty": 60}
_BETWEEN_TEMPO_AND_NUMBER = {"of", "to", "at", "is", "around", "about"}
_MODES: dict[str, Mode] = {mode.value: mode for mode in Mode if " " not in mode.value} | {
    "maj": Mode.MAJOR,
    "min": Mode.MINOR,
    "ionian": Mode.MAJOR,
    "aeolian": Mode.MINOR,
}
_ACCIDENTALS = {"sharp": "#", "flat": "b", "#": "#", "b": "b"}
_TONIC = re.compile(r"([a-g](?:#|b)?)(m|min|maj)?")
_ALSO_WORDS = {"am", "fm", "em", "dm", "gm", "cm", "bm", "ebm"}  # "I am", "an fm bass"
_BARS = {"bar", "bars", "measure", "measures"}
_BEFORE_KEY = {"in", "to", "of", "key", "into"}
_AFTER_KEY = {PAUSE, "and", "with", "at", "for", "but", "key", "please", "instead", "now"}
_BEFORE_MODE = {"it", "this", "that", "everything", "all", "go", "more", "track", "song", "piece", "chords", "harmony"}
_MINOR_THINGS = {"change", "changes", "tweak", "adjustment", "detail", "edit", "fix", "difference", "lift", "role"}
_INTERVALS = {
    "semitone": 1,
    "semitones": 1,
    "half step": 1,
    "half steps": 1,
    "whole step": 2,
    "whole steps": 2,
    "tone": 2,
    "tones": 2,
    "whole tone": 2,
    "minor second": 1,
    "major second": 2,
    "second": 2,
    "minor third": 3,
    "major third": 4,
    "third": 4,
    "fourth": 5,
    "perfect fourth": 5,
    "tritone": 6,
    "fifth": 7,
    "perfect fifth": 7,
    "minor sixth": 8,
    "major sixth": 9,
    "sixth": 9,
    "minor seventh": 10,
    "major seventh": 11,
    "seventh": 10,
    "octave": 12,
    "octaves": 12,
}
_UP, _DOWN = {"up", "higher", "above"}, {"down", "lower", "below"}


def read_quantity(tokens: Sequence[Token], at: int) -> Found | None:
    """The tempo, meter, bar count, interval or key that starts at a position. Raises BadValue."""
    readers: tuple[Callable[[Sequence[Token], int], Found | None], ...] = (
        _meter,
        _tempo,
        _bars,
        _interval,
        _key,
        _mode,
    )
    for reader in readers:
        found = reader(tokens, at)
        if found is not None:
            return found
    return None


def sets_the_music(tokens: Sequence[Token], at: int) -> bool:
    """Whether "in C", "at 124" or "in a minor key" starts at a position. Raises BadValue."""
    if _text(tokens, at) not in ("in", "at"):
        return False
    for start in range(at, len(tokens)):
        if read_quantity(tokens, start) is not None:
            return True
        if _text(tokens, start) not in ("in", "at", "a", "the", "key", "of"):
            return False
    return False


def repetition(tokens: Sequence[Token], at: int) -> int:
    """The words of "every four bars", which starts at a position and is no length; 0 if it does not."""
    repeats = _text(tokens, at) in ("every", "each") and _text(tokens, at + 2) in _BARS
    return 3 if repeats and _integer(tokens, at + 1) is not None else 0


def bare_tempo(tokens: Sequence[Token], at: int) -> Fraction | None:
    """A number that stands alone and can only be a tempo, such as the one of "uplifting trance 138"."""
    token = tokens[at]
    if token.kind != "number" or not 50 <= float(token.text[:9]) <= 220:
        return None
    return parse_tempo(token.text)


def _text(tokens: Sequence[Token], at: int) -> str:
    """The word at a position; a pause outside."""
    return tokens[at].text if 0 <= at < len(tokens) else PAUSE


def _is_number(tokens: Sequence[Token], at: int) -> bool:
    return 0 <= at < len(tokens) and tokens[at].kind == "number"


def _integer(tokens: Sequence[Token], at: int) -> int | None:
    """A whole number in digits or words, cut off at a million."""
    text = _text(tokens, at)
    if text in _NUMBER_WORDS:
        return _NUMBER_WORDS[text]
    if _is_number(tokens, at) and "." not in text:
        return min(int(text[:9]), 10**6)
    return None


def _meter(tokens: Sequence[Token], at: int) -> Found | None:
    if tokens[at].kind != "meter" or tokens[at].text == "24/7":
        return None
    if tokens[at].text.startswith("1/") and _text(tokens, at - 1) not in ("in", "meter", "time", "signature"):
        return None  # "1/8 notes"
    length = 2 if _text(tokens, at + 1) in ("time", "feel", "meter") else 1
    return Meter.parse(tokens[at].text), length


def _tempo(tokens: Sequence[Token], at: int) -> Found | None:
    """ "128 bpm", "128bpm", "120-124 bpm" (their middle), "tempo 140", "tempo of 97.3", "bpm: 90", "at 97.3"."""
    if tokens[at].kind == "tempo":
        return parse_tempo(tokens[at].text.removesuffix("bpm").replace(",", ".")), 1
    start, announced = at, False
    if _text(tokens, at) in ("tempo", "bpm"):
        start, announced = at + 1, True
        while start < len(tokens) and _text(tokens, start) in _BETWEEN_TEMPO_AND_NUMBER:
            start += 1
    elif _text(tokens, at) in ("at", "around"):
        start = at + 1
    if not _is_number(tokens, start):
        return None
    last = start
    hyphen = _is_number(tokens, start + 1) and tokens[start + 1].start == tokens[start].end + 1
    if hyphen or (_text(tokens, start + 1) == "to" and _is_number(tokens, start + 2)):
        last = start + (1 if hyphen else 2)
    unit = 1 if _text(tokens, last + 1) == "bpm" else 0
    if _text(tokens, last + 1) == "beats":
        unit = 3 if _text(tokens, last + 2) == "per" else 1
    plausible = start > at and MIN_TEMPO_BPM <= float(tokens[start].text[:9]) <= MAX_TEMPO_BPM
    if not (unit or announced or plausible):
        return None
    if not unit and not announced:
        last = start
    tempo = (parse_tempo(tokens[start].text) + parse_tempo(tokens[last].text)) / 2
    return tempo, last - at + 1 + unit


def _bars(tokens: Sequence[Token], at: int) -> Found | None:
    """ "16 bars", "8-bar", "four measures"."""
    count = _integer(tokens, at)
    if count is None or _text(tokens, at + 1) not in _BARS:
        return None
    return check_bars(count), 2


def _interval(tokens: Sequence[Token], at: int) -> Found | None:
    """ "up a fourth", "down 2 octaves", "a semitone higher", "-3 semitones", "by a fifth" (direction 0)."""
    position, direction = at, 0
    if _text(tokens, at) in _UP | _DOWN | {"+", "-"}:
        direction = 1 if _text(tokens, at) in _UP | {"+"} else -1
        position += 1
    if _text(tokens, position) == "by":
        position += 1
    count = _integer(tokens, position)
    if count is not None or _text(tokens, position) in ("a", "an", "half", "another"):
        position += _text(tokens, position) != "half"
    elif direction == 0 and _text(tokens, at) != "by":
        return None
    for length in (2, 1):
        name = " ".join(_text(tokens, i) for i in range(position, position + length))
        if name in _INTERVALS:
            break
    else:
        return None
    position += length
    after = _text(tokens, position)
    if direction == 0 and after in _UP | _DOWN:
        direction = 1 if after in _UP else -1
        position += 1
    if direction == 0 and _text(tokens, at) in ("a", "an") and name.split()[-1] in ("second", "third", "tone"):
        return None  # "a second bass", "a tone like that"
    semitones = _INTERVALS[name] * (1 if count is None else count)
    if semitones > MAX_TRANSPOSE_SEMITONES:
        raise BadValue(f"{semitones} semitones are too far to transpose. Use at most {MAX_TRANSPOSE_SEMITONES}.")
    return Interval(semitones, direction), position - at


def _key(tokens: Sequence[Token], at: int) -> Found | None:
    """ "F# minor", "c sharp minor", "Bb major", "D dorian"; without a mode only where it must be a key."""
    text = _text(tokens, at)
    match = _TONIC.fullmatch(text.removesuffix("'s"))
    if match is None:
        _check_for_impossible_key(tokens, at)
        return None
    tonic, mode_at = match[1], at + 1
    accidental = _ACCIDENTALS.get(_text(tokens, at + 1)) if len(text) == 1 else None
    if accidental and (_text(tokens, at + 1) != "b" or _mode_name(tokens, at + 2)):
        tonic, mode_at = tonic + accidental, at + 2
    mode = {"m": Mode.MINOR, "min": Mode.MINOR, "maj": Mode.MAJOR}.get(match[2] or "")
    before, length = _text(tokens, at - 1), mode_at - at
    if mode is None:
        named = _mode_name(tokens, mode_at)
        if named is not None:
            mode, words = named
            if tonic == "a" and _is_article(tokens, at, mode_at + words):
                return None
            return Key.parse(f"{_cased(tonic)} {mode.value}"), mode_at + words - at
        spelled_out = len(tonic) == 2 and before == PAUSE  # "techno, Eb"
        if not (before in _BEFORE_KEY or spelled_out) or not _ends(tokens, mode_at):
            return None
        mode = Mode.MAJOR
    elif text in _ALSO_WORDS and before not in _BEFORE_KEY:
        alone = before == PAUSE and _ends(tokens, mode_at)
        after_tempo = before == "bpm" or (at > 0 and tokens[at - 1].kind == "tempo")
        if text == "ebm" or not (alone or after_tempo):
            return None
    length += _text(tokens, at + length) == "key"
    return Key.parse(f"{_cased(tonic)} {mode.value}"), length


def _cased(tonic: str) -> str:
    return tonic[0].upper() + tonic[1:]


def _mode_name(tokens: Sequence[Token], at: int) -> tuple[Mode, int] | None:
    """The mode that is named at a position, and its words."""
    if _text(tokens, at) == "harmonic" and _text(tokens, at + 1) == "minor":
        return Mode.HARMONIC_MINOR, 2
    mode = _MODES.get(_text(tokens, at))
    return None if mode is None else (mode, 1)


def _is_article(tokens: Sequence[Token], at: int, after: int) -> bool:
    """Whether the "a" of "a minor …" is the article: "in a minor key", "a minor change", "a minor third"."""
    following = _text(tokens, after)
    if following in ("key", "scale", "chord", "chords", "mode", "third", "sixth", "seventh", "second", "feel", "mood"):
        return True
    if _text(tokens, at - 1) in _BEFORE_KEY:
        return False
    return following in _MINOR_THINGS


def _ends(tokens: Sequence[Token], at: int) -> bool:
    """Whether a phrase is over at a position."""
    return _text(tokens, at) in _AFTER_KEY or _is_number(tokens, at)


def _check_for_impossible_key(tokens: Sequence[Token], at: int) -> None:
    """Raises BadValue for "Q minor" and "key of H"."""
    text, following = _text(tokens, at), _text(tokens, at + 1)
    if not re.fullmatch(r"[h-z]#?", text):
        return
    names_mode = following in ("minor", "major") or (following in _MODES and len(following) > 3)
    key_of = _text(tokens, at - 1) == "of" and _text(tokens, at - 2) == "key"
    if key_of or (names_mode and text != "i"):
        Key.parse(f"{text.upper()} {following}".replace(PAUSE, "").strip())


def _mode(tokens: Sequence[Token], at: int) -> Found | None:
    """A mode without a tonic: "in minor", "dorian", "minor key", "major chords"."""
    named = _mode_name(tokens, at)
    if named is None or _text(tokens, at) in ("maj", "min"):
        return None
    mode, length = named
    following = _text(tokens, at + length)
    if _text(tokens, at) in ("minor", "major"):
        of_music = following in ("key", "scale", "mode", "chord", "chords", "feel", "tonality")
        announced = _text(tokens, at - 1) in {*_BEFORE_KEY, *_BEFORE_MODE, PAUSE}
        if not (of_music or (announced and _ends(tokens, at + length))):
            return None
    return mode, length + (following in ("key", "scale", "mode", "feel", "tonality"))
