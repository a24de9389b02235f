"""What a prompt means, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType

from resonantgen.music.notes import Role
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import Meter


@dataclass(frozen=True, slots=True)
class Attributes:
    """How the music is played, each -1 to 1; 0 is what the style itself would do."""

    energy: float = 0.0
    density: float = 0.0
    brightness: float = 0.0
    aggression: float = 0.0
    swing: float = 0.0
    space: float = 0.0

    def __post_init__(self) -> None:
        assert all(-1.0 <= getattr(self, name) <= 1.0 for name in ATTRIBUTES), self

    def changed(self, changes: Mapping[str, Change]) -> Attributes:
        """These attributes after a prompt's changes."""
        return replace(self, **{name: change.apply(getattr(self, name)) for name, change in changes.items()})


ATTRIBUTES: tuple[str, ...] = tuple(f.name for f in fields(Attributes))


def clamp(value: float, low: float = -1.0, high: float = 1.0) -> float:
    return min(high, max(low, value))


@dataclass(frozen=True, slots=True)
class Change:
    """What words ask of an attribute: a step from where it is ("darker") or a level ("dark")."""

    amount: float
    relative: bool

    def apply(self, value: float) -> float:
        """A step adds; a level moves the value there unless it is already further out. Rounded to 3 decimals."""
        if self.relative:
            value = clamp(value + self.amount)
        elif self.amount >= 0:
            value = max(value, self.amount)
        else:
            value = min(value, self.amount)
        return round(value, 3)


class Feel(StrEnum):
    """How a track's pulse relates to the tempo."""

    NORMAL = "normal"
    HALF_TIME = "half-time"
    DOUBLE_TIME = "double-time"


@dataclass(frozen=True, slots=True)
class RoleIntent:
    """What a prompt asks of one role."""

    attributes: Mapping[str, Change] = field(default_factory=lambda: MappingProxyType({}))  # by name, see ATTRIBUTES
    instrument: str | None = None  # an instrument word of presets/lexicon, such as "rhodes" or "808"
    feel: Feel | None = None
    transpose_semitones: int = 0  # relative
    exclusions: frozenset[str] = frozenset()  # drum pieces (DrumPiece.word) that must not sound
    inclusions: frozenset[str] = frozenset()  # drum pieces asked for again or in particular ("with a ride")
    words: tuple[str, ...] = ()  # the words behind the levels among `attributes`, to show: "driving"


@dataclass(frozen=True, slots=True)
class Intent:
    """What a prompt means. What it does not mention is None or empty.

    `attributes` are meant for every track that the prompt reaches; `by_role` for that role on top. `roles` are the
    roles that the prompt names in order to change them: empty means every unlocked track. `removed_roles` are those it
    does not want at all ("without melody"); they are among `roles` too. `not_understood` are its words that led to
    nothing, in order. `guessed` tells which of "style" and "mood" no word named: text embeddings found what is nearest.
    """

    text: str
    style: str | None = None  # the id of a preset in presets/styles
    mood: str | None = None  # a mood of presets/lexicon
    attributes: Mapping[str, Change] = field(default_factory=lambda: MappingProxyType({}))
    tempo_bpm: Fraction | None = None
    tempo_factor: Fraction | None = None  # "faster", "slower": relative to the current tempo
    key: Key | None = None
    minor: bool | None = None  # "in minor", "major key": a mode without a tonic
    mode: Mode | None = None  # the same, in full: "in dorian"
    transpose_semitones: int = 0  # of everything, relative: "up a fourth"
    meter: Meter | None = None
    bars: int | None = None
    roles: tuple[Role, ...] = ()
    removed_roles: frozenset[Role] = frozenset()
    by_role: Mapping[Role, RoleIntent] = field(default_factory=lambda: MappingProxyType({}))
    not_understood: tuple[str, ...] = ()
    guessed: frozenset[str] = frozenset()
