"""Roles, notes and scores. MIDI files are read and written in `midi.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum


class Role(StrEnum):
    """What a track does. The order is the order in which tracks are shown and generated."""

    DRUMS = "drums"
    BASS = "bass"
    HARMONY = "harmony"
    MELODY = "melody"


class DrumPiece(IntEnum):
    """The pieces of a kit, as General MIDI percussion keys: the `pitch` of a drum note."""

    KICK = 36
    RIM = 37
    SNARE = 38
    CLAP = 39
    LOW_TOM = 41
    CLOSED_HAT = 42
    PEDAL_HAT = 44
    OPEN_HAT = 46
    MID_TOM = 47
    CRASH = 49
    HIGH_TOM = 50
    RIDE = 51
    TAMBOURINE = 54
    COWBELL = 56
    HIGH_CONGA = 63
    LOW_CONGA = 64
    SHAKER = 70

    @property
    def word(self) -> str:
        """The name used in presets and prompts: "closed_hat"."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One note. `start_ticks` counts from the clip's start and includes swing and micro-timing."""

    start_ticks: int
    pitch: int  # MIDI key 0 to 127; for drums a DrumPiece
    duration_ticks: int
    velocity: int  # 1 to 127

    def __post_init__(self) -> None:
        assert self.start_ticks >= 0 and self.duration_ticks > 0, self
        assert 0 <= self.pitch <= 127 and 1 <= self.velocity <= 127, self

    @property
    def end_ticks(self) -> int:
        return self.start_ticks + self.duration_ticks


@dataclass(frozen=True, slots=True)
class Score:
    """The notes of one track, sorted, all starting within `length_ticks` (a whole number of bars).

    No note ends after the clip does: whoever makes a score cuts them, so that a loop never hangs.
    """

    notes: tuple[Note, ...]
    length_ticks: int

    @classmethod
    def of(cls, notes: Iterable[Note], length_ticks: int) -> Score:
        """Sort, cut to the clip, and of two notes on the same key keep only one sounding at a time.

        A note that starts while its key still sounds ends the earlier one; of two that start together the louder stays.
        """
        kept: dict[int, list[Note]] = {}
        for note in sorted(notes):
            if note.start_ticks >= length_ticks:
                continue
            note = replace(note, duration_ticks=min(note.duration_ticks, length_ticks - note.start_ticks))
            row = kept.setdefault(note.pitch, [])
            if row and row[-1].start_ticks == note.start_ticks:
                row[-1] = max(row[-1], note, key=lambda n: (n.velocity, n.duration_ticks))
                continue
            if row and row[-1].end_ticks > note.start_ticks:
                row[-1] = replace(row[-1], duration_ticks=note.start_ticks - row[-1].start_ticks)
            row.append(note)
        return cls(tuple(sorted(note for row in kept.values() for note in row)), length_ticks)

    def __len__(self) -> int:
        return len(self.notes)

    def __iter__(self) -> Iterator[Note]:
        return iter(self.notes)

    def between(self, start_ticks: int, end_ticks: int) -> tuple[Note, ...]:
        """The notes that start in [start, end)."""
        return tuple(note for note in self.notes if start_ticks <= note.start_ticks < end_ticks)

    @property
    def sha256(self) -> str:
        """Hash of the notes' canonical bytes: 32-bit little-endian integers.

        The length in ticks comes first, then start, pitch, duration and velocity of each note.
        """
        rows = ((n.start_ticks, n.pitch, n.duration_ticks, n.velocity) for n in self.notes)
        numbers = [self.length_ticks, *(value for row in rows for value in row)]
        return hashlib.sha256(b"".join(n.to_bytes(4, "little") for n in numbers)).hexdigest()
