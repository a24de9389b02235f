"""Any commands in any order: the session always agrees with a model of a few lines."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.session.fakes import MELODY, SHORT, SMALL, FakeStudio, about, step, words
from resonantgen.errors import BadValue, Cancelled, NothingToUndo, ProjectError, TrackLocked
from resonantgen.music.notes import Role
from resonantgen.session.jobs import Order
from resonantgen.session.produce import make_takes
from resonantgen.session.session import Session
from resonantgen.session.values import Take

ROLES = st.sampled_from(Role)
STUDIO = FakeStudio()
Playing = dict[Role, str]


class SessionMachine(RuleBasedStateMachine):
    """The model: what plays now, a list of steps with a position, the locks, and every take ever seen."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.session = Session.create(self.folder / "night.rg", STUDIO)
        self.playing: Playing = {}
        self.steps: list[tuple[Playing, Playing]] = []  # of each command, what it changed: before, after
        self.position = 0
        self.locked: set[Role] = set()
        self.seen: dict[str, tuple[str, str]] = {}
        self.ordered: tuple[Order, list[Take]] | None = None

    def teardown(self) -> None:
        self.session.close()
        shutil.rmtree(self.folder)

    def worked(self) -> None:
        """The session has done new work: check what it may not have touched, and follow it."""
        now = {role: take.id for role, take in self.session.playing.items()}
        changed = {role for role in Role if now.get(role) != self.playing.get(role)}
        assert not changed & self.locked
        before = {role: self.playing[role] for role in changed if role in self.playing}
        after = {role: now[role] for role in changed if role in now}
        self.steps[self.position :] = [(before, after)]
        self.position += 1
        self.playing = now

    @initialize(seed=st.integers(0, 1000))
    def start(self, seed: int) -> None:
        self.session.generate(words(style="techno"), seed=seed, **SHORT)
        self.worked()

    @rule(seed=st.none() | st.integers(0, 5))
    def generate(self, seed: int | None) -> None:
        with suppress(TrackLocked):
            self.session.generate(words(style="house"), seed=seed, **SHORT)
            self.worked()

    @rule(seed=st.none() | st.integers(0, 5), amount=st.sampled_from([-0.5, 0.5]))
    def edit_all(self, seed: int | None, amount: float) -> None:
        with suppress(TrackLocked, ProjectError):
            self.session.regenerate(words(attributes=step(brightness=amount)), seed=seed)
            self.worked()

    @rule(role=ROLES)
    def regenerate_one(self, role: Role) -> None:
        with suppress(TrackLocked):
            self.session.regenerate("", track=role)
            assert role not in self.locked
            self.worked()

    @rule(role=ROLES)
    def edit_one(self, role: Role) -> None:
        with suppress(TrackLocked):
            self.session.regenerate(about(role, energy=0.25))
            assert role not in self.locked
            self.worked()

    @rule(role=ROLES, name=st.sampled_from([SMALL, MELODY, "pattern"]), tell=st.booleans())
    def play_by(self, role: Role, name: str, tell: bool) -> None:
        with suppress(TrackLocked):
            self.session.regenerate(about(role, energy=0.25) if tell else "", generators={role: name})
            assert role not in self.locked
            self.worked()
            assert self.session.playing[role].generator == name
            assert self.session.playing[role].is_sound == (name != "pattern")

    @rule(tempo=st.sampled_from([200, 400]))
    def change_tempo(self, tempo: int) -> None:
        with suppress(TrackLocked, ProjectError):
            self.session.regenerate(words(tempo_bpm=Fraction(tempo)))
            self.worked()

    @rule(role=ROLES | st.none())
    def order(self, role: Role | None) -> None:
        """Make takes now, to be recorded some time later, as a worker does."""
        if self.ordered is not None:
            self.session.discard(self.ordered[1])
            self.ordered = None
        with suppress(TrackLocked, ProjectError):
            order = self.session.order_regeneration("", track=role)
            takes = make_takes(
                order.job,
                order.standing,
                STUDIO,
                order.numbers,
                self.session.add_audio,
                read_audio=self.session.wav,
            )
            self.ordered = order, takes

    @precondition(lambda self: self.ordered is not None)
    @rule()
    def fulfil(self) -> None:
        assert self.ordered is not None
        (order, takes), self.ordered = self.ordered, None
        if self.session.still_holds(order):
            self.session.fulfil(order, takes)
            self.worked()
        else:
            with pytest.raises(Cancelled):
                self.session.fulfil(order, takes)

    @rule(tempo=st.sampled_from([250, 300]))
    def set_tempo(self, tempo: int) -> None:
        if self.playing:
            self.session.set_tempo(tempo)

    @rule(attribute=st.sampled_from(["density", "space"]), value=st.sampled_from([0, 0.5]), role=ROLES | st.none())
    def adjust(self, attribute: str, value: float, role: Role | None) -> None:
        before = {r: take.recipe.part for r, take in self.session.playing.items()}
        with suppress(TrackLocked, ProjectError, BadValue):
            self.session.adjust(attribute, value, track=role)
            if before != {r: take.recipe.part for r, take in self.session.playing.items()}:
                self.worked()

    @rule(role=ROLES)
    def remove(self, role: Role) -> None:
        if role in self.playing:
            with suppress(TrackLocked):
                self.session.regenerate(words(removed_roles=frozenset({role})))
                assert role not in self.locked
                self.worked()

    @rule(role=ROLES)
    def lock(self, role: Role) -> None:
        with suppress(BadValue):
            self.session.tracks[role].lock()
            self.locked.add(role)

    @rule(role=ROLES)
    def unlock(self, role: Role) -> None:
        self.session.tracks[role].unlock()
        self.locked.discard(role)

    @rule()
    def undo(self) -> None:
        with suppress(TrackLocked, NothingToUndo):
            self.session.undo()
            self.position -= 1
            before, after = self.steps[self.position]
            self.follow(before, after)

    @rule()
    def redo(self) -> None:
        with suppress(TrackLocked, NothingToUndo):
            self.session.redo()
            before, after = self.steps[self.position]
            self.position += 1
            self.follow(after, before)

    def follow(self, target: Playing, source: Playing) -> None:
        for role in {*target, *source} - self.locked:
            if role in target:
                self.playing[role] = target[role]
            else:
                self.playing.pop(role, None)

    @rule(role=ROLES, forward=st.booleans())
    def move_track(self, role: Role, forward: bool) -> None:
        with suppress(TrackLocked, NothingToUndo, BadValue):
            self.session.redo(role) if forward else self.session.undo(role)
            assert role not in self.locked
            self.worked()

    @precondition(lambda self: self.position > 0)
    @rule()
    def reopen(self) -> None:
        self.session.close()
        self.ordered = None  # its audio is removed as a leftover
        self.session = Session.open(self.folder / "night.rg", studio=STUDIO)

    @invariant()
    def agrees(self) -> None:
        assert {role: take.id for role, take in self.session.playing.items()} == self.playing
        assert self.session.locked == self.locked

    @invariant()
    def takes_never_change(self) -> None:
        for role in Role:
            for take in self.session.takes(role):
                assert self.seen.setdefault(take.id, (take.notes_sha256, take.audio_sha256)) == (
                    take.score.sha256,
                    take.audio_sha256,
                )
        for take in self.session.playing.values():
            self.session.wav(take)  # raises if the bytes are not those of the hash

    @invariant()
    def tracks_fit_together(self) -> None:
        current = self.session.settings
        for take in self.session.playing.values():
            assert current is not None and take.recipe.settings.bars == current.bars
            assert len(self.session.rendition(take, current.tempo)) == current.frames


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(max_examples=25, stateful_step_count=20, deadline=None, derandomize=True)
