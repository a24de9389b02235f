"""What the player tells: what the listener will hear, at which frame of the output stream. Frozen values.

Frames count from the first one that was ever written to the ring; bars and beats count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from resonantgen.music.notes import Note, Role
from resonantgen.realtime.material import Grid

SILENT_DB = -120.0  # what a meter shows for silence


@dataclass(frozen=True, slots=True)
class Swapped:
    """From this frame on a track plays another material; an empty name: nothing."""

    role: Role
    name: str
    bar: int
    frame: int
    # Of a partial material, as it is when it begins; it may be extended unheard.
    gain_db: float = 0.0
    first_frame: int = 0  # of the loop
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """From this frame on the loop sounds from a place in it that does not follow on what was before, or not at all."""

    playing: bool
    place: int  # frame of the loop
    frame: int
    grid: Grid


@dataclass(frozen=True, slots=True)
class Beat:
    """A felt beat of the meter begins."""

    bar: int
    beat: int
    frame: int


@dataclass(frozen=True, slots=True)
class BarLine:
    """A bar begins. `count` is how many have begun since the player was made."""

    bar: int
    frame: int
    count: int


@dataclass(frozen=True, slots=True)
class Level:
    """How loud a track was since the last one, behind its fader, both channels together; 1 is full scale."""

    peak: float
    rms: float

    @property
    def peak_db(self) -> float:
        return decibels(self.peak)

    @property
    def rms_db(self) -> float:
        return decibels(self.rms)


@dataclass(frozen=True, slots=True)
class Levels:
    """The meters of all tracks."""

    levels: Mapping[Role, Level]
    frame: int


@dataclass(frozen=True, slots=True)
class NotePlayed:
    """A note of a track that sounds begins."""

    role: Role
    note: Note
    frame: int
    duration_frames: int


@dataclass(frozen=True, slots=True)
class NotesOff:
    """Whatever notes of a track still sound end here: it goes on with something else, elsewhere, or not at all."""

    role: Role
    frame: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """From this frame on there is silence."""

    frame: int


@dataclass(frozen=True, slots=True)
class Problem:
    """The player met an error of its own and gives silence until it works again."""

    message: str
    frame: int


Heard: TypeAlias = Swapped | Moved | Beat | BarLine | Levels | NotePlayed | NotesOff | Stopped | Problem


@dataclass(frozen=True, slots=True)
class Position:
    """Where the mix is. What is heard is later by what the ring holds and by the device's latency."""

    bar0: int
    tick: int  # within the bar
    playing: bool
    grid: Grid | None  # None: there is no music yet
    frame: int  # of the output stream


def decibels(level: float) -> float:
    """A level in dBFS, not below SILENT_DB."""
    return max(20 * math.log10(level), SILENT_DB) if level > 0 else SILENT_DB
