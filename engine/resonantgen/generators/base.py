"""The Generator contract: a request, a pure value, goes in; notes come out, one bar at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Protocol

from resonantgen.generators.style import Style
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import Key, Progression
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import Attributes, Feel


@dataclass(frozen=True, slots=True)
class Plan:
    """What all tracks of a session share."""

    style: Style
    mood: str | None
    tempo_bpm: Fraction
    meter: Meter
    key: Key
    bars: int
    chords: Progression  # exactly `bars` long

    @property
    def length_ticks(self) -> int:
        return self.bars * self.meter.bar_ticks


@dataclass(frozen=True, slots=True)
class Request:
    """All that a track's notes depend on. The same request gives the same notes."""

    role: Role
    plan: Plan
    seed: int
    attributes: Attributes = Attributes()  # noqa: RUF009 - a frozen value
    feel: Feel = Feel.NORMAL
    transpose_semitones: int = 0  # of this track against its usual register; pitched tracks stay in the scale
    exclusions: frozenset[str] = frozenset()  # drum pieces that must not sound
    inclusions: frozenset[str] = frozenset()  # drum pieces that must sound
    context: Mapping[Role, Score] = field(default_factory=lambda: MappingProxyType({}))  # the tracks that sound with it


class Generator(Protocol):
    """Writes one track. It holds no state: whatever it needs is in the request."""

    name: str  # as in `session.json`: "pattern"

    def bars(self, request: Request) -> Iterator[tuple[Note, ...]]:
        """The notes that start in each bar, bar after bar, `plan.bars` times.

        A bar is yielded as soon as it is ready. Raises nothing for any valid request.
        """
        ...


def generate(generator: Generator, request: Request) -> Score:
    """All bars as one score."""
    return Score.of((note for bar in generator.bars(request) for note in bar), request.plan.length_ticks)
