"""What a style says about harmony: the `[harmony]` section of a file in presets/styles."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
STEPS_PER_PATTERN_BAR = 16  # patterns are written in sixteenths of a 4/4 bar


class Color(StrEnum):
    """How rich the chords are that are derived for a mode for which the style lists none."""

    POWER = "power"
    TRIADS = "triads"
    ADDED = "added ninths"
    SEVENTHS = "sevenths"
    NINTHS = "ninths"


class HarmonyPattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A comping rhythm of one or more bars, in sixteenths of 4/4; blanks are only for the eye.

    `C` the whole chord, accented; `c` the whole chord; `u` its upper voices; `b` its lowest voice; `1` to `6` one
    voice, counted from below (past the top: an octave higher); `.` nothing begins.
    """

    name: str  # as shown: "offbeat stabs"
    rhythm: str
    weight: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    gate: Share = 0.95  # how much of the time until the next onset a note sounds
    longest_beats: Annotated[float, msgspec.Meta(gt=0, le=64)] = 64.0  # and at most so many quarters

    def __post_init__(self) -> None:
        check_rhythm(self.rhythm, "Ccub123456")
        if not self.gate:
            raise ValueError("gate must be more than 0")

    @property
    def steps(self) -> str:
        return self.rhythm.replace(" ", "")


class HarmonyGrammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `[harmony]` section."""

    color: Color
    turnaround: Share  # how likely the last bar leads back to the first
    center: Annotated[int, msgspec.Meta(ge=52, le=74)]  # MIDI pitch around which chords are voiced
    voices: Annotated[int, msgspec.Meta(ge=2, le=6)]  # notes in a whole chord; more where a chord has more tones
    velocity: Annotated[int, msgspec.Meta(ge=30, le=110)]
    humanize: Share = 0.3  # how much velocities (and, at 1, onsets by up to 12 ticks) differ from the grid
    strum_ticks: Annotated[int, msgspec.Meta(ge=0, le=40)] = 0  # from one voice of a whole chord to the next
    patterns: Annotated[list[HarmonyPattern], msgspec.Meta(min_length=1)]


def check_rhythm(rhythm: str, letters: str) -> None:
    """Raises ValueError for a rhythm that is not whole bars of `letters` and dots, or that is silent."""
    steps = rhythm.replace(" ", "")
    unknown = sorted(set(steps) - set(letters) - {"."})
    if unknown:
        raise ValueError(f'"{unknown[0]}" means nothing in a rhythm here; known: {" ".join(letters)} and .')
    if not steps or len(steps) % STEPS_PER_PATTERN_BAR:
        raise ValueError(f"a rhythm has whole bars of {STEPS_PER_PATTERN_BAR} steps, not {len(steps)} steps")
    if not set(steps) - {"."}:
        raise ValueError("a rhythm needs at least one onset")
