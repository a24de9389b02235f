"""Groups the items of a prompt into clauses, and finds in each what is said of what.

A clause is a run of words without a pause or a joining word: "dark techno | with driving bass | and no hats". In one, a
description belongs to the role after it ("driving bass") or else to the role before it ("make the bass darker"), and
to the whole piece where there is no role. `bind` then lets neighbouring clauses share a role or a description, as in
"darker and busier drums" or "make the bass and the drums busier".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from resonantgen.music.notes import Role
from resonantgen.prompt.clause import Action, Bindable, Clause, Description, Speed, Target
from resonantgen.prompt.lexicon import (
    Descriptor,
    FeelSense,
    GrammarSense,
    InstrumentSense,
    PieceSense,
    RoleSense,
    StyleSense,
    TempoSense,
)
from resonantgen.prompt.quantities import Interval
from resonantgen.prompt.scan import Item, Pause, Unknown

_SLIGHT, _PLAIN, _STRONG = 0.5, 1.0, 1.6
_FORBIDDING = ("don't", "doesn't", "does not", "dont", "do not", "don't make", "dont make", "do not make")
_OF_VOLUME = ("turn up", "turn down", "crank", "crank up")
_MOVING = ("up", "down", "transpose")
_BY_AN_OCTAVE = ("higher", "lower", "too high", "too low")
_AMOUNT_OF_SOUND = Descriptor({"density": 0.4, "energy": 0.3})  # "more bass", "less drums"
_SPEED_OF_NOTES = Descriptor({"density": 0.5})  # "faster hats"


@dataclass
class _Modifiers:
    """The words before a description that change it."""

    direction: int = 0  # 1 "more", -1 "less"
    degree: float = _PLAIN
    too: bool = False
    negated: bool = False
    removed: bool = False


def split(items: Sequence[Item]) -> list[tuple[str, list[Item]]]:
    """The items clause by clause, each with what parts it from the one before."""
    parts: list[tuple[str, list[Item]]] = [("", [])]
    for item in items:
        kind = item.meaning.kind if isinstance(item.meaning, GrammarSense) else None
        if isinstance(item.meaning, Pause) or kind == "joins":
            lead = "pause" if isinstance(item.meaning, Pause) else "joins"
            if not parts[-1][1] and parts[-1][0]:  # ", and"
                parts[-1] = ("joins" if "joins" in (lead, parts[-1][0]) else lead, [])
            else:
                parts.append((lead, []))
        elif kind == "with" or (kind == "remove" and item.text in ("no", "without", "w/o", "minus")):
            parts.append(("with" if kind == "with" else "remove", [item]))
        else:
            parts[-1][1].append(item)
    return [(lead, run) for lead, run in parts if run]


def read_clause(lead: str, items: Sequence[Item]) -> Clause:
    """What one clause says, on its own."""
    return _ClauseReader(lead, items).read()


class _ClauseReader:
    """Walks through a clause once; descriptions wait for the next target."""

    def __init__(self, lead: str, items: Sequence[Item]) -> None:
        self.items = items
        self.clause = Clause(lead)
        self.modifiers = _Modifiers()
        self.action = Action.CHANGE
        self.waiting: list[Bindable] = []
        self.verb_direction = 0  # "raise", "lower", "transpose"
        self.nothing_yet = True
        self.volume: list[Item] = []  # "turn down", which nothing can be done about but for an attribute
        self.instead = False  # after "instead of"
        self.exchanging = False  # after "replace", "change", "make"
        self.forbidden = False  # "don't make the bass …": all that follows must not be

    def read(self) -> Clause:
        for index, item in enumerate(self.items):
            self.index = index
            match item.meaning:
                case GrammarSense(kind):
                    self._grammar(kind, item)
                    continue
                case Descriptor() as sense:
                    self._description(sense, item)
                case RoleSense() | PieceSense() | InstrumentSense():
                    self._target(item)
                case StyleSense() as style:
                    self._style(style, item)
                case TempoSense(factor):
                    self._speed(factor, item)
                case FeelSense() as feel:
                    self.waiting.append(feel)
                case Interval() as interval:
                    self._interval(interval, item)
                case Unknown():
                    self.clause.unknown.append(item)
                case _:
                    self.clause.quantities.append(item)
            self.modifiers = _Modifiers(negated=self.forbidden)
            self.nothing_yet = False
        self._finish()
        return self.clause

    def _grammar(self, kind: str, item: Item) -> None:
        modifiers = self.modifiers
        match kind:
            case "more" | "add" | "less":
                modifiers.direction = -1 if kind == "less" else 1
                self.volume = [item] if item.text in _OF_VOLUME else self.volume
                self.clause.told = True
            case "slight":
                modifiers.degree = _SLIGHT
            case "strong":
                modifiers.degree = _STRONG
            case "too":
                modifiers.too = True
            case "negations":
                modifiers.negated = True
                self.forbidden |= item.text in _FORBIDDING
            case "remove" if self.forbidden:  # "don't remove the drums"
                self.action = Action.KEEP
            case "remove":
                modifiers.removed = True
                self.action = Action.REMOVE
                self.verb_direction = -1 if item.text == "drop" else self.verb_direction
            case "removed":
                self._removed()
            case "keep":
                self._keep(item)
            case "only":
                self._only()
            case "enough":
                self._enough()
            case "everything":
                self.clause.everything = True
                self.clause.clears |= self.action is Action.REMOVE and item.text not in ("it", "them")
                self.clause.pronoun |= item.text in ("it", "them")
            case "replace" if item.text == "instead of":
                self.instead = self.clause.told = True
            case "edit_verbs" | "replace":
                self.clause.told = True
                self.clause.replaces |= kind == "replace"
                self.exchanging = True
            case "up" | "down" | "transpose":
                self._direction(-1 if kind == "down" else 1, item)
            case "ignored" if item.text == "just" and self._is_before_a_target():
                self._only()
            case "ignored" if self.nothing_yet and item.text in ("a", "an", "the"):
                self.clause.article = True
            case "unsupported":
                self.clause.lost.append(item)

    def _keep(self, item: Item) -> None:
        """ "keep the drums", and "remove everything but the drums", which takes the others out."""
        others = self.clause.everything or item.text in ("everything but", "all but")
        spares = others and self.action is Action.REMOVE and not self.clause.targets
        self.action = Action.SPARE if spares else Action.KEEP

    def _removed(self) -> None:
        """ "the bass removed", and "everything except the bass removed"."""
        changed = {Action.CHANGE: Action.REMOVE, Action.KEEP: Action.SPARE if self.clause.everything else Action.KEEP}
        targets = self.clause.targets
        self.clause.targets = [replace(target, action=changed.get(target.action, target.action)) for target in targets]

    def _is_before_a_target(self) -> bool:
        """Whether nothing but an article stands before the next target."""
        following = [item for item in self.items[self.index + 1 :] if item.text not in ("a", "an", "the")]
        return bool(following) and isinstance(following[0].meaning, RoleSense | PieceSense | InstrumentSense)

    def _direction(self, direction: int, item: Item) -> None:
        """A word that moves pitch, or an attribute; "higher" and "lower" beside a role alone move it by an octave."""
        self.verb_direction = direction
        if item.text in ("up", "down"):
            self.volume += [verb for verb in self.items[: self.index] if verb.text == "turn"][:1]
            self.volume += [item] if self.volume else []
        if item.text in _BY_AN_OCTAVE and not any(isinstance(i.meaning, Interval) for i in self.items):
            beside_a_role = any(isinstance(i.meaning, RoleSense | InstrumentSense | PieceSense) for i in self.items)
            if beside_a_role or self.clause.everything:
                self.waiting.append(Interval(12, direction))

    def _interval(self, interval: Interval, item: Item) -> None:
        """An interval needs a direction, its own or that of a verb of the clause; "a fourth chord" has none."""
        kinds = [(i.meaning.kind, i.text) for i in self.items if isinstance(i.meaning, GrammarSense)]
        if interval.direction or any(kind in _MOVING or word == "drop" for kind, word in kinds):
            self.waiting.append(interval)
        else:
            self.clause.unknown.append(item)

    def _enough(self) -> None:
        """ "not dark enough": after all a wish for more."""
        last = self.waiting[-1] if self.waiting else None
        if isinstance(last, Description) and last.factor < 0:
            self.waiting[-1] = replace(last, factor=_PLAIN, relative=True)

    def _only(self) -> None:
        """ "only drums" and "drums only"."""
        self.action = Action.ONLY
        self.clause.only_after = bool(self.clause.targets)
        self.clause.targets = [replace(target, action=Action.ONLY) for target in self.clause.targets]

    def _description(self, sense: Descriptor, item: Item) -> None:
        m = self.modifiers
        if (m.negated or m.removed) and not m.too and (sense.steps or m.direction > 0):
            self._lose_comparative(item)
            return
        relative = sense.steps or m.direction != 0 or m.too
        if m.too:
            factor = 0.4 if m.negated else 1.0
            relative, factor = not m.negated, -factor * m.degree
        elif m.negated:
            relative, factor = sense.steps, -0.4 * m.degree
        elif m.removed and sense.role is not None:
            relative, factor = True, -_PLAIN
        elif m.removed:
            relative, factor = False, -_STRONG
        else:
            factor = (m.direction or 1) * m.degree
        self.clause.told |= relative
        self.waiting.append(Description(sense, item, factor, relative))
        if m.removed:
            self.action = Action.CHANGE

    def _lose_comparative(self, item: Item) -> None:
        """ "no darker", "don't make it busier": what must not become more may stay as it is."""
        self.clause.lost.append(item)
        self.clause.told = True
        if self.modifiers.removed:
            self.action = Action.CHANGE

    def _speed(self, factor: Fraction, item: Item) -> None:
        m = self.modifiers
        if (m.negated or m.removed) and item.text.endswith("er"):
            self._lose_comparative(item)
            return
        step = (factor - 1) * Fraction(str(m.degree)) * (-1 if m.direction < 0 or m.negated or m.too else 1)
        beside_a_role = any(isinstance(i.meaning, RoleSense | PieceSense | InstrumentSense) for i in self.items)
        if beside_a_role and abs(factor - 1) < Fraction(1, 4):
            sign = 1 if step > 0 else -1
            comparative = item.text.endswith("er") or m.direction != 0
            self.clause.told |= comparative
            self.waiting.append(Description(_SPEED_OF_NOTES, item, sign * m.degree, comparative))
        else:
            self.clause.speeds.append(Speed(factor if abs(factor - 1) >= Fraction(1, 4) else 1 + step))

    def _style(self, style: StyleSense, item: Item) -> None:
        """A style's name; the descriptions before it are of the whole piece."""
        following = self.items[self.index + 1].meaning if self.index + 1 < len(self.items) else None
        adjective = isinstance(following, PieceSense | InstrumentSense) or (
            isinstance(following, RoleSense) and not following.weak
        )
        if self.modifiers.removed or self.modifiers.negated:
            self.clause.lost.append(item)
            return
        self.clause.styles.append((style, item, adjective))
        self.clause.free += self.waiting
        self.waiting = []

    def _target(self, item: Item) -> None:
        target = self._named(item)
        if target is None:
            return
        m = self.modifiers
        if m.direction and not m.removed and not self.volume and self._is_amount():
            self.waiting.append(Description(_AMOUNT_OF_SOUND, item, m.direction * m.degree, relative=True))
        previous = self.clause.targets[-1] if self.clause.targets else None
        if previous and previous.item.end == item.start and self._merges(previous, target):
            return
        if target.weak and not (self.clause.told or self.action is not Action.CHANGE or self._is_definite(item)):
            self.clause.free += self.waiting  # "a chill beat": the whole piece
            self.waiting = []
            return
        target = replace(target, gone=self.instead)
        self.instead = False
        self.clause.targets.append(target)
        self.clause.bound += [(target, what) for what in self.waiting]
        self.waiting = []

    def _is_amount(self) -> bool:
        """Whether "more" stands right before the target: "more bass", not "more aggressive bass"."""
        said = [item.meaning for item in self.items[: self.index] if item.text not in ("the", "my", "of")]
        return bool(said) and isinstance(said[-1], GrammarSense) and said[-1].kind in ("more", "less")

    def _is_definite(self, item: Item) -> bool:
        return self.index > 0 and self.items[self.index - 1].text in ("the", "this", "that") and not self.clause.styles

    def _named(self, item: Item) -> Target | None:
        action = self.action
        match item.meaning:
            case RoleSense(role, weak, sound, absent):
                return Target(role, item, Action.REMOVE if absent else action, weak=weak, sound=sound)
            case PieceSense(pieces):
                return Target(Role.DRUMS, item, action, pieces=pieces)
            case InstrumentSense(word, roles, names_role):
                before = self.items[self.index - 1].meaning if self.index else None
                just_role = names_role and (self._is_definite(item) or isinstance(before, InstrumentSense))
                instrument = None if just_role else word
                return Target(self._role_for(roles), item, action, instrument=instrument, sound=not names_role)
            case _:
                return None

    def _role_for(self, roles: Sequence[Role]) -> Role:
        """Of the roles that have an instrument, the one that the words beside it name, otherwise the likeliest."""
        for index in (self.index + 1, self.index - 1, self.index - 2):
            meaning = self.items[index].meaning if 0 <= index < len(self.items) else None
            if isinstance(meaning, RoleSense) and meaning.role in roles:
                return meaning.role
            if isinstance(meaning, InstrumentSense) and meaning.names_role and meaning.roles[0] in roles:
                return meaning.roles[0]
        return roles[0]

    def _merges(self, previous: Target, target: Target) -> bool:
        """Whether two names side by side are one thing: "rhodes melody", "808 drums", "bass upright"."""
        if previous.role is not target.role or previous.pieces or target.pieces:
            return False
        if previous.instrument and target.instrument:
            return False
        merged = replace(previous, instrument=previous.instrument or target.instrument, item=target.item)
        self.clause.targets[-1] = merged
        self.clause.bound = [(merged if owner is previous else owner, what) for owner, what in self.clause.bound]
        return True

    def _finish(self) -> None:
        """Descriptions after the last target belong to it; without one they are free. Intervals get their direction."""
        clause = self.clause
        if self.exchanging and len(clause.targets) > 1 and self._is_exchange():
            self._replace(clause.targets[-2], replace(clause.targets[-2], gone=True))
        if not (clause.free or clause.bound or self.waiting or clause.speeds) and (clause.targets or clause.everything):
            clause.lost += self.volume
        if clause.told and self.action is Action.ONLY:  # "change only the bass": a limit, not a wish for silence
            for target in clause.targets:
                self._replace(target, replace(target, action=Action.CHANGE))
        last = clause.targets[-1] if clause.targets else None
        if last and self.waiting and not clause.everything and last.action is not Action.KEEP:
            clause.predicate = True
            clause.bound += [(last, what) for what in self.waiting]
        else:
            clause.free += self.waiting
        clause.bound = [(owner, self._directed(what)) for owner, what in clause.bound]
        clause.free = [self._directed(what) for what in clause.free]
        clause.told |= any(isinstance(w, Description) and w.relative for w in clause.free)
        if any(isinstance(what, Interval) for what in (*clause.free, *(what for _, what in clause.bound))):
            clause.told = True
            moved = [t for t in clause.targets if t.action is Action.REMOVE and self.verb_direction]
            for target in moved:  # "drop the bass an octave"
                self._replace(target, replace(target, action=Action.CHANGE))

    def _is_exchange(self) -> bool:
        """Whether the last target takes the place of the one before: "change the lead to a flute", "… a flute"."""
        old, new = self.clause.targets[-2:]
        between = {item.text for item in self.items if old.item.end <= item.start < new.item.start}
        linked = bool(between & {"to", "into", "for", "by"}) or (bool(between) and between <= {"a", "an"})
        return linked and new.instrument is not None and not old.gone

    def _replace(self, old: Target, new: Target) -> None:
        self.clause.targets = [new if t is old else t for t in self.clause.targets]
        self.clause.bound = [(new if owner is old else owner, what) for owner, what in self.clause.bound]

    def _directed(self, what: Bindable) -> Bindable:
        """An interval without a direction has the verb's, and so has an attribute: "bring the energy down"."""
        if isinstance(what, Interval) and what.direction == 0:
            return replace(what, direction=self.verb_direction or 1)
        if isinstance(what, Description) and self.verb_direction and self._moves_an_attribute(what):
            return replace(what, factor=self.verb_direction * what.factor, relative=True)
        return what

    def _moves_an_attribute(self, what: Description) -> bool:
        """Whether the word of direction is about this description: nothing else in the clause could go up or down."""
        said = [what for _, what in self.clause.bound] + self.clause.free
        alone = not (self.clause.styles or self.clause.speeds or any(isinstance(other, Interval) for other in said))
        return alone and not what.relative and what.factor > 0
