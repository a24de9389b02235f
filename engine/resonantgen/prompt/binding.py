"""Lets neighbouring clauses share roles and descriptions, as English does without saying them twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from resonantgen.prompt.clause import Action, Bindable, Clause, Description, Target
from resonantgen.prompt.lexicon import InstrumentSense

_JOINED = ("joins", "pause")


def bind(clauses: Sequence[Clause]) -> None:
    """Complete the clauses in place, each rule over all of them."""
    _rest_is_removed(clauses)
    _sounds_are_exchanged(clauses)
    _actions_continue(clauses)
    _only_reaches_back(clauses)
    _descriptions_wait_for_a_role(clauses)
    _targets_wait_for_a_description(clauses)
    _descriptions_find_their_own_role(clauses)
    _descriptions_continue(clauses)


def _actions_continue(clauses: Sequence[Clause]) -> None:
    """ "no hats or snare", "keep the drums and the bass", "without kick, snare and claps"."""
    for start, clause in enumerate(clauses):
        if not clause.only_targets or clause.targets[-1].action is Action.CHANGE:
            continue
        run = start
        for index in range(start + 1, len(clauses)):
            following = clauses[index]
            plain = following.only_targets and all(t.action is Action.CHANGE for t in following.targets)
            if not plain or following.told or following.lead not in _JOINED:
                break
            if following.lead == "joins":
                run = index
        for index in range(start + 1, run + 1):
            action = clause.targets[-1].action
            clauses[index].targets = [replace(target, action=action) for target in clauses[index].targets]


def _sounds_are_exchanged(clauses: Sequence[Clause]) -> None:
    """ "Use a rhodes instead of the piano", "replace the piano with a rhodes", "change the lead to a flute"."""
    for clause, following in pairwise(clauses):
        begun = clause.replaces and clause.targets and not any(target.gone for target in clause.targets)
        if begun and following.lead == "with" and any(target.instrument for target in following.targets):
            clause.targets[-1] = replace(clause.targets[-1], gone=True)
            _exchange(clause, following)
    for clause in clauses:
        _exchange(clause, clause)


def _exchange(clause: Clause, following: Clause) -> None:
    """Let the sounds of a clause play the roles of those that are gone from another, or the same."""
    for gone in [target for target in clause.targets if target.gone]:
        for place, new in enumerate(following.targets):
            sense = new.item.meaning
            if not new.gone and isinstance(sense, InstrumentSense) and gone.role in sense.roles:
                following.targets[place] = replace(new, role=gone.role)
                following.bound = [(following.targets[place] if o is new else o, what) for o, what in following.bound]
        fits = any(new.role is gone.role and not new.gone for new in following.targets)
        place = clause.targets.index(gone)
        if fits or not gone.sound:
            clause.targets[place] = replace(gone, gone=False, instrument=None)
            clause.bound = [(clause.targets[place] if o is gone else o, what) for o, what in clause.bound]
        else:
            clause.lost.append(clause.targets.pop(place).item)
            clause.bound = [(owner, what) for owner, what in clause.bound if owner is not gone]
        if not fits and not gone.sound:  # "change the bass to a flute": it has none
            clause.lost += [new.item for new in following.targets if new.instrument]
            following.targets = [new for new in following.targets if not new.instrument]
            following.bound = [(o, what) for o, what in following.bound if not o.instrument]


def _rest_is_removed(clauses: Sequence[Clause]) -> None:
    """ "keep the drums, remove everything else"."""
    for index, clause in enumerate(clauses):
        if clause.clears and not clause.targets:
            for earlier in clauses[:index]:
                earlier.targets = [
                    replace(target, action=Action.SPARE) if target.action is Action.KEEP else target
                    for target in earlier.targets
                ]


def _only_reaches_back(clauses: Sequence[Clause]) -> None:
    """ "drums and bass only", "kick, snare and hats only"."""
    for index, clause in enumerate(clauses):
        while clause.only_after and clause.lead in _JOINED and index > 0:
            before = clauses[index - 1]
            plain = before.only_targets and all(t.action in (Action.CHANGE, Action.KEEP) for t in before.targets)
            if not plain or before.told:
                break
            before.targets = [replace(target, action=Action.ONLY) for target in before.targets]
            index, clause.only_after, before.only_after, clause = index - 1, False, True, before


def _descriptions_wait_for_a_role(clauses: Sequence[Clause]) -> None:
    """ "darker and busier drums", "with a deep, driving bass": the first description is of the role too."""
    for clause, following in reversed(list(pairwise(clauses))):
        attributive = following.bound and not following.predicate and not following.article and not following.everything
        joined = following.lead == "joins" or (following.lead == "pause" and (clause.article or clause.lead == "with"))
        if clause.only_free and attributive and joined and not following.styles:
            owner = following.bound[0][0]
            following.bound = [(owner, what) for what in clause.free] + following.bound
            clause.free = []
            following.told |= clause.told


def _targets_wait_for_a_description(clauses: Sequence[Clause]) -> None:
    """ "make the bass and the drums darker": the bass is to be darker too."""
    for index, clause in enumerate(clauses):
        if not (clause.predicate and clause.lead == "joins"):
            continue
        shared = [what for owner, what in clause.bound if owner is clause.targets[-1]]
        for earlier in reversed(clauses[:index]):
            if not (earlier.only_targets and all(t.action is Action.CHANGE for t in earlier.targets)):
                break
            earlier.bound = [(target, what) for target in earlier.targets for what in shared]
            if earlier.lead not in _JOINED:
                break


def _descriptions_find_their_own_role(clauses: Sequence[Clause]) -> None:
    """ "no fills": fewer of the drums'."""
    for clause in clauses:
        for what in [what for what in clause.free if isinstance(what, Description)]:
            if what.sense.role is not None:
                target = Target(what.sense.role, what.item)
                clause.free.remove(what)
                clause.targets.append(target)
                clause.bound.append((target, what))


def _descriptions_continue(clauses: Sequence[Clause]) -> None:
    """The same role goes on, or the same description goes on.

    "Make the bass darker and busier", "raise the melody an octave and make it darker"; "busier drums and bass".
    """
    for before, clause in pairwise(clauses):
        meant = bool(before.targets) and clause.pronoun and not clause.targets and not clause.styles
        if (meant or (clause.only_free and before.predicate)) and clause.lead in _JOINED:
            last = before.targets[-1]
            clause.targets = [Target(last.role, last.item, pieces=last.pieces)]
            clause.bound = [(clause.targets[0], _carried(before, what)) for what in clause.free]
            clause.free, clause.predicate, clause.everything = [], True, False
        elif clause.only_targets and clause.lead == "joins" and not clause.article and before.bound:
            steps = [what for _, what in before.bound if isinstance(what, Description) and what.relative]
            if not before.predicate and clause.targets[0].action is Action.CHANGE:
                clause.bound = [(target, what) for target in clause.targets for what in steps]


def _carried(before: Clause, what: Bindable) -> Bindable:
    """The "more" of "more dark and aggressive" counts for both."""
    last = before.bound[-1][1] if before.bound else None
    if not (isinstance(last, Description) and isinstance(what, Description)):
        return what
    carried = last.relative and not last.sense.steps and not what.relative and what.factor == 1.0
    return replace(what, relative=True, factor=last.factor) if carried else what
