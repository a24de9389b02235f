"""What a style says about drums: the `[drums]` section of a file in presets/styles.

Each piece of the kit has a line: a table `[drums.lines.<piece>]` with alternative patterns, of which a seed picks
one, in the notation of `patterns.py`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from resonantgen.generators.grammars.fills import FILLS
from resonantgen.generators.grammars.patterns import check_form, parse_pattern
from resonantgen.music.notes import DrumPiece

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Ticks = Annotated[int, msgspec.Meta(ge=-30, le=40)]
PIECES = {piece.word: piece for piece in DrumPiece}


class Backbeat(StrEnum):
    """Where the bar's answer to the downbeat falls; it decides how other meters are made from 4/4."""

    TWO_AND_FOUR = "two and four"
    THREE = "three"


class DrumLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one piece plays."""

    patterns: Annotated[list[str], msgspec.Meta(min_length=1)]
    velocity: Annotated[float, msgspec.Meta(ge=0.2, le=1.1)] = 1.0
    push_ticks: Ticks = 0  # how late (or early, if negative) against the grid
    chance: Share = 1.0  # that a take has this piece at all
    lift: Share = 0.0  # that it waits for the second half of a section
    rolls: Share = 0.0  # that a beat ends in a roll
    same_as: str = ""  # picks the alternative of the same number as this piece does
    replaces: list[str] = []  # pieces that are silent while this one plays

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            parse_pattern(pattern)
        for word in [*self.replaces, *filter(None, [self.same_as])]:
            if word not in PIECES:
                raise ValueError(f'"{word}" is no drum piece; pieces: {", ".join(PIECES)}')


class DrumGrammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `[drums]` section."""

    feel: str  # in a few words, as shown: "four to the floor"
    backbeat: Backbeat = Backbeat.TWO_AND_FOUR
    loose_ticks: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0  # how far a stroke may stray from its time
    loose_velocity: Annotated[int, msgspec.Meta(ge=0, le=16)] = 4  # and from its velocity
    crash: Share = 0.3  # how likely a section starts with a crash
    fills: list[str] = []  # names in fills.py
    fill_chance: Share = 0.4  # in the middle of a section; its last bar always has one
    follow_bass: Share = 0.6  # how much the kick goes with a bass that is there already
    forms: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("AAAB", "AABA", "ABAC", "AAAA")
    lines: dict[
        Literal[
            "kick", "rim", "snare", "clap", "low_tom", "closed_hat", "pedal_hat", "open_hat", "mid_tom", "crash",
            "high_tom", "ride", "tambourine", "cowbell", "high_conga", "low_conga", "shaker",
        ],
        DrumLine,
    ]  # fmt: skip

    def __post_init__(self) -> None:
        unknown = [name for name in self.fills if name not in FILLS]
        if unknown:
            raise ValueError(f'"{unknown[0]}" is no fill; fills: {", ".join(FILLS)}')
        for form in self.forms:
            check_form(form)
        if "kick" not in self.lines:
            raise ValueError("a style needs a kick line")
