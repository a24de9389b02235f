"""What one clause of a prompt says, as values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from fractions import Fraction

from resonantgen.music.notes import Role
from resonantgen.prompt.intent import Change, clamp
from resonantgen.prompt.lexicon import Descriptor, FeelSense, StyleSense
from resonantgen.prompt.quantities import Interval
from resonantgen.prompt.scan import Item


class Action(Enum):
    """What is to happen to a target."""

    CHANGE = auto()
    REMOVE = auto()
    KEEP = auto()
    ONLY = auto()  # the other roles are to go
    SPARE = auto()  # the other roles are to go, and this one stays as it is


@dataclass(frozen=True, slots=True)
class Target:
    """A role, and what of it is named: a piece of the kit or an instrument."""

    role: Role
    item: Item
    action: Action = Action.CHANGE
    pieces: tuple[str, ...] = ()
    instrument: str | None = None
    weak: bool = False
    gone: bool = False  # another sound takes its place: "instead of the piano"
    sound: bool = False  # one of the role's sounds rather than the role itself


@dataclass(frozen=True, slots=True)
class Description:
    """A descriptor with the words around it taken in: "a bit", "more", "too", "not"."""

    sense: Descriptor
    item: Item
    factor: float  # of the sense's amounts
    relative: bool

    @property
    def names_mood(self) -> bool:
        return self.sense.names_mood and not self.relative and self.factor > 0

    def changes(self, levels: Iterable[tuple[str, float]]) -> dict[str, Change]:
        """Changes of attributes by the sense's amounts."""
        return {name: Change(round(clamp(v * self.factor), 3), self.relative) for name, v in levels}


@dataclass(frozen=True, slots=True)
class Speed:
    """A step of the tempo: "faster", "a bit slower"."""

    factor: Fraction


Bindable = Description | FeelSense | Interval


@dataclass
class Clause:
    """What one clause says. `bound` says it of a target of the clause, `free` of none."""

    lead: str  # what parts it from the clause before: "", "pause", "joins", "with" or "remove"
    targets: list[Target] = field(default_factory=list)
    bound: list[tuple[Target, Bindable]] = field(default_factory=list)
    free: list[Bindable] = field(default_factory=list)
    styles: list[tuple[StyleSense, Item, bool]] = field(default_factory=list)  # the last: right before a target
    speeds: list[Speed] = field(default_factory=list)
    quantities: list[Item] = field(default_factory=list)
    unknown: list[Item] = field(default_factory=list)
    lost: list[Item] = field(default_factory=list)  # known, but nothing can be done about it here
    told: bool = False  # it has a verb that asks for a change, or a comparative
    article: bool = False  # it starts with "a" or "the"
    everything: bool = False  # it names the whole piece: "it", "everything"
    pronoun: bool = False  # it does so by "it" or "them", which may mean a role named just before
    only_after: bool = False  # it ends like "drums only"
    clears: bool = False  # it removes everything, or the rest
    replaces: bool = False  # a sound is to take the place of its last target: "replace the piano"
    predicate: bool = False  # its descriptions follow its target: "the bass darker"

    @property
    def only_targets(self) -> bool:
        said = self.bound or self.free or self.styles or self.speeds or self.unknown or self.lost
        return bool(self.targets) and not said

    @property
    def only_free(self) -> bool:
        return bool(self.free) and not (self.targets or self.styles or self.everything or self.unknown)
