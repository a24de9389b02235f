"""The notation for rhythms in styles: bars of four beats, each beat a word of 1, 2, 3, 4, 6 or 8 equal steps.

    "X... x.3. X.a. x..1 | X... x.3. X..5 x.x."

    X  always, accented        x  usually               0-9  a plain stroke with that chance in ten
    O  always, plain           o  usually, softly       a-j  a ghost stroke with a chance of 0 to 9 in ten
    .  nothing                 y  as x, but goes first    |  bar line

"Usually" strokes all sound in a style as it is; they thin out when the music gets sparser, off-beats first. Chances
rise and fall with it, so that "0" only sounds when more is asked for. `level` below is that wish, -1 to 1 and around
0."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from resonantgen.music.time import TICKS_PER_QUARTER

BEATS = 4  # in a bar of the notation
_ALWAYS, _USUALLY, _PERHAPS = "XO", "xoy", "0123456789abcdefghij"
_STRENGTHS = {"X": 1.0, "O": 0.86, "x": 0.8, "o": 0.58, "y": 0.78}
_PLAIN, _GHOST = 0.72, 0.36
# How sparse it must get, at least and at most, before a usual stroke goes: by metric level (beat, eighth, finer).
_USUAL_FLOORS = ((0.5, 0.95), (0.25, 0.6), (0.05, 0.4))


class Presence(Enum):
    """How surely a stroke sounds."""

    ALWAYS = "always"
    USUALLY = "usually"
    PERHAPS = "perhaps"


@dataclass(frozen=True, slots=True)
class Stroke:
    """One stroke of a pattern."""

    tick: int  # within its beat, of 480
    presence: Presence
    strength: float  # of its velocity, 0 to 1
    chance: float = 1.0
    ghost: bool = False
    goes_first: bool = False  # when it gets sparser, before other usual strokes
    triplet: bool = False  # the beat is divided by three
    tone: str = "R"  # bass only: see grammars/bass.py

    def sounds(self, level: float, metric_level: int, roll: float) -> bool:
        """Whether it sounds at a level of busyness. Monotone: what sounds at one level sounds at every higher one."""
        if self.presence is Presence.ALWAYS:
            return True
        if self.presence is Presence.USUALLY:
            first, last = _USUAL_FLOORS[2 if self.goes_first else metric_level]
            return level > -(first + (last - first) * roll)
        return roll < self.chance + level


Beat = tuple[Stroke, ...]
Pattern = tuple[tuple[Beat, ...], ...]  # bars of BEATS beats


@lru_cache(maxsize=4096)
def parse_pattern(text: str, tones: str = "") -> Pattern:
    """Read the notation. `tones`, if given, has the same shape and a tone for each stroke. Raises ValueError."""
    bars = [bar.split() for bar in text.split("|")]
    tone_bars = [bar.split() for bar in (tones or text).split("|")]
    if [[len(beat) for beat in bar] for bar in bars] != [[len(beat) for beat in bar] for bar in tone_bars]:
        raise ValueError(f'tones "{tones}" do not have the shape of "{text}"')
    if any(len(bar) != BEATS for bar in bars):
        raise ValueError(f'"{text}" must have {BEATS} beats, separated by blanks, in every bar')
    return tuple(
        tuple(_beat(beat, tone if tones else "R" * len(beat)) for beat, tone in zip(bar, tone_bar, strict=True))
        for bar, tone_bar in zip(bars, tone_bars, strict=True)
    )


def _beat(word: str, tones: str) -> Beat:
    if len(word) not in (1, 2, 3, 4, 6, 8):
        raise ValueError(f'beat "{word}" must have 1, 2, 3, 4, 6 or 8 steps')
    step = TICKS_PER_QUARTER // len(word)
    strokes = []
    for index, (sign, tone) in enumerate(zip(word, tones, strict=True)):
        if sign == ".":
            continue
        ghost = "a" <= sign <= "j"
        if sign in _ALWAYS:
            presence, chance = Presence.ALWAYS, 1.0
        elif sign in _USUALLY:
            presence, chance = Presence.USUALLY, 1.0
        elif sign in _PERHAPS:
            presence, chance = Presence.PERHAPS, (_PERHAPS.index(sign) % 10) / 10
        else:
            raise ValueError(f'"{sign}" in beat "{word}" is none of X O x o y 0-9 a-j and "."')
        strength = _STRENGTHS.get(sign, _GHOST if ghost else _PLAIN)
        strokes.append(Stroke(index * step, presence, strength, chance, ghost, sign == "y", len(word) % 3 == 0, tone))
    return tuple(strokes)


def check_form(form: str) -> None:
    """Raises ValueError unless a form is one letter, A to D, for each of two to eight bars, A first."""
    if not (2 <= len(form) <= 8 and form.startswith("A") and set(form) <= set("ABCD")):
        raise ValueError(f'"{form}" is no form; forms look like: AABA')
