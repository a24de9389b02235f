"""The effects a preset names in its `[[inserts]]` tables: typed data, checked when read.

Light to import: no synthesis is loaded here. `chain.py` turns these values into running effects.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal, TypeAlias

import msgspec

from resonantgen.music.time import TICKS_PER_QUARTER

Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
Hertz: TypeAlias = Annotated[float, msgspec.Meta(ge=20, le=20_000)]
LfoHertz: TypeAlias = Annotated[float, msgspec.Meta(ge=0.01, le=20)]
Decibels: TypeAlias = Annotated[float, msgspec.Meta(ge=-24, le=24)]

# Lengths of time in a tempo: a part of a whole note, dotted ("1/8d") or as a triplet ("1/8t").
NoteValue: TypeAlias = Literal[
    "1/32", "1/16t", "1/16", "1/16d", "1/8t", "1/8", "1/8d", "1/4t", "1/4", "1/4d", "1/2t", "1/2", "1/2d", "1/1"
]


def note_value_ticks(value: NoteValue) -> int:
    """Length of a note value: "1/8d" is three sixteenths, 360 ticks."""
    scale = {"d": Fraction(3, 2), "t": Fraction(2, 3)}.get(value[-1], Fraction(1))
    return int(4 * TICKS_PER_QUARTER * Fraction(value.rstrip("dt")) * scale)


class Insert(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """What every table of `[[inserts]]` has: `kind`, the name of the effect."""


class Drive(Insert, frozen=True, tag="drive"):
    """Saturation. A peak of -12 dBFS keeps its level; below it sounds rise, above it they are pressed flat."""

    character: Literal["warm", "tube", "hard", "fold"] = "warm"
    amount_db: Annotated[float, msgspec.Meta(ge=0, le=48)] = 12.0  # gain into the curve
    mix: Share = 1.0


class Chorus(Insert, frozen=True, tag="chorus"):
    """Copies on gently moving delays. Short and with feedback: a flanger. One voice and `mix = 1`: vibrato."""

    rate_hz: LfoHertz = 0.6
    depth_ms: Annotated[float, msgspec.Meta(ge=0, le=20)] = 2.0  # how far the delay moves to each side
    delay_ms: Annotated[float, msgspec.Meta(ge=0.5, le=40)] = 12.0
    voices: Annotated[int, msgspec.Meta(ge=1, le=6)] = 2  # on each side
    feedback: Annotated[float, msgspec.Meta(ge=-0.9, le=0.9)] = 0.0
    mix: Share = 0.5


class Delay(Insert, frozen=True, tag="delay"):
    """Echoes in the tempo; `mix` is the level of the first echo beside the untouched sound."""

    time: NoteValue = "1/8d"
    time_right: NoteValue | None = None  # when the right side has a time of its own
    ping_pong: bool = True
    feedback: Annotated[float, msgspec.Meta(ge=0, le=0.95)] = 0.4
    low_cut_hz: Hertz = 250.0  # both act on every round
    high_cut_hz: Hertz = 5000.0
    mix: Share = 0.25


class Reverb(Insert, frozen=True, tag="reverb"):
    """A room; `mix` is its level beside the untouched sound (1: as strong as the sound itself)."""

    decay_seconds: Annotated[float, msgspec.Meta(ge=0.1, le=12)] = 1.6  # until 60 dB down
    high_decay: Annotated[float, msgspec.Meta(ge=0.05, le=1)] = (
        0.4  # decay of the highest frequencies, as a share of it
    )
    size: Annotated[float, msgspec.Meta(ge=0.2, le=2)] = 1.0
    predelay_ms: Annotated[float, msgspec.Meta(ge=0, le=200)] = 12.0
    low_cut_hz: Hertz = 180.0  # of what is sent to it
    mix: Share = 0.15


class Eq(Insert, frozen=True, tag="eq"):
    """One band of equalisation; `gain_db` matters for peaks and shelves only."""

    shape: Literal["peak", "low_shelf", "high_shelf", "high_pass", "low_pass"]
    frequency_hz: Hertz
    gain_db: Decibels = 0.0
    q: Annotated[float, msgspec.Meta(ge=0.2, le=10)] = 0.7071


class Compressor(Insert, frozen=True, tag="compressor"):
    """Evens out levels; both sides move together."""

    threshold_db: Annotated[float, msgspec.Meta(ge=-60, le=0)] = -18.0
    ratio: Annotated[float, msgspec.Meta(ge=1, le=20)] = 3.0
    knee_db: Annotated[float, msgspec.Meta(ge=0, le=24)] = 6.0
    attack_ms: Annotated[float, msgspec.Meta(ge=0.1, le=200)] = 10.0
    release_ms: Annotated[float, msgspec.Meta(ge=5, le=2000)] = 120.0
    makeup_db: Decibels = 0.0
    mix: Share = 1.0


class Pump(Insert, frozen=True, tag="pump"):
    """Ducks on the beat and swells back, as a compressor keyed by a kick drum on every beat does."""

    period: NoteValue = "1/4"
    depth: Share = 0.7
    curve: Annotated[float, msgspec.Meta(ge=0.3, le=4)] = 1.0  # 1: an even swell; higher: stays down for longer


class Tremolo(Insert, frozen=True, tag="tremolo"):
    """A level that swings, in the tempo (`period`) or free (`rate_hz`); `pan` moves it from side to side instead."""

    rate_hz: LfoHertz = 5.0
    period: NoteValue | None = None
    depth: Share = 0.5
    pan: bool = False


class Phaser(Insert, frozen=True, tag="phaser"):
    """Notches that wander between two frequencies."""

    rate_hz: LfoHertz = 0.3
    low_hz: Hertz = 300.0
    high_hz: Hertz = 2500.0
    stages: Literal[2, 4, 6, 8] = 4
    feedback: Annotated[float, msgspec.Meta(ge=-0.9, le=0.9)] = 0.3
    mix: Share = 0.5

    def __post_init__(self) -> None:
        if self.low_hz > self.high_hz:
            raise ValueError("low_hz <= high_hz must hold")


class Crush(Insert, frozen=True, tag="crush"):
    """The grit of an early sampler: fewer bits and a lower sample rate, aliasing on purpose."""

    bits: Annotated[int, msgspec.Meta(ge=4, le=16)] = 12
    rate_hz: Annotated[float, msgspec.Meta(ge=4000, le=44_100)] = 26_000.0
    mix: Share = 1.0


class Width(Insert, frozen=True, tag="width"):
    """Widens the image; a mono fold-down stays as it is. 0 leaves it, -1 makes it mono, 1 is very wide."""

    amount: Annotated[float, msgspec.Meta(ge=-1, le=1)] = 0.5


AnyInsert: TypeAlias = Drive | Chorus | Delay | Reverb | Eq | Compressor | Pump | Tremolo | Phaser | Crush | Width
Inserts: TypeAlias = Annotated[list[AnyInsert], msgspec.Meta(max_length=12)]
