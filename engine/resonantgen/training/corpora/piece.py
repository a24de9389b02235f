"""A piece of music whose truth is known: notes by role in seconds, tempo, bar lines, and key and chords where given."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from resonantgen.music.notes import Role
from resonantgen.music.theory import Chord, Key
from resonantgen.music.time import Meter

HELD_OUT_SHARE = 10  # one in so many


class Split(StrEnum):
    TRAIN = "train"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True, order=True)
class TimedNote:
    """A note in seconds from the piece's start. For drums, `pitch` is a General MIDI percussion key."""

    start_seconds: float
    pitch: int  # 0 to 127
    duration_seconds: float
    velocity: int  # 1 to 127

    @property
    def end_seconds(self) -> float:
        return self.start_seconds + self.duration_seconds


@dataclass(frozen=True, slots=True)
class TimedChord:
    """A chord, or none, and where it sounds."""

    start_seconds: float
    end_seconds: float
    chord: Chord | None


@dataclass(frozen=True, slots=True)
class Part:
    """What one instrument plays."""

    role: Role
    notes: tuple[TimedNote, ...]  # sorted
    program: int | None = None  # General MIDI, from 0; of drums the kit. None: not said


@dataclass(frozen=True, slots=True)
class Piece:
    """One item of a corpus."""

    name: str  # within its corpus: "001"
    corpus: str  # "pop909"
    split: Split
    licence: str
    style: str  # a word or two for people: "jazz", "pop"
    tempo_bpm: float  # of quarter notes: that of most of the piece
    meter: Meter
    beat_seconds: tuple[float, ...]  # every quarter note (in eighth meters too), as far as known
    downbeat_seconds: tuple[float, ...]  # the first beat of every bar
    parts: tuple[Part, ...]
    key: Key | None = None
    chords: tuple[TimedChord, ...] = ()  # empty: not known
    details: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def of_role(self, role: Role) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.role is role)

    @property
    def seconds(self) -> float:
        """Until the last note ends."""
        return max((note.end_seconds for part in self.parts for note in part.notes), default=0.0)

    @property
    def chord_at(self) -> Mapping[float, Chord | None]:
        """The chord at each known beat."""
        chords: dict[float, Chord | None] = {}
        spans = iter(self.chords)
        span = next(spans, None)
        for beat in self.beat_seconds:
            middle = (
                beat + 30.0 / self.tempo_bpm
            )  # what sounds in the middle of the beat, so that rounding is no matter
            while span is not None and span.end_seconds <= middle:
                span = next(spans, None)
            chords[beat] = span.chord if span is not None and span.start_seconds <= middle else None
        return chords


class Corpus(Protocol):
    """A set of pieces."""

    name: str

    def names(self, split: Split, role: Role) -> tuple[str, ...]:
        """The pieces of a split that may have parts for a role, sorted."""
        ...

    def piece(self, name: str) -> Piece:
        """Raises BadValue where the archive is not what it should be."""
        ...


def split_of(name: str) -> Split:
    """Held out is every name whose CRC-32 is divisible by ten."""
    return Split.HELD_OUT if zlib.crc32(name.encode()) % HELD_OUT_SHARE == 0 else Split.TRAIN
