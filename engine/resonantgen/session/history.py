"""Undo and redo, of the whole session and of one track.

The session's history is a list of revisions with a position in it; undo and redo move the position, new work cuts off
what lies ahead. Each track also has a history of its own takes; moving in it is work like any other, so a plain undo
takes it back. Locks are no part of history: a locked track stays where it is, whatever is undone around it. Nor is the
tempo, but where a revision itself changed it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from resonantgen.errors import NothingToUndo, TrackLocked
from resonantgen.music.notes import Role
from resonantgen.prompt.intent import Intent
from resonantgen.session.settings import check_shared
from resonantgen.session.values import Project, Revision, Settings, Take, TrackChange, TrackState

FindTake = Callable[[str], Take]


@dataclass(frozen=True, slots=True)
class Step:
    """What an undo or redo leads to. `revision` is set where it is recorded as new work."""

    project: Project
    moved: tuple[Role, ...]
    stayed: tuple[Role, ...] = ()  # tracks that it would have changed if they were not locked
    revision: Revision | None = None


def undo(project: Project, last: Revision | None, find: FindTake) -> Step:
    """Take back the last revision. Raises NothingToUndo, TrackLocked."""
    if last is None or last.settings_before is None:
        raise NothingToUndo("There is nothing to undo: this is the first version.")
    states = {role: change.before for role, change in last.changes.items()}
    target = _reached(project, last.settings_after, last.settings_before)
    step = _move(project, states, target, find, "last")
    return replace(step, project=replace(step.project, revision=last.number - 1))


def redo(project: Project, following: Revision | None, find: FindTake) -> Step:
    """Do again what was undone last. Raises NothingToUndo, TrackLocked."""
    if following is None:
        raise NothingToUndo("There is nothing to redo: nothing was undone since the last change.")
    states = {role: change.after for role, change in following.changes.items()}
    target = following.settings_after
    if following.settings_before is not None:
        target = _reached(project, following.settings_before, target)
    step = _move(project, states, target, find, "undone")
    return replace(step, project=replace(step.project, revision=following.number))


def undo_track(project: Project, role: Role, find: FindTake) -> Step:
    """Bring back a track's earlier take. Raises NothingToUndo, TrackLocked, BadValue."""
    state = project.tracks[role]
    if not state.past:
        raise NothingToUndo(f"There is nothing to undo: {role.value} has no earlier take.")
    return _move_track(project, role, state.undone(), "undo", find)


def redo_track(project: Project, role: Role, find: FindTake) -> Step:
    """Bring back the take that was there before the track's undo. Raises NothingToUndo, TrackLocked, BadValue."""
    state = project.tracks[role]
    if not state.future:
        raise NothingToUndo(f"There is nothing to redo: {role.value} has no later take.")
    return _move_track(project, role, state.redone(), "redo", find)


def record(
    project: Project,
    command: str,
    states: Mapping[Role, TrackState],
    settings: Settings,
    intent: Intent | None = None,
) -> Step:
    """New work: the project with these tracks changed, and the revision that says so."""
    changes = {role: TrackChange(project.tracks[role], state) for role, state in states.items()}
    number = project.revision + 1
    after = replace(project, settings=settings, tracks={**project.tracks, **states}, revision=number)
    revision = Revision(number, command, intent, project.settings, settings, changes)
    return Step(after, tuple(states), revision=revision)


def _reached(project: Project, source: Settings, target: Settings) -> Settings:
    """The settings that a move between these two leads to: at the tempo of now, unless they differ in tempo."""
    if project.settings is None or source.tempo_bpm != target.tempo_bpm:
        return target
    return replace(target, tempo_bpm=project.settings.tempo_bpm)


def _move(project: Project, states: Mapping[Role, TrackState], settings: Settings, find: FindTake, which: str) -> Step:
    assert project.settings is not None
    moving = {role: state for role, state in states.items() if role not in project.locked}
    stayed = tuple(role for role in Role if role in states and role in project.locked)
    if not moving:
        names = " and ".join(stayed)
        raise TrackLocked(
            f"The {which} change was to {names} only, locked now. Unlock first: resonantgen unlock {stayed[0].value}"
        )
    tracks = {**project.tracks, **moving}
    staying = {
        role: find(state.take) for role, state in tracks.items() if role not in moving and state.take is not None
    }
    check_shared(project.settings, settings, staying, project.locked)
    return Step(replace(project, settings=settings, tracks=tracks), tuple(moving), stayed)


def _move_track(project: Project, role: Role, state: TrackState, verb: str, find: FindTake) -> Step:
    if role in project.locked:
        raise TrackLocked(
            f"{role.value} is locked, so it was left alone. Unlock it with: resonantgen unlock {role.value}"
        )
    assert project.settings is not None
    settings = project.settings
    if state.take is not None:
        then = find(state.take).recipe.settings
        settings = replace(
            settings,
            meter=then.meter,
            key=settings.key if role is Role.DRUMS else then.key,
            bars=then.bars,
            sample_rate=then.sample_rate,
        )
        staying = {r: find(s.take) for r, s in project.tracks.items() if r is not role and s.take is not None}
        check_shared(project.settings, settings, staying, project.locked)
    return record(project, f"{verb} {role.value}", {role: state}, settings)
