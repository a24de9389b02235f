"""Values survive the database exactly, and the same value is always the same text."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.session.fakes import about, step, words
from resonantgen.errors import ProjectDamaged
from resonantgen.generators.audio import Fit
from resonantgen.instruments.base import Macros, Sound
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import Chord, ChordSpan, Key, Mode, Progression
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import Attributes, Feel
from resonantgen.session import codec
from resonantgen.session.values import Part, Project, Recipe, Revision, Settings, Take, TrackChange, TrackState

SETTINGS = Settings("techno", None, Fraction(973, 10), Meter(7, 8), Key(6, Mode.DORIAN), 2, 44_100, 7)


def take(tempo: Fraction = Fraction(120), pieces: frozenset[str] = frozenset(), text: str = "") -> Take:
    part = Part("jazz", "calm", Attributes(energy=0.123), "rhodes", Feel.HALF_TIME, -12, pieces, pieces)
    chords = Progression((ChordSpan(Chord(9, "m7b5"), 0, 3360),))
    recipe = Recipe(Role.BASS, 5, replace(SETTINGS, tempo_bpm=tempo), part, chords, {Role.DRUMS: "drums-1"})
    score = Score((Note(0, 40, 10, 100), Note(5, 41, 10, 1)), 3360)
    return Take("bass-1", 1, recipe, text, "pattern", score, Sound("sub", Macros(drive=0.1)), 9, "a", score.sha256, "é")


@given(st.fractions(20, 400), st.frozensets(st.sampled_from(["kick", "snare", "ride", "clap"])), st.text())
def test_a_take_comes_back_as_it_was(tempo: Fraction, pieces: frozenset[str], text: str) -> None:
    value = take(tempo, pieces, text)
    assert codec.decode(codec.encode(value), Take) == value


@given(
    st.builds(
        Fit,
        model=st.text(),
        weights_sha256=st.just("0" * 64),
        prompt=st.text(),
        seed=st.integers(0, 2**31 - 1),
        attempts=st.integers(1, 4),
        heard_tempo_bpm=st.none() | st.floats(20, 400),
        stretch=st.floats(0.96, 1.04),
        beat_error_ms=st.none() | st.floats(0, 100),
        aligned=st.booleans(),
    )
)
def test_a_take_of_sound_comes_back_as_it_was(fit: Fit) -> None:
    value = replace(take(), fit=fit)
    assert codec.decode(codec.encode(value), Take) == value == codec.unpack(codec.pack(value), Take)


def test_the_order_in_a_set_does_not_show() -> None:
    one = take(pieces=frozenset(["a", "b", "c", "d"]))
    other = take(pieces=frozenset(["d", "c", "b", "a"]))
    assert codec.encode(one) == codec.encode(other)


def test_projects_and_revisions_come_back_as_they_were() -> None:
    project = Project(7, SETTINGS, {Role.BASS: TrackState("bass-2", ("bass-1", None), ("bass-3",))}, frozenset(Role), 3)
    assert codec.decode(codec.encode(project), Project) == project
    assert codec.decode(codec.encode(Project()), Project) == Project()
    for intent in (
        None,
        about(Role.BASS, energy=0.5),
        words(attributes=step(space=-1.0), tempo_factor=Fraction(11, 10)),
    ):
        changes = {Role.BASS: TrackChange(TrackState(), TrackState("bass-1"))}
        revision = Revision(1, "generate", intent, None, SETTINGS, changes)
        assert codec.decode(codec.encode(revision), Revision) == revision


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('"velocity":100', '"velocity":1000'),
        ('"120"', '"twelve"'),
        ('"120"', '"1/0"'),
        ('"number":1,', ""),
        ('"role":"bass"', '"role":"kazoo"'),
        ('"numerator":7', '"numerator":70'),
        ('"m7b5"', '"blue"'),
        ("}", ""),
        ('"transpose_semitones":-12', '"transpose":-12'),
        ('"number":1,', '"number":1,"unknown":1,'),
    ],
)
def test_damaged_text_is_an_error_of_ours(good: str, bad: str) -> None:
    text = codec.encode(take())
    assert good in text
    with pytest.raises(ProjectDamaged) as error:
        codec.decode(text.replace(good, bad), Take)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ['{"a":1}', "{}", "[]", "null", "[" * 100_000])
def test_other_text_is_no_empty_project(text: str) -> None:
    with pytest.raises(ProjectDamaged, match=r"holds a damaged project .* backup"):
        codec.decode(text, Project)
