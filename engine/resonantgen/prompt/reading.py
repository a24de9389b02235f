"""Collects what the clauses of a prompt say, role by role, ready to become an Intent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

from resonantgen.errors import BadValue, PromptError
from resonantgen.music.notes import DrumPiece, Role
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import Meter
from resonantgen.prompt.clause import Action, Bindable, Clause, Description, Target
from resonantgen.prompt.intent import Change, Feel, RoleIntent, clamp
from resonantgen.prompt.lexicon import Descriptor, FeelSense, Lexicon, MeterSense, StyleSense
from resonantgen.prompt.quantities import MAX_TRANSPOSE_SEMITONES
from resonantgen.prompt.scan import Item

_ALL_PIECES = frozenset(piece.word for piece in DrumPiece)


@dataclass
class RoleReading:
    """What a prompt says about one role, or about the whole piece."""

    changes: dict[str, Change] = field(default_factory=dict)
    defaults: dict[str, Change] = field(default_factory=dict)  # from moods and styles: other words outdo them
    words: list[str] = field(default_factory=list)
    instrument: str | None = None
    feel: Feel | None = None
    semitones: int = 0
    exclusions: set[str] = field(default_factory=set)
    inclusions: set[str] = field(default_factory=set)

    @property
    def attributes(self) -> Mapping[str, Change]:
        changes = {**self.defaults, **self.changes}
        return MappingProxyType({name: change for name, change in changes.items() if change.amount})

    def change(self, changes: Mapping[str, Change]) -> None:
        """Steps add up and outdo levels; of two levels on one side the further counts, of two sides the sum."""
        for name, new in changes.items():
            old = self.changes.get(name)
            if old is None or (new.relative and not old.relative):
                self.changes[name] = new
            elif new.relative == old.relative:
                further = max(old.amount, new.amount, key=abs)
                same_side = old.amount * new.amount > 0 and not new.relative
                amount = further if same_side else round(clamp(old.amount + new.amount), 3)
                self.changes[name] = Change(amount, new.relative)

    def default(self, levels: Mapping[str, float], *, again: bool = False) -> None:
        """Levels for what no word asks; `again` puts them in the place of earlier ones."""
        for name, level in levels.items():
            if again or name not in self.defaults:
                self.defaults[name] = Change(level, relative=False)

    def move(self, semitones: int) -> None:
        """Transpose. Raises BadValue beyond three octaves."""
        self.semitones += semitones
        if abs(self.semitones) > MAX_TRANSPOSE_SEMITONES:
            raise BadValue(
                f"{abs(self.semitones)} semitones are too far to transpose. Use at most {MAX_TRANSPOSE_SEMITONES}."
            )

    def intent(self) -> RoleIntent:
        return RoleIntent(
            attributes=self.attributes,
            instrument=self.instrument,
            feel=self.feel,
            transpose_semitones=self.semitones,
            exclusions=frozenset(self.exclusions),
            inclusions=frozenset(self.inclusions - self.exclusions),
            words=tuple(dict.fromkeys(self.words)),
        )


@dataclass
class Quantities:
    """The numbers and keys of a prompt; where it says two, the last."""

    tempo_bpm: Fraction | None = None
    speed: Fraction = Fraction(1)
    key: Key | None = None
    mode: Mode | None = None
    meter: Meter | None = None
    bars: int | None = None


class Reading:
    """What all clauses say together."""

    def __init__(self, clauses: Iterable[Clause], lexicon: Lexicon, *, replacing: bool) -> None:
        self.lexicon = lexicon
        self.replacing = replacing  # of two instruments for a role the last counts, not the first
        self.whole = RoleReading()
        self.by_role: dict[Role, RoleReading] = {}
        self.named: set[Role] = set()
        self.kept: set[Role] = set()
        self.removed: set[Role] = set()
        self.only: set[Role] = set()
        self.only_pieces: set[str] = set()
        self.quantities = Quantities()
        self.styles: list[tuple[StyleSense, Item, bool]] = []  # the last: right before a role
        self.moods: Counter[str] = Counter()  # named of the whole piece, with how often
        self.role_moods: Counter[str] = Counter()  # named of a role
        self.described = False  # a level is asked for: "busy", "dark"
        self.hinted_mood: str | None = None
        self.hinted_style: str | None = None
        self.lost: list[Item] = []  # led to nothing
        self.unknown: list[Item] = []  # not in the lexicon
        self.everything = False  # something is said of the whole piece by "it" or "everything"
        for clause in clauses:
            self._clause(clause)
        self._finish_roles()

    def role(self, role: Role) -> RoleReading:
        return self.by_role.setdefault(role, RoleReading())

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles to change, in their order; empty: every one."""
        if self.kept and (self.everything or not self.named):
            return tuple(role for role in Role if role not in self.kept)
        if self.everything:
            return ()
        return tuple(role for role in Role if role in self.named - self.kept)

    def _clause(self, clause: Clause) -> None:
        self.everything |= clause.everything and bool(clause.free or clause.speeds)
        self.styles += clause.styles
        self.lost += clause.lost
        self.unknown += clause.unknown
        for target in clause.targets:
            self._target(target)
        for target, what in clause.bound:
            self._of_role(target.role, what)
        for what in clause.free:
            self._of_whole(what)
        for speed in clause.speeds:
            self.quantities.speed *= speed.factor
        for item in clause.quantities:
            self._quantity(item)

    def _target(self, target: Target) -> None:
        role, action = target.role, target.action
        if action in (Action.KEEP, Action.SPARE):
            self.kept.add(role)
            if action is Action.SPARE:
                self.only.add(role)
            return
        if action is Action.ONLY and not target.pieces:
            self.only.add(role)
        if action is Action.REMOVE and not target.pieces and target.sound:
            self.lost.append(target.item)  # "no strings": there is no telling what to play instead
            return
        self.named.add(role)
        reading = self.role(role)
        if action is Action.REMOVE and not target.pieces:
            self.removed.add(role)
        elif action is Action.REMOVE:
            reading.exclusions |= set(target.pieces)
        elif action is Action.ONLY and target.pieces:
            self.only_pieces |= set(target.pieces)
            reading.inclusions.add(target.pieces[0])
        elif target.pieces:
            reading.inclusions.add(target.pieces[0])
        if target.instrument:
            self._mood_of_instrument(target.instrument)
        if target.instrument and action is not Action.REMOVE and (reading.instrument is None or self.replacing):
            reading.instrument = target.instrument

    def _mood_of_instrument(self, words: str) -> None:
        """The mood that an instrument's name has in it: "warm pad"."""
        for word in words.split():
            sense = self.lexicon.phrases.get((word,))
            if isinstance(sense, Descriptor) and sense.names_mood and sense.mood:
                self.role_moods[sense.mood] += 1

    def _of_role(self, role: Role, what: Bindable) -> None:
        reading = self.role(role)
        match what:
            case Description():
                self._hint(what)
                if what.names_mood and what.sense.mood:
                    self.role_moods[what.sense.mood] += 1
                whole = what.sense.whole.items()
                reading.change(what.changes([*what.sense.attributes.items(), *(whole if what.relative else ())]))
                if not what.relative:
                    self.whole.change(what.changes(whole))
                    reading.words.append(what.item.text if what.factor > 0 else f"not {what.item.text}")
            case FeelSense(feel):
                reading.feel = feel
            case _:
                reading.move(what.semitones * what.direction)

    def _of_whole(self, what: Bindable) -> None:
        match what:
            case Description():
                self._hint(what)
                changes = what.changes([*what.sense.attributes.items(), *what.sense.whole.items()])
                if what.names_mood and what.sense.mood:
                    self.moods[what.sense.mood] += 1
                    for name, change in changes.items():
                        self.whole.defaults.setdefault(name, change)
                else:
                    self.whole.change(changes)
            case FeelSense(feel):  # a half-time feel is the drums'
                self.named.add(Role.DRUMS)
                self.role(Role.DRUMS).feel = feel
            case _:
                self.whole.move(what.semitones * what.direction)

    def _hint(self, what: Description) -> None:
        if what.factor > 0 and not what.relative:
            self.described = True
            self.hinted_mood = self.hinted_mood or (None if what.sense.names_mood else what.sense.mood)
            self.hinted_style = self.hinted_style or what.sense.style

    def _quantity(self, item: Item) -> None:
        match item.meaning:
            case Fraction() as tempo:
                self.quantities.tempo_bpm = tempo
            case Key() as key:
                self.quantities.key = key
            case Mode() as mode:
                self.quantities.mode = mode
            case Meter() as meter:
                self.quantities.meter = meter
            case MeterSense(meter):
                self.quantities.meter = meter
            case int(bars):
                self.quantities.bars = bars

    def _finish_roles(self) -> None:
        """ "Drums only" takes the other roles out. Raises PromptError if nothing would be left."""
        if self.only:
            self.removed |= set(Role) - self.only
            self.named |= self.removed
        if self.only_pieces:
            self.role(Role.DRUMS).exclusions |= _ALL_PIECES - self.only_pieces
        if self.removed == set(Role):
            raise PromptError("That would leave no track at all. Keep at least one of drums, bass, harmony and melody.")
        for style, _, _ in self.styles:
            for role, word in style.instruments.items():
                if self.role_instrument(role) is None and self.lexicon.has_instrument(role, word):
                    self.role(role).instrument = word

    def role_instrument(self, role: Role) -> str | None:
        return self.by_role[role].instrument if role in self.by_role else None
