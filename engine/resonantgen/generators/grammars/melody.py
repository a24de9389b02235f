"""What a style says about melody: the `[melody]` section of a file in presets/styles."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from resonantgen.generators.grammars.harmony import check_rhythm

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Contour(StrEnum):
    """The shape of a phrase."""

    ARCH = "arch"
    VALLEY = "valley"
    RISE = "rise"
    FALL = "fall"
    WAVE = "wave"
    FLAT = "flat"


class Palette(StrEnum):
    """The tones that a melody walks through between chord tones."""

    SCALE = "scale"
    PENTATONIC = "pentatonic"
    BLUES = "blues"
    CHORD = "chord"


class MelodyGrammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `[melody]` section.

    `rhythms` are motifs of one or more bars in sixteenths of 4/4: `X` an accented note, `x` a note, `-` a light one,
    `.` nothing begins; blanks are only for the eye. `forms` are orders of phrases, each letter a phrase of
    `phrase_bars` bars; a letter that comes again is developed (sequence, inversion, truncation, another ending).
    """

    summary: str  # as shown: "sparse, answers the stab"
    rhythms: Annotated[list[str], msgspec.Meta(min_length=1)]
    forms: Annotated[list[Annotated[str, msgspec.Meta(pattern="^[A-D]+$")]], msgspec.Meta(min_length=1)]
    phrase_bars: Literal[1, 2, 4] = 2
    develop: Share = 0.6  # how often a phrase that comes again is developed
    palette: Palette = Palette.SCALE
    contours: Annotated[list[Contour], msgspec.Meta(min_length=1)]
    center: Annotated[int, msgspec.Meta(ge=64, le=82)]  # MIDI pitch around which it moves
    range_semitones: Annotated[int, msgspec.Meta(ge=7, le=24)]  # from its lowest to its highest note
    leap: Share  # how often it leaps between its main notes instead of stepping
    repeat: Share = 0.15  # how often a note is repeated
    enclosure: Share = (
        0.0  # how often a main note is approached from both sides, chromatically if the style is not diatonic
    )
    rest: Share = 0.2  # share of each phrase that is left to others, at its end
    answer: Share = 0.5  # how strongly it avoids the harmony's onsets
    gate: Share = 0.9  # how much of the time until the next onset a note sounds
    longest_beats: Annotated[float, msgspec.Meta(gt=0, le=16)] = 4.0
    velocity: Annotated[int, msgspec.Meta(ge=30, le=110)]
    humanize: Share = 0.3  # how much velocities (and, at 1, onsets by up to 12 ticks) differ from the grid

    def __post_init__(self) -> None:
        for rhythm in self.rhythms:
            check_rhythm(rhythm, "Xx-")
        if not self.gate:
            raise ValueError("gate must be more than 0")
