"""What a style says about bass: the `[bass]` section of a file in presets/styles.

A pattern has a rhythm in the notation of `patterns.py` and, in the same shape, a tone for each stroke:

    R  the chord's root          3 5 7  its third, fifth, seventh       L  the fifth below the root
    8  the root an octave up     2 4 6  scale steps above the root      A  leads to the next chord's root
    W  walks: a step towards the next chord's root, a chord tone on the beat
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from resonantgen.generators.grammars.patterns import check_form, parse_pattern

TONES = "R2345678LAW"
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class KickRelation(StrEnum):
    """Where the bass plays, seen from the kick."""

    WITH = "with"
    BETWEEN = "between"


class BassPattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bass line of one or more bars."""

    name: str  # as shown: "rolling sixteenths"
    rhythm: str
    tones: str
    gate: Annotated[float, msgspec.Meta(ge=0.1, le=1.0)] = (
        0.9  # how much of the time until the next onset a note sounds
    )
    longest_beats: Annotated[float, msgspec.Meta(ge=0.1, le=8)] = 4.0  # and at most so many quarters

    def __post_init__(self) -> None:
        strokes = [stroke for bar in parse_pattern(self.rhythm, self.tones) for beat in bar for stroke in beat]
        unknown = sorted({stroke.tone for stroke in strokes} - set(TONES))
        if unknown:
            raise ValueError(f'"{unknown[0]}" is no tone; tones: {" ".join(TONES)}')


class BassGrammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `[bass]` section."""

    kick: KickRelation
    follow: Share  # how much it goes with the kick, or keeps away from it
    low: Annotated[int, msgspec.Meta(ge=28, le=36)] = 29  # roots lie within the octave from here (MIDI)
    velocity: Annotated[float, msgspec.Meta(ge=0.3, le=1.1)] = 1.0
    push_ticks: Annotated[int, msgspec.Meta(ge=-20, le=40)] = 0  # how late against the grid where no kick sounds
    loose_velocity: Annotated[int, msgspec.Meta(ge=0, le=16)] = 4
    glide: Share = 0.0  # how likely a note ties into a different next one
    color: Share = 0.0  # how likely a weak root becomes another tone of the chord
    grows_on: Literal[4, 8, 16] = 8  # the grid on which busier lines find room for more notes
    turnaround: Share = 0.5  # how likely a phrase ends in a lead to the next
    forms: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("AAAB", "AABA", "ABAC", "ABAB")
    patterns: Annotated[list[BassPattern], msgspec.Meta(min_length=2)]

    def __post_init__(self) -> None:
        for form in self.forms:
            check_form(form)
